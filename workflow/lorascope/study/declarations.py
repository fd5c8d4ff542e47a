"""What a plug-in declares: a model family, a benchmark, a scorer, a format of training data.

Each is an object of one of these classes, in the plug-in's own module, and a line in
``lorascope.study.registry``. It carries all that anyone else asks of it, so that no other module
has to know its name. Functions that do heavy work, or whose code decides a result, are named,
"package.module:function": planning imports none of them, stages look them up with
``pkgutil.resolve_name``, and the modules they lead to are what a digest covers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lorascope.study.categories import scored_category

if TYPE_CHECKING:
    from lorascope.study.adapters import TrainSettings
    from lorascope.study.experiments import ExperimentSettings
    from lorascope.study.settings import (
        DatasetSettings,
        DataSettings,
        ModelSettings,
        ScorerSettings,
    )

HARMLESS = "declares; what decides a result lies in the functions that are named"

Function: TypeAlias = str
"""The name of a function, "package.module:function"."""
Modality: TypeAlias = Literal["text", "audio"]
"""What a question is about: a text, or a clip that is heard."""
Answers: TypeAlias = Literal["options", "texts", "nothing", "task"]
"""What the gold of an item is: one of its options, texts that count as right, nothing (a text whose
likelihood is asked), or what its task says, item by item."""
Mode: TypeAlias = Literal["generate", "choose", "loss"]
"""How an item is answered: by a text, by the likelihoods of its options, or by that of a text."""
MODES: Mapping[Answers, tuple[Mode, ...]] = {
    "options": ("generate", "choose"),
    "texts": ("generate", "loss"),
    "nothing": ("loss",),
    "task": (),
}
"""What the gold of an item is -> the modes in which it can be answered, the usual one first."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How a family hears clips: encoded once, for every scaling and question.

    ``load`` is a function (settings, device) -> ``lorascope.models.protocol.Encoder``. Features are
    float32, whatever the model's dtype.
    """

    load: Function
    sources: tuple[str, ...]
    """Keys of the model that name the files features depend on."""
    settings: tuple[str, ...]
    """Keys of model and experiment that features depend on, beside the files."""
    feature_bytes: Callable[[Mapping[str, Any]], int]
    """Settings of model and experiment -> about how many bytes one clip's features take."""
    adapter_file: str | None = None
    """A file that an adapter's folder may have, and with which clips are heard otherwise."""
    hears: Callable[[Mapping[str, Path]], float | None] | None = None
    """Key of ``sources`` -> where it lies, if it is here -> how many seconds of a clip are heard.

    None is no limit, or one that only ``lorascope.models.protocol.Encoder.hears`` can tell.
    """


@dataclass(frozen=True, kw_only=True)
class Training:
    """How adapters for a family's models are trained.

    ``prepare`` is a function (settings, train, examples, root, device, scratch) ->
    ``lorascope.models.finetuning.trainee.Trainee``; ``root`` is where the examples were read from,
    ``scratch`` (a ``Scratch`` of that module) a folder to use.
    """

    prepare: Function
    language_model: str
    """Key of the model's source whose linear layers are adapted."""
    settings: type[TrainSettings] | None = None
    """Keys of train for such a model, if it has some of its own."""
    encoding_key: str | None = None
    """A key of its own of train: whether clips are heard otherwise with such an adapter."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models that one piece of code runs.

    ``answerer`` is a function (settings, device, dtype, lora_scaling, adapter) ->
    ``lorascope.models.protocol.Answerer``.
    """

    settings: type[ModelSettings]
    """Keys of a model of the family in the study."""
    takes: Modality
    answerer: Function
    sources: tuple[str, ...]
    """Keys of the model that name the files answers depend on, beside the features."""
    answer_settings: tuple[str, ...]
    """Keys of model and experiment that answers depend on, beside the files."""
    modes: tuple[Mode, ...] = ("generate",)
    """How its models can answer."""
    takes_dialogues: Callable[[Any], bool] | None = None
    """Settings of a model -> whether it takes a system's turn, and examples as turns."""
    experiment: type[ExperimentSettings] | None = None
    """Keys of an experiment with such a model, if it has some of its own."""
    check: Callable[[Any, Mapping[str, Path]], str] | None = None
    """(Settings of a model, key of ``sources`` -> where it lies, if it is here) -> what its small
    files rule out, as a message begins with a key and ends with a remedy; "" for nothing."""
    own_adapter: bool = False
    """Whether a model brings an adapter along, so that a scaling needs no adapter of the study."""
    encoding: Encoding | None = None
    """For a family that takes audio."""
    training: Training | None = None
    """For a family whose adapters the study can train."""

    @property
    def all_sources(self) -> tuple[str, ...]:
        """Keys of the model that name files."""
        encoding = self.encoding.sources if self.encoding else ()
        return tuple(dict.fromkeys((*encoding, *self.sources)))

    @property
    def all_settings(self) -> tuple[str, ...]:
        """Keys of model and experiment, beside the files, that features or answers depend on."""
        encoding = self.encoding.settings if self.encoding else ()
        return tuple(dict.fromkeys((*encoding, *self.answer_settings)))


