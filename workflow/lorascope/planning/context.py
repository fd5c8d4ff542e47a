"""What the planning of every stage stands on: the study, hashes of sources, digests of code."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from lorascope.identity.code import CodeIndex
from lorascope.identity.digests import digest
from lorascope.identity.sources import Content, SourceIndex, absent_part, files_below
from lorascope.planning.results import CODE_INDEX, SOURCE_INDEX, hub_identity
from lorascope.study.judge_checks import used_judges
from lorascope.study.registry import FAMILIES

if TYPE_CHECKING:
    from lorascope.study.declarations import Family
    from lorascope.study.experiments import Experiment
    from lorascope.study.judges import JudgeSettings
    from lorascope.study.settings import HubSource
    from lorascope.study.study import Study

HARMLESS = "plans files, by the fingerprints of what decides them"


@dataclass(frozen=True)
class Absent:
    """A local ``source`` that is not there, or not whole: ``part`` is what of it is lacking.

    ``last`` is a digest of its content when it was last seen, by which results are found as long as
    it is absent; None if that was never. Once it is there again, its content alone counts.
    """

    source: str
    part: Path
    last: str | None


P = ParamSpec("P")
Planned = TypeVar("Planned")


class PlanContext:
    """A study that is being planned; each of its parts is looked at once."""

    def __init__(self, study: "Study") -> None:
        self.study = study
        self.remembered: dict[Any, Any] = {}
        self.absent: dict[str, Absent] = {}
        """What was looked at and is not there: a model's source, or some data (`data_name`)."""
        self._index = SourceIndex(SOURCE_INDEX)
        self._modules = CodeIndex(CODE_INDEX)
        self._code: dict[tuple[str, ...], dict[str, str]] = {}
        self._local: dict[str, Content] = {}

    def save(self) -> None:
        """Keep what was found out about sources and code for the next plan."""
        self._index.save()
        self._modules.save()

    def code(self, *functions: str) -> dict[str, str]:
        """Return the digests of the code that decides what functions compute."""
        if functions not in self._code:
            self._code[functions] = self._modules.digests(functions)
        return self._code[functions]

    def sources(self, model: str, keys: Iterable[str]) -> "dict[str, str | HubSource]":
        """Return key -> source, for the keys of a model that name files."""
        settings = self.study.models[model]
        return {key: getattr(settings, key) for key in keys}

    def source(self, source: "str | HubSource") -> Any:
        """Return what a model's or adapter's source is: hashes of files, or the hub's name."""
        if not isinstance(source, str):
            return hub_identity(source.model_dump(), is_data=False)
        if source not in self._local:
            now = self._index.local(Path(source))
            part = absent_part(Path(source)) if "absent" in now else None
            self._local[source] = self._seen(source, source, None if part else now, part)
        return self._local[source]

    def modules(self, source: str, others: "Callable[[Path], Iterable[Path]] | None") -> Content:
        """Return the hashes of a Python file of the user's, and of the ``others`` it imports."""
        file = Path(source)
        if not file.exists():
            return self._seen(source, source, None, file)
        listed = [file, *(others(file) if others else ())]
        now = {str(path.relative_to(file.parent)): self._index.file(path) for path in listed}
        return self._seen(source, source, now, None)

    def data(self, source: Any, files: Callable[[Path], Iterable[Path]], wanted: Any) -> Any:
        """Return the identity of a data set's source; ``files`` lists those of a local one.

        ``wanted`` is as in `data_name`.
        """
        if not isinstance(source, str):
            return hub_identity(source.model_dump(), is_data=True)
        root = Path(source)
        listed = [*files(root)]
        part = next((file for file in listed if not file.exists()), None) if listed else root
        now = None if part else self._index.files(listed, root)
        return self._seen(source, data_name(source, wanted), now, part)

    def _seen(self, source: str, name: str, now: Content | None, part: Path | None) -> Content:
        """Return what a source is ``now``; where a ``part`` is not there, what it was last."""
        if now is not None:
            self._index.see(name, now)
            return now
        last = self._index.last_seen(name)
        seen = digest({"content": last}) if last else None
        self.absent[name] = Absent(source, part or Path(source), seen)
        return last or {"absent": source}

    def package_files(self, folder: Path) -> str | None:
        """Return a digest of the files that come with this package in a folder."""
        return self._index.files(files_below(folder), folder)

    def family(self, model: str) -> "Family":
        """Return the family of a model of the study."""
        return FAMILIES[self.study.models[model].family]

    @property
    def asked(self) -> "list[Experiment]":
        """The experiments that models of the study answer, in their order."""
        return [one for one in self.study.experiments.values() if not one.is_imported]

    @property
    def datasets(self) -> list[str]:
        """The distinct datasets that experiments are about, in their order."""
        return list(dict.fromkeys(one.dataset for one in self.study.experiments.values()))

    @property
    def models(self) -> list[str]:
        """The models that answer or judge, each once."""
        return self._and_of_judges(lambda e: e.model, lambda judge: judge.model)

    @property
    def adapters(self) -> list[str]:
        """The adapters that are answered or judged with, each once, and what they are made of."""
        used = self._and_of_judges(lambda e: e.adapter, lambda judge: judge.adapter)
        return list(dict.fromkeys(one for name in used for one in self._with_parts(name)))

    def _with_parts(self, name: str) -> Iterator[str]:
        """Yield an adapter after those of the study that it is made of."""
        derived = self.study.adapters[name].derived
        for part in derived.terms if derived else ():
            if part in self.study.adapters:
                yield from self._with_parts(part)
        yield name

    def _and_of_judges(
        self,
        of_experiment: Callable[["Experiment"], str | None],
        of_judge: Callable[["JudgeSettings"], str | None],
    ) -> list[str]:
        judges = (self.study.judges[name] for name in used_judges(self.study))
        names = dict.fromkeys([*map(of_experiment, self.asked), *map(of_judge, judges)])
        return [name for name in names if name is not None]


def data_name(source: str, wanted: Any) -> str:
    """Return a name for what is ``wanted``, in JSON's values, of the data in a local source."""
    return f"{source}: {digest({'wanted': wanted})}"


def once(
    plan: Callable[Concatenate[PlanContext, P], Planned],
) -> Callable[Concatenate[PlanContext, P], Planned]:
    """Let a planning function remember what it returned in a context, by its other arguments."""

    @wraps(plan)
    def remembering(context: PlanContext, /, *args: P.args, **kwargs: P.kwargs) -> Planned:
        key = (plan, *args, *kwargs.items())
        if key not in context.remembered:
            context.remembered[key] = plan(context, *args, **kwargs)
        found: Planned = context.remembered[key]
        return found

    return remembering


def settings_of(part: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return some keys of settings; the order of a list decides nothing, that of a tuple does."""
    values = {key: part[key] for key in keys}
    return {key: sorted(v) if isinstance(v, list) else v for key, v in values.items()}
