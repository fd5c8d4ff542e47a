"""The registry of plug-ins: a line for each, from its name to its declaration.

A plug-in of another package registers itself by an entry point of one of the groups
``lorascope.families``, ``lorascope.benchmarks``, ``lorascope.scorers``, ``lorascope.formats`` and
``lorascope.predictions``.
"""

# What asks for this package's own plug-ins alone needs no list of installed packages.
# ruff: noqa: PLC0415

import difflib
from collections.abc import Iterator, Mapping
from pkgutil import resolve_name
from typing import Generic, TypeVar

from lorascope.errors import UserError, shown
from lorascope.study.declarations import (
    Answers,
    Benchmark,
    DataFormat,
    Family,
    Mode,
    PredictionFormat,
    Scorer,
)

HARMLESS = "looks plug-ins up by name"

Declaration = TypeVar(
    "Declaration", bound=Family | Benchmark | Scorer | DataFormat | PredictionFormat
)


class Registry(Generic[Declaration]):
    """Declarations of one kind by name, each imported when it is asked for."""

    def __init__(self, what: str, kind: type[Declaration], own: Mapping[str, str]) -> None:
        self.what, self.kind, self.own = what, kind, own
        self.group = f"lorascope.{ENTRY_POINTS[kind]}"
        self._loaded: dict[str, Declaration] = {}
        self._others: dict[str, str] | None = None

    def __getitem__(self, name: str) -> Declaration:
        """Return the declaration of this name; KeyError if there is none."""
        if name not in self._loaded:
            place = self.own.get(name) or self.others[name]
            self._loaded[name] = self._declared(name, place)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self.others

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from (name for name in self.others if name not in self.own)

    @property
    def others(self) -> dict[str, str]:
        """Name -> place of the declaration, for plug-ins of other packages that are installed."""
        if self._others is None:
            from importlib.metadata import entry_points

            self._others = {point.name: point.value for point in entry_points(group=self.group)}
        return self._others

    def require(self, name: object, where: str) -> Declaration:
        """Return the declaration of this name; UserError, saying ``where`` it stands, for none."""
        if isinstance(name, str) and name in self:
            return self[name]
        close = difflib.get_close_matches(str(name), list(self), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"{where}: {shown(name)} is not one of {', '.join(self)}{hint}")

    def _declared(self, name: str, place: str) -> Declaration:
        try:
            found: object = resolve_name(place)
        except (ImportError, AttributeError, ValueError) as error:
            raise UserError(f"{self.what} {name}: {place} cannot be imported: {error}") from error
        if not isinstance(found, self.kind):
            raise UserError(f"{self.what} {name}: {place} is no {self.kind.__name__}")
        return found


ENTRY_POINTS: Mapping[type, str] = {
    Family: "families",
    Benchmark: "benchmarks",
    Scorer: "scorers",
    DataFormat: "formats",
    PredictionFormat: "predictions",
}

FAMILIES = Registry(
    "family",
    Family,
    {
        "salmonn": "lorascope.models.salmonn:FAMILY",
        "hf_text": "lorascope.models.hf_text:FAMILY",
        "hf_audio": "lorascope.models.hf_audio:FAMILY",
        "hf_speech": "lorascope.models.hf_speech:FAMILY",
    },
)
BENCHMARKS = Registry(
    "benchmark",
    Benchmark,
    {
        "sakura": "lorascope.benchmarks.sakura:BENCHMARK",
        "squad": "lorascope.benchmarks.squad:BENCHMARK",
        "table": "lorascope.benchmarks.table:BENCHMARK",
        "lm_eval": "lorascope.benchmarks.lm_eval.declaration:BENCHMARK",
    },
)
# The first that judges replies of a mode to answers of a kind is the scorer of these where a study
# names none, unless it needs keys.
SCORERS = Registry(
    "scorer",
    Scorer,
    {
        "choice": "lorascope.scoring.choice:SCORER",
        "official": "lorascope.scoring.official:SCORER",
        "mindformers": "lorascope.scoring.mindformers:SCORER",
        "exact": "lorascope.scoring.exact:SCORER",
        "number": "lorascope.scoring.number:SCORER",
        "regex": "lorascope.scoring.regex:SCORER",
        "f1": "lorascope.scoring.f1:SCORER",
        "rouge": "lorascope.scoring.rouge:SCORER",
        "bleu": "lorascope.scoring.sentences:BLEU",
        "chrf": "lorascope.scoring.sentences:CHRF",
        "wer": "lorascope.scoring.error_rates:WER",
        "cer": "lorascope.scoring.error_rates:CER",
        "likelihood": "lorascope.scoring.likelihood:SCORER",
        "perplexity": "lorascope.scoring.perplexity:SCORER",
        "divergence": "lorascope.scoring.divergence:SCORER",
        "lm_eval": "lorascope.scoring.lm_eval:SCORER",
        "file": "lorascope.scoring.file:SCORER",
        "judge": "lorascope.scoring.judged:JUDGE",
        "rules_then_judge": "lorascope.scoring.judged:RULES_THEN_JUDGE",
        "preference": "lorascope.scoring.judged:PREFERENCE",
    },
)
# Beside these, every benchmark with training data is a format by its own name.
FORMATS = Registry("format", DataFormat, {"jsonl": "lorascope.benchmarks.jsonl:FORMAT"})

PREDICTIONS = Registry(
    "format of predictions",
    PredictionFormat,
    {
        "sakura": "lorascope.exchange.sakura:PREDICTIONS",
        "lm_eval": "lorascope.exchange.lm_eval:PREDICTIONS",
        "jsonl": "lorascope.exchange.jsonl:PREDICTIONS",
    },
)


def deciding_scorer(answers: Answers, mode: Mode | None) -> str | None:
    """Return the first scorer of right and wrong of such answers that leaves a rest to a judge."""
    return next((n for n in _fitting(answers, mode) if SCORERS[n].undecided is not None), None)


def data_formats() -> dict[str, DataFormat]:
    """Return name -> format of training data, those of benchmarks among them."""
    own = {name: FORMATS[name] for name in FORMATS}
    benchmarks = {name: BENCHMARKS[name].training for name in BENCHMARKS}
    return own | {name: training for name, training in benchmarks.items() if training}


def require_format(name: object, where: str) -> DataFormat:
    """Return the format of training data of this name; UserError, saying ``where``, for none."""
    if isinstance(name, str):
        if name in FORMATS.own:
            return FORMATS[name]
        if name in BENCHMARKS and (training := BENCHMARKS[name].training):
            return training
        if name in FORMATS:
            return FORMATS[name]
    raise UserError(f"{where}: {shown(name)} is not one of {', '.join(data_formats())}")


def default_scorer(answers: Answers, mode: Mode | None) -> str | None:
    """Return the name of the first scorer that judges replies of a mode to such items, if any."""
    return next(_fitting(answers, mode), None)


def _fitting(answers: Answers, mode: Mode | None) -> Iterator[str]:
    """Yield the scorers that judge replies of a mode to such items and need no keys."""
    fitting = (name for name in SCORERS.own if SCORERS[name].fits(answers, mode))
    return (name for name in fitting if not SCORERS[name].required)