Settings: TypeAlias = Mapping[str, Any]
"""A dataset's, or training data's, keys of the study and their values, every default filled in."""


@dataclass(frozen=True, kw_only=True)
class DataFormat:
    """A format of training data.

    ``read`` is a function (settings, source) -> examples, a list of
    ``lorascope.benchmarks.examples.Example``; ``source_files`` one (source, settings) -> the local
    files that decide the examples.
    """

    settings: type[DataSettings]
    """Keys of train.data in the study."""
    gives: Modality | Callable[[Settings], Modality]
    """What examples are about, always or by the keys of the data."""
    read: Function
    source_files: Function
    download: Function | None = None
    """As a benchmark's."""

    def gives_of(self, settings: Settings) -> Modality:
        """Return what the examples of some data are about."""
        return self.gives(settings) if callable(self.gives) else self.gives


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark: published files that become items.

    ``root`` is where a dataset's files lie, and ``limit`` how many items of a category a smoke run
    keeps (None: all), in these functions:

    - ``build_items`` (root, settings, limit) -> the items (``lorascope.benchmarks.items.Item``),
      and notes for the log;
    - ``source_files`` (root, settings, limit) -> the local files that decide the items;
    - ``download`` (source, root) -> the commit, or commits by part; fetches what ``source`` of the
      study says (hub, revision) into ``root``.
    """

    settings: type[DatasetSettings]
    """Keys of a dataset in the study; for audio, those of `ClipDatasetSettings` among them."""
    gives: Modality | Callable[[Settings], Modality]
    """What questions are about, always or by the keys of a dataset; so below."""
    answers: Answers | Callable[[Settings], Answers]
    item_settings: tuple[str, ...]
    """Keys of the dataset that decide its items, beside the source."""
    build_items: Function
    source_files: Function
    categories: Callable[[Settings], list[str] | None]
    """Settings -> the categories of the items; None where only files that are not here tell."""
    count_items: Callable[[Path, Settings, int | None], Mapping[str, int] | None]
    """(root, settings, limit) -> category -> number of items, without building them; None where
    only files that are not here tell."""
    count_clips: Callable[[Path, Settings, int | None], int] | None = None
    """(root, settings, limit) -> number of clips, for a benchmark of audio."""
    download: Function | None = None
    gives_dialogues: Callable[[Settings], bool] | None = None
    """Whether items of a dataset have a system's turn, or examples as turns; None: never."""
    conditions: bool = False
    """Whether datasets of it are conditions of the same questions, which a table compares."""
    training: DataFormat | None = None
    """For a benchmark whose files can be trained on, as a format of the benchmark's name."""

    def gives_of(self, settings: Settings) -> Modality:
        """Return what the questions of a dataset are about."""
        return self.gives(settings) if callable(self.gives) else self.gives

    def answers_of(self, settings: Settings) -> Answers:
        """Return what the gold of a dataset's items is."""
        return self.answers(settings) if callable(self.answers) else self.answers


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A way to judge replies.

    ``score_item`` is a pure function (reply, item, **own) -> list of
    ``lorascope.scoring.item_score.ItemScore``, one for each metric. The reply is the response as
    a text or, in the modes choose and loss, ``lorascope.benchmarks.likelihoods.Likelihoods``;
    ``own`` are the scorer's own keys of the study.
    """

    judges: tuple[Answers, ...]
    score_item: Function
    modes: tuple[Mode, ...] = ("generate",)
    """The modes whose replies it judges."""
    metrics: tuple[str, ...] | Callable[[Settings], tuple[str, ...] | None] = ("",)
    """The metrics, as its scores name them, always or by its own keys; None where only the items
    tell, whose scores then name them."""
    settings: type[ScorerSettings] | None = None
    """Its own keys of the study, if it has some."""
    files: tuple[str, ...] = ()
    """Those of its own keys that name files of the user's, on which verdicts depend."""

    def fits(self, answers: Answers, mode: Mode | None) -> bool:
        """Return whether it judges replies of a mode to items with such a gold."""
        return answers in self.judges and (mode is None or mode in self.modes)

    def metrics_of(self, own: Settings) -> tuple[str, ...] | None:
        """Return the metrics that scores have under its own keys."""
        return self.metrics(own) if callable(self.metrics) else self.metrics

    def categories(self, category: str, own: Settings) -> list[str] | None:
        """Return the categories of the tables that items of a category have; None: not known."""
        metrics = self.metrics_of(own)
        return None if metrics is None else [scored_category(category, m) for m in metrics]
