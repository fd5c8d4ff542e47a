"""LoRA scalings in words, for labels, logs and messages."""

from collections.abc import Mapping

from lorascope.study.profiles import DEFAULT

HARMLESS = "words of labels, logs and messages"


def in_words(scaling: Mapping[str, float | None] | float | str | None) -> str:
    """Return a scaling as labels and messages have it.

    >>> in_words({"default": 1.0, "layers.0-7": 0, "mlp": None})
    'default 1, layers.0-7 0, mlp own'
    """
    if isinstance(scaling, Mapping):
        keys = sorted(scaling, key=lambda key: (key != DEFAULT, key))
        return ", ".join(f"{key} {in_words(scaling[key])}" for key in keys)
    if scaling is None:
        return "own"
    return scaling if isinstance(scaling, str) else f"{scaling + 0.0:g}"
