"""What the report says of clips that were not heard as a whole, and of dates in prompts."""

import pandas as pd
import pytest

from lorascope.reporting.dates import dates_section
from lorascope.reporting.hearing import hearing_section


def sidecar(clips: dict[str, tuple[float, float, bool]], hops: int = 2, **columns) -> pd.DataFrame:
    """Build a sidecar from clip -> (seconds, seconds lost, finite); each has ``hops`` items."""
    rows = [
        {"clip": clip, "clip_seconds": length, "seconds_lost": lost, "clip_finite": finite}
        for clip, (length, lost, finite) in clips.items()
        for _ in range(hops)
    ]
    return pd.DataFrame(rows).assign(**columns)


WHOLE = {"a.wav": (2.0, 0.0, True), "b.wav": (4.0, 0.0, True)}
CUT = {"a.wav": (2.0, 2.0, True), "b.wav": (4.0, 1.0, True), "c.wav": (1.0, 0.0, False)}


def test_clips_are_counted_once_for_each_model_and_dataset():
    heard = [("m", "d", sidecar(CUT)), ("m", "d", sidecar(CUT)), ("n", "d", sidecar(WHOLE))]
    assert hearing_section(heard).splitlines() == [
        "## What was not heard",
        "",
        "- d, heard by m: 2 of 3 clips were cut (`too_long: truncate`), by up to 2 s, 1.5 s on "
        "average; 1 of them were not heard at all.",
        "- d, heard by m: the features of 1 of 3 clips are not finite numbers (c.wav first): what "
        "was asked about them is not answered, in any dtype. Check the clips and the encoder's "
        "weights.",
    ]
    assert len(hearing_section([*heard, ("n", "e", sidecar(CUT))]).splitlines()) == 6


@pytest.mark.parametrize(
    "frame",
    [
        sidecar(WHOLE),
        sidecar({"": (0.0, 0.0, True)}, hops=5),
        pd.DataFrame({"environment": ["{}"]}),
    ],
    ids=["whole", "text", "older"],
)
def test_nothing_is_said_where_nothing_was_lost(frame):
    assert hearing_section([("m", "d", frame)]) == ""
    assert dates_section([("m", "d", frame)]) == ""
    assert hearing_section([]) == ""


def test_dates_of_prompts():
    frames = [
        ("llama", "d", sidecar(WHOLE, template_date="2024-07-26")),
        ("llama", "e", sidecar(WHOLE, template_date="2024-07-26")),
        ("plain", "d", sidecar(WHOLE, template_date=None)),
    ]
    assert dates_section(frames).splitlines()[2:] == [
        "- llama: its chat template says the date, and takes 2024-07-26 for today on whatever day "
        "it runs (key `date` of the model).",
    ]
