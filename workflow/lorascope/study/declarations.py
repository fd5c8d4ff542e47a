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
    from lorascope.study.settings import DatasetSettings, DataSettings, ModelSettings

HARMLESS = "declares; what decides a result lies in the functions that are named"

Function: TypeAlias = str
"""The name of a function, "package.module:function"."""
Modality: TypeAlias = Literal["text", "audio"]
"""What a question is about: a text, or a clip that is heard."""
Answers: TypeAlias = Literal["options", "texts"]
"""What the gold of an item is: one of the options in the question, or texts that count as right."""


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
    gives: Modality
    read: Function
    source_files: Function
    download: Function | None = None
    """As a benchmark's."""


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
    gives: Modality
    answers: Answers
    item_settings: tuple[str, ...]
    """Keys of the dataset that decide its items, beside the source."""
    build_items: Function
    source_files: Function
    categories: Callable[[Settings], list[str]]
    count_items: Callable[[Path, Settings, int | None], Mapping[str, int]]
    """(root, settings, limit) -> category -> number of items, without building them."""
    count_clips: Callable[[Path, Settings, int | None], int] | None = None
    """(root, settings, limit) -> number of clips, for a benchmark of audio."""
    download: Function | None = None
    conditions: bool = False
    """Whether datasets of it are conditions of the same questions, which a table compares."""
    training: DataFormat | None = None
    """For a benchmark whose files can be trained on, as a format of the benchmark's name."""


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A way to judge responses.

    ``score_item`` is a pure function (response, item) -> list of
    ``lorascope.scoring.item_score.ItemScore``, one for each metric.
    """

    judges: Answers
    score_item: Function
    metrics: tuple[str, ...] = ("",)
    """The metrics, as its scores name them."""

    def categories(self, category: str) -> list[str]:
        """Return the categories of the tables that items of a category have."""
        return [scored_category(category, metric) for metric in self.metrics]
