"""The columns of predictions, whoever made them: what was asked and answered, item by item."""

import pyarrow as pa

PROFILE = "lora_profile"
"""The column of a profile, as JSON of parts and scalings; null under one scaling for all layers."""
DRIFT = {
    **{"ids": pa.int32(), "words": pa.string()},
    **dict.fromkeys(("base", "adapted", "kl", "reverse_kl"), pa.float64()),
    **dict.fromkeys(("changed", "greedy"), pa.bool_()),
}
"""What is kept of each token in the mode drift, see ``lorascope.benchmarks.likelihoods.Drift``."""


def prediction_fields() -> list[pa.Field]:
    """Return the columns; those of likelihoods are null where a text was generated, and drift in
    any other mode: it has a list of each kind, a value for a token.

    A LoRA has a lora_scaling, null where it is not known, and under a profile; an adapter that is
    more has a strength. The other is null.
    """
    return [
        pa.field("item_id", pa.string()),
        pa.field("category", pa.string()),
        pa.field("prompt", pa.string()),
        pa.field("response", pa.string()),
        pa.field("tokens", pa.list_(pa.int32())),
        pa.field("prompt_tokens", pa.int32()),
        pa.field("response_tokens", pa.int32()),
        pa.field("finish_reason", pa.string()),
        pa.field("loglikelihoods", pa.list_(pa.float64())),
        pa.field("continuation_tokens", pa.list_(pa.int32())),
        pa.field("greedy", pa.list_(pa.bool_())),
        pa.field("drift", pa.struct([(name, pa.list_(kind)) for name, kind in DRIFT.items()])),
        pa.field("lora_scaling", pa.float64()),
        pa.field("strength", pa.float64()),
        pa.field("generation", pa.string()),
        pa.field(PROFILE, pa.string()),
    ]
