"""What a study's results were made of: repositories at a commit, or local files by their hashes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lorascope.planning.download import Need, needs
from lorascope.planning.plan import Plan
from lorascope.planning.results import download_name
from lorascope.storage.downloads import commit_of, text

if TYPE_CHECKING:
    from lorascope.identity.sources import Content
    from lorascope.study.settings import HubSource

HARMLESS = "looks, and decides nothing"

HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Input:
    """An input by its key in the study.

    ``content`` is name -> SHA-256 of local files, or one digest of many; ``url`` and ``commit`` are
    of what came from the hub.
    """

    name: str
    words: str
    content: "Content | None" = None
    url: str | None = None
    commit: str | None = None

    @property
    def id(self) -> str:
        """Its name in a graph of linked data."""
        return f"#{quote(self.name)}"


def inputs_of(plan: Plan) -> Iterator[Input]:
    """Yield each source that the results of a study were made of, once."""
    found = {need_name(need): need for need in needs(plan.context)}
    for name, need in found.items():
        if isinstance(need.source, str):
            content = _content(plan, need, need.source)
            yield Input(name, f"local files, in the study {bare(need.source)}", content)
        else:
            yield _of_hub(name, need.source, need.is_data)


def need_name(need: Need) -> str:
    """Return whose source it is, and under which key."""
    return f"{need.owner}.{need.key}"


def _of_hub(name: str, source: "HubSource", is_data: bool) -> Input:
    commit = commit_of(download_name(source.model_dump(), is_data))
    kind = "datasets/" if is_data and "/" in source.hub else ""
    tree = f"/tree/{commit}" if isinstance(commit, str) else ""
    words = f"{source.hub} at {source.revision}"
    if file := getattr(source, "file", None):
        words = f"{file} of {words}"
    known = None if commit is None else text(commit)
    return Input(name, words, url=f"{HUB}/{kind}{source.hub}{tree}", commit=known)


def _content(plan: Plan, need: Need, source: str) -> "Content | None":
    """Return what a local source was, as fingerprints have it; None where it is not known."""
    if not need.is_data:
        found = plan.context.source(source)
    else:
        found = next(_data(plan, need, source), None)
    known = isinstance(found, str) or (isinstance(found, dict) and "absent" not in found)
    return found if known else None


def _data(plan: Plan, need: Need, source: str) -> "Iterator[Content]":
    """Yield what fingerprints say of data: a dataset's, predictions', a scorer's, a training's."""
    if need.owner in plan.datasets:
        yield plan.datasets[need.owner].fingerprint["source"]
    if need.owner in plan.adapters:
        yield plan.adapters[need.owner].fingerprint["data_source"]
    if need.owner in plan.experiments:
        yield from _of_experiment(plan, need.owner, source)


def _of_experiment(plan: Plan, identifier: str, source: str) -> "Iterable[Content]":
    scorer_files = plan.scores[identifier].fingerprint["files"]
    if source in scorer_files:
        return [scorer_files[source]]
    return [plan.experiments[identifier].fingerprint["predictions"]]


def bare(value: Any) -> Any:
    """Return a value of a study without the folders of this machine in absolute paths.

    >>> bare({"model": "/home/me/models/llama", "source": "data/quiz.csv"})
    {'model': 'llama', 'source': 'data/quiz.csv'}
    """
    if isinstance(value, dict):
        return {key: bare(one) for key, one in value.items()}
    if isinstance(value, list):
        return [bare(one) for one in value]
    if isinstance(value, str) and "\n" not in value:
        path = Path(value)
        if len(path.parts) > 2 and (path.is_absolute() or value.startswith("~")):
            return path.name
    return value
