"""Model families, looked up by name and imported only when a stage needs one.

A family is a module with the functions of ``lorascope.models.protocol``. Planning imports the
module but never torch: heavy imports live inside its functions or in its submodules.
"""

from importlib import import_module
from types import ModuleType

FAMILIES = {
    "hf_audio": "lorascope.models.hf_audio",
    "hf_text": "lorascope.models.hf_text",
    "salmonn": "lorascope.models.salmonn",
}


def family(name: str) -> ModuleType:
    """Return the family module registered under ``name`` (KeyError if there is none)."""
    return import_module(FAMILIES[name])
