"""What of an experiment's settings says which model answers, and how it is adapted."""

from collections.abc import Mapping
from typing import Any

from lorascope.identity.digests import canonical

ASKING = (
    *("id", "dataset", "mode", "scorer", "table", "generation", "loss", "drift", "seed", "runs"),
    *("batch_size", "tokens_at_once"),
)
"""Keys of an experiment that say what is asked and how, and nothing of the model that answers."""


def adapted(settings: Mapping[str, Any]) -> str:
    """Return what of an experiment's settings says which model, adapted how, answers."""
    return canonical({key: value for key, value in settings.items() if key not in ASKING})
