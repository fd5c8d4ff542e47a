"""The settings of an experiment, the grid that stands for many, and the IDs they get."""

import copy
import itertools
import math
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, Field, model_validator

from lorascope.errors import UserError, shown
from lorascope.study.declarations import Mode, Over
from lorascope.study.imported import CommonSettings, ImportedSettings
from lorascope.study.scalings import LoraScaling
from lorascope.study.scorer_names import NamedScorer, named_scorer
from lorascope.study.settings import (
    MOST_NAME,
    READ,
    Count,
    Few,
    Integer,
    Name,
    Natural,
    Number,
    Settings,
    Text,
    not_periodic,
    unique,
)
from lorascope.study.validation import validated

HARMLESS = "settings that decide a result are in its fingerprint by their values"

ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

MOST_EXPERIMENTS = 10_000


class Generation(Settings):
    """Settings of generation."""

    max_new_tokens: Count = Field(200, description="Longest response in tokens.")
    stop: Annotated[list[Text], Field(max_length=100), AfterValidator(unique)] = Field(
        [],
        description="Texts at the first of which a response ends; it is cut there, before them. "
        r'With ["\n"], an answer that runs on into other lines is judged by its first alone.',
    )
    min_length: Natural = Field(
        1,
        description="Shortest response in tokens, the beginning-of-sequence token counted as in "
        "the published SALMONN; 1 is no bound.",
    )
    num_beams: Few = Field(1, description="Beams of beam search; 1 is greedy (or sampling).")
    do_sample: bool = Field(False, description="Sample instead of taking the likeliest token.")
    temperature: Annotated[float, Field(ge=0.001, le=1000), READ] = Field(
        1, description="Temperature of sampling."
    )
    top_p: Annotated[float, Field(gt=0, le=1), READ] = Field(1, description="Nucleus of sampling.")
    top_k: Natural = Field(50, description="Most likely tokens among which to sample; 0 is all.")
    repetition_penalty: Annotated[float, Field(ge=0.001, le=1000), READ] = Field(
        1, description="Penalty of repeated tokens; 1 is none."
    )
    length_penalty: Annotated[float, Field(ge=-100, le=100), READ] = Field(
        1, description="Exponent of the length in the score of a beam."
    )

    @property
    def greedy_because(self) -> str:
        """The setting by which every seed gives the same answers; "" where seeds matter."""
        if not self.do_sample:
            return "generation.do_sample is false"
        return "generation.top_k is 1" if self.top_k == 1 else ""


class Loss(Settings):
    """Settings of mode loss."""

    window: Annotated[int, Field(ge=2, le=10_000_000), READ] | None = Field(
        None,
        description="Most tokens that the model reads at once; a longer text is read in windows. "
        "Null is as many as the model has positions.",
    )
    context: Count = Field(
        1,
        description="At least so many tokens before those of a window are read with it, so that "
        "its first ones have a context; below window.",
    )

    @model_validator(mode="after")
    def _context_fits(self) -> Self:
        if self.window is not None and self.context >= self.window:
            raise ValueError(f"context {self.context} leaves no room in a window of {self.window}")
        return self


class Drift(Settings):
    """Settings of mode drift."""

    over: Over = Field(
        "both",
        description="Of an item with a question, which tokens are looked at: those of its prompt, "
        "of its reference answer after it (or text), or both. A text without a question is read "
        "whole, in the windows of loss.",
    )


class ExperimentSettings(CommonSettings):
    """One model, adapter scaling, dataset and set of generation settings, or a grid of them."""

    model: str = Field(description="Name of a model of this study.")
    adapter: str | None = Field(
        None,
        description="Name of an adapter of this study; null is the model as it is, with the "
        "adapter of its own checkpoint where its family has one.",
    )
    weights: Annotated[dict[Name, Number], Field(max_length=100)] | None = Field(
        None,
        exclude_if=lambda weights: weights is None,
        description="Of an adapter that is a sum (sum_of): weights in place of its own, by its "
        "parts; in a grid, weights.<part>. 0 leaves a part out.",
    )
    batch_size: Count | None = Field(
        None,
        description="Questions answered together at most; null is as many as tokens_at_once holds. "
        "Changes no answer in float32; experiments that are answered together have as many each. "
        "In half precision rounding may depend on what is answered together, so there it is part "
        "of an experiment's identity; what a killed job has to answer again, and a shard is made "
        "of, are then lanes: one to eight times as many questions, as many as leave the dataset 32 "
        "lanes.",
    )
    tokens_at_once: Count = Field(
        16384,
        description="Where batch_size is null: positions held at once, those of prompts, audio and "
        "answers, padding counted. As answers end, others take their place. A smaller number takes "
        "less memory; in half precision it is part of an experiment's identity.",
    )
    generation: Generation = Field(
        Generation(), description="Settings of generation, in the mode generate."
    )
    loss: Loss = Field(Loss(), description="Settings of the modes loss and drift.")
    drift: Drift = Field(Drift(), description="Settings of the mode drift.")
    seed: Integer = Field(0, description="Seed of sampling in run 0; run n uses seed + n.")
    runs: Few = Field(
        1,
        description="Number of runs; run 0 keeps the ID, run n is <ID>-<n> with another seed. More "
        "than one asks for generation.do_sample: true, as the others would repeat its answers.",
    )

    @property
    def repeats_because(self) -> str:
        """The setting by which every seed gives the same answers; "" where seeds matter."""
        if self.mode in ("choose", "loss", "drift"):
            return f"mode is {self.mode}"
        return self.generation.greedy_because


