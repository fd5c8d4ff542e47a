"""The study as one typed whole: what its file may hold, and what it is once it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lorascope.study.adapters import AdapterKeys, Derivation, TrainSettings
from lorascope.study.baseline import AnyBaseline, Baseline, Reference, as_written, references
from lorascope.study.choices import Choice, Choices
from lorascope.study.drifting import DriftKeys
from lorascope.study.experiments import MOST_EXPERIMENTS, Experiment
from lorascope.study.judges import JudgeSettings
from lorascope.study.profiles import DEFAULT, Scalings
from lorascope.study.scalings import Written
from lorascope.study.searches import Search, Searches
from lorascope.study.settings import (
    READ,
    Count,
    DatasetSettings,
    DataSettings,
    Few,
    HubFile,
    Jobs,
    ModelSettings,
    Name,
    Settings,
)

HARMLESS = "settings that decide a result are in its fingerprint by their values"


class Gate(Settings):
    """A gate, as in "keep at least 90 % of the base model's F1"."""

    of: str = Field(description="ID of the experiment whose score is to be kept.")
    metric: str = Field(description="Category of the table, such as <category>-f1.")
    at_least: Annotated[float, Field(gt=0, le=100), READ] = Field(
        0.9,
        description="Part of the score that has to be kept. Where lower is better, the part is "
        "the score of `of` divided by the run's: 0.9 allows a perplexity of 20 in place of 18.",
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1), READ] = Field(
        0.95, description="Confidence of the one-sided bounds, and of the verdicts of all gates."
    )
    stop_on: Literal["never", "fail", "undecided"] = Field(
        "never",
        description="Let the workflow end in an error, after the report, when an experiment fails, "
        "or already when it is undecided.",
    )


class AuditSettings(Settings):
    """What is looked for in each adapter, beside norms and ranks (docs/adapter.md)."""

    intruders: Count | None = Field(
        None,
        description="Count intruder dimensions among so many of the largest singular vectors of "
        "each adapted weight, 10 in the paper (arXiv:2410.21228). A 7B model takes hours. Null "
        "does not look for them.",
    )
    intruder_cosine: Annotated[float, Field(gt=0, le=1), READ] = Field(
        0.5,
        description="A singular vector is an intruder if its cosine with every one of the base "
        "model's is below this.",
    )


class PageSettings(Settings):
    """The page on which a reader goes from a number to the items behind it."""

    clips: bool = Field(
        True, description="Whether the page has the clips, as the model heard them (FLAC, 16 bit)."
    )
    clip_megabytes: Count = Field(
        1000,
        description="At most so much of clips, in MB of 1,000,000 bytes: where they are more, a "
        "sample that is spread over them. An hour at 16 kHz is about 60 MB.",
    )


class ReportSettings(Settings):
    """How the report looks."""

    title: str | None = Field(None, description="Title of the charts; the study's name if absent.")
    newest_runs: Few = Field(
        3, description="How many of the newest runs of an experiment the table shows."
    )
    page: PageSettings = Field(PageSettings(), description="The page of the items.")


Gates = Annotated[
    list[Gate],
    Field(max_length=1000),
    BeforeValidator(lambda value: [value] if isinstance(value, dict) else value),
]
Parts = Annotated[dict[Name, dict[str, Any]], Field(min_length=1, max_length=1000)]


Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]


class StudyFile(Settings):
    """One complete YAML file that says which models answer which questions under which settings."""

    study: Name = Field(description="Name of the study and of its folder under results/reports.")
    description: str = Field(
        "", description="What the study asks, in a sentence; printed above the table."
    )
    models: dict[Name, dict[str, Any]] = Field(
        {},
        max_length=1000,
        description="The models, by the names that experiments use; none where all predictions "
        "were made elsewhere.",
    )
    adapters: dict[Name, AdapterKeys] = Field(
        {},
        max_length=1000,
        description="LoRA adapters for the models: ready-made, trained by this study, or derived "
        "from others.",
    )
    profiles: Written = Field(
        {},
        description="Scalings of parts of a model, by the names that lora_scaling uses: keys such "
        "as default, layers.0-7 or q_proj, and their scalings. Under ready, which ready-made ones "
        "to make (docs/adapter.md).",
    )
    judges: dict[Name, JudgeSettings] = Field(
        {},
        max_length=1000,
        description="Judges of responses, by the names that scorers which ask one use.",
    )
    datasets: Parts = Field(
        description="The benchmarks, under an audio condition where they have clips, by the names "
        "that experiments use."
    )
    experiments: Annotated[
        list[dict[str, Any]], Field(min_length=1, max_length=MOST_EXPERIMENTS)
    ] = Field(
        description="The experiments, each one or, with a grid, many of them; with the key "
        "predictions, one that was answered elsewhere (see its own table)."
    )
    baseline: Baseline = Field(
        description="What deltas refer to: the ID of an experiment of this study, IDs of several "
        "with different categories, or a published table, by category: accuracies in percent or, "
        "so that differences are tested, counts such as `{correct: 342, total: 500}` "
        "(see the table of published baselines for what else it may say). With several models, "
        "model: one of these for each; or own: each experiment's base model, which is the "
        "experiment with equal values of all other keys that has no adapter, or else the same "
        "adapter at lora_scaling 0, or strength 0 (at 0, too, where a model brings its adapter "
        "along)."
    )
    drift: DriftKeys | None = Field(
        None,
        description="Read every model of the experiments, under each of their adapters (but nulls) "
        "and scalings, on these data with and without its adapter: an experiment in the mode drift "
        "each, <ID>-drift, which the table leaves out. The report shows it beside gain and "
        "retention.",
    )
    retain: Gates = Field(
        [],
        description="What every other experiment on a dataset has to keep of one experiment's "
        "score, as a gate or a list of gates. The report states the retention with its bounds, and "
        "pass, fail or undecided: by itself, and for all experiments and gates together.",
    )
    choose: Choices = Field(
        [],
        description="What to choose among experiments, such as a LoRA scaling, as a choice or a "
        "list of choices. The report says what is chosen, and how good that is on items that had "
        "no part in the choice (docs/adapter.md).",
    )
    search: Searches = Field(
        [],
        description="A search for the best of many experiments, or a list of searches: all are "
        "asked a part of the items, the better half more of them, and so on (docs/adapter.md).",
    )
    shards: Jobs = Field(
        1,
        description="Into how many jobs the inference of each experiment is split. Never changes "
        "an answer.",
    )
    limit: Count | None = Field(
        None,
        description="Keep only so many items of each category, for a smoke run. Null keeps all.",
    )
    report: ReportSettings = Field(ReportSettings(), description="How the report looks.")
    audit: AuditSettings = Field(AuditSettings(), description="What is looked for in adapters.")
    tracking: list[Tracker] = Field(
        [],
        max_length=10,
        description="Experiment trackers that follow the study's trainings and get its final "
        "tables, each installed besides: `pip install wandb`. Never changes a result.",
    )


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter for a model: with a source, trained with train and data, or derived."""

    model: str
    source: str | HubFile | None
    train: TrainSettings | None
    data: DataSettings | None
    base_model: str | None = None
    derived: Derivation | None = None


