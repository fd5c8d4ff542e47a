"""Which prompts say a date, and which one."""

from collections.abc import Iterable

import pandas as pd


def dates_section(sidecars: Iterable[tuple[str, str, pd.DataFrame]]) -> str:
    """Return for which models the chat template writes a date; nothing where none does.

    sidecars: model, dataset and sidecar of each experiment.
    """
    days = {
        model: day
        for model, _, frame in sidecars
        if "template_date" in frame
        for day in frame["template_date"].dropna().unique()
    }
    lines = [
        f"- {model}: its chat template says the date, and takes {day} for today on whatever day it "
        "runs (key `date` of the model)."
        for model, day in days.items()
    ]
    return "\n\n".join(["## Dates in prompts", "\n".join(lines)]) if lines else ""