class Template(Settings):
    """What an experiment may have beside its settings: a grid that stands for many of them."""

    grid: dict[str, Annotated[list[Any], Field(min_length=1, max_length=MOST_EXPERIMENTS)]] = Field(
        min_length=1,
        max_length=100,
        description="Lists of values of other keys of the experiment (dotted for generation "
        "settings, such as generation.num_beams, and weights); every combination becomes an "
        "experiment.",
    )


@dataclass(frozen=True)
class Weighted:
    """What an experiment with a sum of adapters is answered with, see `lorascope.study.mixes`.

    ``terms`` are the weights other than 0, where they are not those of the adapter itself.
    """

    adapter: str | None
    lora_scaling: LoraScaling | None
    terms: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Experiment:
    """One run of one model, adapter scaling, dataset and set of generation settings.

    ``id`` names it, ``base`` is the ID without the suffix of a repeated run, ``run`` counts repeats
    from 0. ``settings`` are its own, with every default, the scorer's among them, filled in;
    ``weighted`` is what comes of a sum of adapters under its weights.
    """

    id: str
    base: str
    run: int
    settings: CommonSettings
    weighted: Weighted | None = None

    @property
    def is_imported(self) -> bool:
        """Whether its predictions were made elsewhere: no model of this study answers."""
        return isinstance(self.settings, ImportedSettings)

    @property
    def asked(self) -> ExperimentSettings:
        """Its settings, of one that a model of this study answers."""
        return cast(ExperimentSettings, self.settings)

    @property
    def predictions(self) -> dict[str, Any]:
        """Where predictions that were made elsewhere lie, every default filled in."""
        return cast(ImportedSettings, self.settings).predictions

    @property
    def model(self) -> str:
        """Name of the model: one of this study, or a mere label of what answered elsewhere."""
        return self.settings.model or self.base

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.settings.dataset

    @property
    def adapter(self) -> str | None:
        """Name of the adapter, None for the model as it is; a mere label of one elsewhere."""
        return self.weighted.adapter if self.weighted else self.settings.adapter

    @property
    def lora_scaling(self) -> LoraScaling | None:
        """Absolute scaling of its adapter or parts, as the study writes it; None: its own."""
        return self.weighted.lora_scaling if self.weighted else self.settings.lora_scaling

    @property
    def mode(self) -> Mode | None:
        """How its items are answered; None where each item says so itself."""
        return self.settings.mode

    @property
    def scorer(self) -> str:
        """Name of the scorer."""
        assert self.settings.scorer is not None, "filled in when the study is parsed"
        return named_scorer(self.settings.scorer).name

    @property
    def scoring(self) -> dict[str, Any]:
        """The scorer's own keys, every default filled in."""
        return named_scorer(self.settings.scorer or "").own

    @property
    def rules(self) -> NamedScorer | None:
        """The scorer that is asked before a judge, where there is one."""
        rules = self.scoring.get("rules")
        return named_scorer(rules) if rules else None


def expand(template: Mapping[str, Any], where: str, file: str) -> Iterator[dict[str, Any]]:
    """Yield the entries that a template under ``experiments`` stands for, its grid resolved."""
    grid: dict[str, list[Any]] = {}
    if "grid" in template:
        grid = validated(Template, {"grid": template["grid"]}, file, where).grid
        check_number(math.prod(map(len, grid.values())), f"{file}: {where}.grid")
    for values in itertools.product(*grid.values()):
        entry = {k: copy.deepcopy(v) for k, v in template.items() if k != "grid"}
        for key, value in zip(grid, values, strict=True):
            _assign(entry, key, value, f"{where}.grid", file)
        yield entry


def check_number(experiments: int, where: str) -> None:
    """Raise UserError for more experiments than a plan can hold."""
    if experiments > MOST_EXPERIMENTS:
        raise UserError(
            f"{where}: stands for {experiments:,} experiments; at most {MOST_EXPERIMENTS:,} are "
            "allowed in a study"
        )


