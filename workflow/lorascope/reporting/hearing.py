"""What models did not hear of the clips that they were asked about."""

from collections.abc import Iterable

import pandas as pd

COLUMNS = ("clip", "clip_seconds", "seconds_lost", "clip_finite")
"""Columns of an experiment's sidecar: an item's clip ("" for none), how long it is, how many
seconds of it were not heard, and whether its features are finite numbers."""


def hearing_section(heard: Iterable[tuple[str, str, pd.DataFrame]]) -> str:
    """Return how many clips lost how much; nothing where every clip was heard as a whole.

    heard: model, dataset and sidecar of each experiment; one without ``COLUMNS`` says nothing.
    """
    told = [
        frame[[*COLUMNS]].assign(model=model, dataset=dataset)
        for model, dataset, frame in heard
        if {*COLUMNS} <= {*frame.columns}
    ]
    if not told:
        return ""
    clips = pd.concat(told)
    clips = clips[clips["clip"] != ""].drop_duplicates(["model", "dataset", "clip"])
    lines = [
        line
        for (model, dataset), group in clips.groupby(["model", "dataset"], sort=False)
        for line in _lines(f"{dataset}, heard by {model}", group)
    ]
    return "\n\n".join(["## What was not heard", "\n".join(lines)]) if lines else ""


def _lines(what: str, clips: pd.DataFrame) -> list[str]:
    lines, total = [], len(clips)
    cut = clips[clips["seconds_lost"] > 0]
    if len(cut):
        lost = cut["seconds_lost"]
        unheard = (lost >= cut["clip_seconds"] - 1e-3).sum()
        lines.append(
            f"- {what}: {len(cut)} of {total} clips were cut (`too_long: truncate`), by up to "
            f"{lost.max():.3g} s, {lost.mean():.3g} s on average"
            + (f"; {unheard} of them were not heard at all." if unheard else ".")
        )
    broken = sorted(clips["clip"][~clips["clip_finite"].astype(bool)])
    if broken:
        lines.append(
            f"- {what}: the features of {len(broken)} of {total} clips are not finite numbers "
            f"({broken[0]} first): what was asked about them is not answered, in any dtype. Check "
            "the clips and the encoder's weights."
        )
    return lines
