"""Where in a model a module is, by its name."""

import re

# The first number in a module's name is that of its layer.
_LAYER = re.compile(r"(?P<stack>(?:[^.]+\.)*?)(?P<layer>\d+)\.(?P<kind>.+)")


def place_of(module: str) -> tuple[str, int | None, str]:
    """Return stack of layers, number of the layer and what it is in there: a kind of module.

    A module outside of layers has no number, and is a kind of its own.
    """
    found = _LAYER.fullmatch(module)
    if found is None:
        return "", None, module
    return found["stack"].rstrip("."), int(found["layer"]), found["kind"]
