"""By how much adapters are applied: LoRAs at a scaling, what is more at a strength."""

from collections.abc import Iterable, Sequence

from lorascope.reporting.scored import Scored

SCALING, STRENGTH = "lora_scaling", "strength"
BOTH = f"{SCALING} or {STRENGTH}"
AXES = {SCALING: "LoRA scaling", STRENGTH: "strength", BOTH: "LoRA scaling, or strength"}
"""What the columns of a table are called -> the axis of a chart. 0 is the base model on each."""


def amount_of(scored: Iterable[Scored]) -> str:
    """Return what the runs of a study have: a scaling, a strength, or some the one and some other.

    A model without an adapter has neither.
    """
    runs: Sequence[Scored] = [run for run in scored if run.has_scaling]
    if not any(run.has_strength for run in runs):
        return SCALING
    with_scaling = (not run.has_strength and (run.adapter or run.lora_scaling) for run in runs)
    return BOTH if any(with_scaling) else STRENGTH
