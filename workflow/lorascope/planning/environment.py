"""Where jobs find what they are told, and this package."""

import os
import sys
from pathlib import Path

from lorascope.identity.code import PACKAGE

HARMLESS = "plans files, by the fingerprints of what decides them"


def export_package() -> None:
    """Let jobs find this package and this Python wherever they run.

    A conda environment that Snakemake activates for a job still comes first on the PATH.
    """
    _prepend("PYTHONPATH", str(PACKAGE.parent))
    _prepend("PATH", str(Path(sys.executable).parent))


def _prepend(variable: str, folder: str) -> None:
    others = [o for o in os.environ.get(variable, "").split(os.pathsep) if o not in ("", folder)]
    os.environ[variable] = os.pathsep.join([folder, *others])