def _assign(entry: dict[str, Any], key: str, value: Any, where: str, file: str) -> None:
    *parents, last = key.split(".")
    target = entry
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise UserError(f"{file}: {where}: {shown(key)}: {shown(parent)} is no group of keys")
    if last in target or (not parents and last in ("id", "runs", "grid")):
        raise UserError(
            f"{file}: {where}: {shown(key)}: given by the experiment itself, too; remove one"
        )
    target[last] = value


def runs_of(settings: CommonSettings, where: str, file: str) -> Iterator[Experiment]:
    """Yield the runs of an expanded entry, each with its ID and seed.

    UserError for repeated runs that would repeat their answers.
    """
    base = _expanded(settings.id, settings, f"{file}: {where}.id")
    if not isinstance(settings, ExperimentSettings):
        yield _imported(_checked_id(base, where, file), settings, f"{file}: {where}.predictions")
        return
    if settings.runs > 1:
        refuse_repetition(settings, f"{file}: {where}.runs", f"{settings.runs} runs of {base}")
    for run in range(settings.runs):
        identity = _checked_id(f"{base}-{run}" if run else base, where, file)
        own = settings.model_copy(update={"id": identity, "seed": settings.seed + run, "runs": 1})
        yield Experiment(id=identity, base=base, run=run, settings=own)


def refuse_repetition(settings: ExperimentSettings, where: str, what: str) -> None:
    """Raise UserError, as ``what`` would repeat the same answers, unless these are sampled."""
    if reason := settings.repeats_because:
        raise UserError(
            f"{where}: {what} would repeat the same answers, as {reason}; sample "
            "(generation.do_sample: true, top_k other than 1), or ask for one"
        )


def _imported(identity: str, settings: CommonSettings, where: str) -> Experiment:
    """Return an experiment made elsewhere; the path of its files is a template as the ID is."""
    given = cast(ImportedSettings, settings).predictions
    source = _expanded(given["source"], settings, f"{where}.source")
    own = {"id": identity, "predictions": {**given, "source": source}}
    return Experiment(identity, identity, 0, settings.model_copy(update=own))


def _expanded(template: str, settings: CommonSettings, where: str) -> str:
    """Return a text with the values of an experiment's keys in the places that name them."""
    generation = getattr(settings, "generation", None)
    given = {**(vars(generation) if generation else {}), **vars(settings)}
    if isinstance(settings.scorer, dict):
        own = {key: value for key, value in settings.scorer.items() if key != "name"}
        given = {**own, **given, "scorer": settings.scorer["name"]}
    given |= {f"weights.{part}": v for part, v in (given.get("weights") or {}).items()}
    values = {k: v for k, v in given.items() if not isinstance(v, dict | list | Settings)}
    try:
        _check_places(template, values)
        return _Places().format(template, **{k: word(v) for k, v in values.items()})
    except ValueError as error:
        unnamed = isinstance(settings.lora_scaling, dict) and "lora_scaling" in template
        named = "; give the profile a name under profiles" if unnamed else ""
        raise UserError(
            f"{where}: {shown(template)} does not expand ({error}); "
            f"names it can use: {', '.join(values)}{named}"
        ) from None


class _Places(string.Formatter):
    """The places of a template, in which a dot is part of a key."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        """Return the value of a key."""
        return kwargs[field_name], field_name


def _check_places(template: str, known: Iterable[str]) -> None:
    """ValueError unless the places in an ID's template are keys, filled up to a width at most."""
    for _, key, form, _ in string.Formatter().parse(template):
        if key is not None and key not in known:
            raise ValueError(f"{key!r} is no name")
        if form and not re.fullmatch(r".?[<>^]?\d{1,2}", form, re.DOTALL):
            raise ValueError(f"{form!r} is no width of 1 to 99, such as 0>3")


def _checked_id(identity: str, where: str, file: str) -> str:
    """Return an experiment's ID; UserError for one that cannot name files and rules."""
    problem = None
    if not ID_PATTERN.fullmatch(identity):
        problem = "use letters, digits, '.', '_' and '-', and begin with a letter or digit"
    elif len(identity) > MOST_NAME:
        problem = f"it has {len(identity)} characters; at most {MOST_NAME} are allowed"
    else:
        try:
            not_periodic(identity)
        except ValueError as error:
            problem = str(error)
    if problem:
        raise UserError(
            f"{file}: {where}.id: {shown(identity)} cannot be an experiment ID; {problem}"
        )
    return identity


def places(template: str) -> list[str]:
    """Return the keys in the places of an ID's template; none of what is no template."""
    try:
        return [key for _, key, _, _ in string.Formatter().parse(template) if key]
    except ValueError:
        return []


def word(value: Any) -> str:
    """Return a value as an ID has it: 2 for 2.0."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:g}"
    return str(value)