@dataclass(frozen=True)
class Study:
    """A validated study with every default filled in and every grid expanded."""

    name: str
    file: str
    description: str
    models: Mapping[str, ModelSettings]
    adapters: Mapping[str, Adapter]
    judges: Mapping[str, JudgeSettings]
    datasets: Mapping[str, DatasetSettings]
    experiments: Mapping[str, Experiment]
    baseline: AnyBaseline
    retain: Sequence[Gate]
    choose: Sequence[Choice]
    search: Sequence[Search]
    shards: int
    limit: int | None
    report: ReportSettings
    audit: AuditSettings
    tracking: Sequence[str]
    profiles: Mapping[str, Scalings | float | None] = field(default_factory=dict)

    def scaling_of(self, experiment: Experiment) -> Scalings | float | None:
        """Return an experiment's LoRA scaling: a profile in canonical form, named or not."""
        scaling = experiment.lora_scaling
        return self.profiles[scaling] if isinstance(scaling, str) else scaling

    @cached_property
    def references(self) -> list[Reference]:
        """What the runs are compared with; UserError where a run of the table has nothing."""
        return references(self)

    @cached_property
    def model_names(self) -> list[str]:
        """Names of models: those of the study, and the labels of what answered elsewhere."""
        return [*dict.fromkeys([*self.models, *(e.model for e in self.experiments.values())])]

    @property
    def written_baseline(self) -> Any:
        """The baseline as a file could hold it."""
        return as_written(self.baseline)

    def resolved(self) -> dict[str, Any]:
        """Return the study as a file could hold it, with all defaults and without grids."""
        return {
            "study": self.name,
            "description": self.description,
            "models": {name: model.model_dump() for name, model in self.models.items()},
            "adapters": {
                name: _adapter_keys(adapter)
                for name, adapter in self.adapters.items()
                if not (adapter.derived and adapter.derived.of)
            },
            **({"profiles": _profile_keys(self.profiles)} if self.profiles else {}),
            "judges": {name: judge.model_dump() for name, judge in self.judges.items()},
            "datasets": {name: dataset.model_dump() for name, dataset in self.datasets.items()},
            "experiments": [e.settings.model_dump() for e in self.experiments.values()],
            "baseline": self.written_baseline,
            "retain": [gate.model_dump() for gate in self.retain],
            "choose": [choice.model_dump() for choice in self.choose],
            "search": [search.model_dump() for search in self.search],
            "shards": self.shards,
            "limit": self.limit,
            "report": self.report.model_dump(),
            "audit": self.audit.model_dump(),
            "tracking": [*self.tracking],
        }


def _profile_keys(profiles: Mapping[str, Scalings | float | None]) -> dict[str, Scalings]:
    return {k: one if isinstance(one, dict) else {DEFAULT: one} for k, one in profiles.items()}


def _adapter_keys(adapter: Adapter) -> dict[str, Any]:
    if adapter.derived:
        return _derivation_keys(adapter.derived)
    if adapter.train is None or adapter.data is None:
        source = adapter.source
        plain = source.model_dump() if isinstance(source, Settings) else source
        said = {"base_model": adapter.base_model} if adapter.base_model else {}
        return {"model": adapter.model, "source": plain, **said}
    train = {"data": adapter.data.model_dump(), **adapter.train.model_dump()}
    return {"model": adapter.model, "train": train}


def _derivation_keys(derived: Derivation) -> dict[str, Any]:
    if not derived.is_null:
        return {"sum_of": dict(derived.parts)}
    seed = {} if derived.seed is None else {"seed": derived.seed}
    return {"null_of": next(iter(derived.parts)), "kind": derived.kind, **seed}
