"""Where results lie, and what downloads are called."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorascope.storage.downloads import moved_to

HARMLESS = "names files, by what decides them"

RESULTS = "results"
"""Everything that is generated lies here, relative to the folder in which snakemake runs."""
SOURCE_INDEX = Path(RESULTS, ".sources.json")
CODE_INDEX = Path(RESULTS, ".code.json")
"""Where hashes of source files, and what is known of modules, are kept between plans."""
COMMIT = re.compile("[0-9a-f]{40}")
"""What a source of the hub is pinned to."""


def hub_identity(source: Mapping[str, Any], is_data: bool) -> dict[str, Any]:
    """Return what a source of the hub is to a fingerprint, see `moved_to`."""
    commit = moved_to(download_name(source, is_data))
    return {**source, **({"commit": commit} if commit else {})}


def download_name(source: Mapping[str, Any], is_data: bool) -> str:
    """Return the name of the download of a source of the hub, as a study has it."""
    parts = ["datasets"] if is_data else []
    parts.append(f"{source['hub']}@{source['revision']}")
    kind = filter(None, [source.get("file"), source.get("layout")])
    return "--".join([*parts, *kind]).replace("/", "--")
