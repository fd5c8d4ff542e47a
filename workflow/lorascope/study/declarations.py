"""What a plug-in declares: a family, a benchmark, a scorer, a format of data or of predictions.

Each is an object of one of these classes, in the plug-in's own module, and a line in
``lorascope.study.registry``. It carries all that anyone else asks of it, so that no other module
has to know its name. Functions that do heavy work, or whose code decides a result, are named,
"package.module:function": planning imports none of them, stages look them up with
``pkgutil.resolve_name``, and the modules they lead to are what a digest covers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
        HubSource,
        ModelSettings,
        PredictionSettings,
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
FreeAnswers: TypeAlias = Literal["numbers", "texts", "long texts", "transcripts"]
"""What answers that are no options look like."""
Asks: TypeAlias = Literal["verdict", "preference"]
"""What a judge is asked: about each response, or which of two is better."""
Mode: TypeAlias = Literal["generate", "choose", "loss", "drift"]
"""How an item is answered: by a text, by the likelihoods of its options, by that of a text, or by
how far the adapter moves the model's distributions on it."""
Over: TypeAlias = Literal["prompt", "answer", "both"]
"""Which tokens of an item with a question are looked at in the mode drift."""
MODES: Mapping[Answers, tuple[Mode, ...]] = {
    "options": ("generate", "choose", "drift"),
    "texts": ("generate", "loss", "drift"),
    "nothing": ("loss", "drift"),
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
    sampling_rate: Callable[[Mapping[str, Path]], int] | None = None
    """As ``hears`` -> Hz at which clips are heard; None is 16 kHz."""


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
    measure: Function = "lorascope.models.finetuning.trainee:measure_folder"
    """(folder of that source, train, whether code of its files may run) -> ``Sizes`` of that
    module, read off its configuration before the model is loaded."""
    settings: type[TrainSettings] | None = None
    """Keys of train for such a model, if it has some of its own."""
    encoding_key: str | None = None
    """A key of its own of train: whether clips are heard otherwise with such an adapter."""
    check: Callable[[Any, Any], str] | None = None
    """(Settings of a model, keys of train) -> what keeps the adapter from being answered with, as a
    message begins with a key of train and ends with a remedy; "" for nothing."""


@dataclass(frozen=True, kw_only=True)
class OwnLora:
    """Where the LoRA lies that a family's models bring along, of one rank.

    ``read`` is a function (file) -> its tensors, torch's, by ``<module>.lora_A.default.weight``.
    """

    read: Function
    source: str
    """Key of the model that names the file."""
    alpha: str
    """Key of the model that says alpha."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models that one piece of code runs.

    ``answerer`` is a function (settings, device, dtype, lora_scaling, adapter) ->
    ``lorascope.models.protocol.Answerer``; where it ``takes_strength``, with that at the end.
    """

    settings: type[ModelSettings]
    """Keys of a model of the family in the study."""
    takes: Modality
    answerer: Function
    sources: tuple[str, ...]
    """Keys of the model that name the files answers depend on, beside the features."""
    recognises: Callable[[Mapping[str, Any]], bool] | None = None
    """The config.json of a model's folder -> whether the family runs it, for a family whose models
    are the one folder that the first of ``sources`` names."""
    answer_settings: tuple[str, ...]
    """Keys of model and experiment that answers depend on, beside the files."""
    modes: tuple[Mode, ...] = ("generate",)
    """How its models can answer."""
    takes_dialogues: Callable[[Any], bool] | None = None
    """Settings of a model -> whether it takes a system's turn, and examples as turns."""
    takes_questions: bool = True
    """Whether something is asked about a clip; a recogniser writes down what it hears."""
    experiment: type[ExperimentSettings] | None = None
    """Keys of an experiment with such a model, if it has some of its own."""
    check: Callable[[Any, Mapping[str, Path]], str] | None = None
    """(Settings of a model, key of ``sources`` -> where it lies, if it is here) -> what its small
    files rule out, as a message begins with a key and ends with a remedy; "" for nothing."""
    takes_strength: bool = False
    """Whether its models take adapters that are more than a LoRA, at a strength."""
    own_adapter: bool = False
    """Whether a model brings an adapter along, so that a scaling needs no adapter of the study."""
    scales_parts: bool = False
    """Whether its answerer takes a profile (``lorascope.models.profiles``) as a LoRA scaling."""
    own_lora: OwnLora | None = None
    """Where that adapter lies, for audits of it."""
    encoding: Encoding | None = None
    """For a family that takes audio."""
    training: Training | None = None
    """For a family whose adapters the study can train."""

    @property
    def language_model(self) -> str:
        """Key of the model's source whose layers are adapted."""
        return self.training.language_model if self.training else self.sources[0]

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
    clip_root: Callable[[Path, Settings], Path] | None = None
    """As a benchmark's."""

    def gives_of(self, settings: Settings) -> Modality:
        """Return what the examples of some data are about."""
        return self.gives(settings) if callable(self.gives) else self.gives

    def clips_of(self, root: Path, settings: Settings) -> Path:
        """Return the folder below which the examples of some data name their clips."""
        return self.clip_root(root, settings) if self.clip_root else root


@dataclass(frozen=True, kw_only=True)
class PredictionFormat:
    """A format of predictions that were made elsewhere.

    ``read`` is a function (files, items, own) -> replies, a list of
    ``lorascope.exchange.replies.Reply``: ``items`` are those of the dataset, by which a format
    finds what an answer is to, ``own`` its settings in the study.
    """

    settings: type[PredictionSettings]
    """Keys of predictions in the study."""
    read: Function
    files: str
    """Pattern of its files, below a folder at any depth."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a dataset is made of where its keys alone do not tell, in JSON's values.

    decides: what of it decides the items, beside the keys; ``told``: what ``build_items`` and
    ``source_files`` are given besides, which decides nothing; ``repositories``: those of the hub
    that the items come from. ``build_items`` is told where they lie, as a list "folders".
    """

    decides: Settings
    told: Settings
    repositories: Sequence[HubSource] = ()


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
    look: Callable[[Settings], Look] | None = None
    """What a look at the files of a dataset tells, kept between plans; UserError, without the key,
    for a dataset that cannot be."""
    gives_dialogues: Callable[[Settings], bool] | None = None
    """Whether items of a dataset have a system's turn, or examples as turns; None: never."""
    asks: Callable[[Settings], bool] | None = None
    """Whether items of a dataset have a question; None: only they tell."""
    clip_root: Callable[[Path, Settings], Path] | None = None
    """(root, settings) -> the folder below which items name their clips; None: ``root``."""
    conditions: bool | tuple[str, ...] = False
    """Whether datasets of it are conditions of the same questions, which a table compares; or the
    keys in which alone such conditions differ."""
    training: DataFormat | None = None
    """For a benchmark whose files can be trained on, as a format of the benchmark's name."""

    def gives_of(self, settings: Settings) -> Modality:
        """Return what the questions of a dataset are about."""
        return self.gives(settings) if callable(self.gives) else self.gives

    def clips_of(self, root: Path, settings: Settings) -> Path:
        """Return the folder below which a dataset's items name their clips."""
        return self.clip_root(root, settings) if self.clip_root else root

    def are_conditions(self, one: Settings, other: Settings) -> bool:
        """Return whether two datasets ask the same questions under different conditions."""
        if isinstance(self.conditions, bool):
            return self.conditions
        return all(one[key] == other[key] for key in one if key not in self.conditions)

    def answers_of(self, settings: Settings) -> Answers:
        """Return what the gold of a dataset's items is."""
        return self.answers(settings) if callable(self.answers) else self.answers


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A way to judge replies.

    ``score_item`` is a pure function (reply, item, **own) -> list of
    ``lorascope.scoring.item_score.ItemScore``, one for each metric. The reply is the response as
    a text or, in the other modes, ``lorascope.benchmarks.likelihoods.Likelihoods``;
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
    suits: tuple[FreeAnswers, str] | None = None
    """The free answers that it is the usual scorer of, where a study is begun, and in words what it
    compares."""
    shares: bool = True
    """Whether what it measures are shares in percent, as an accuracy or F1 is: a published value
    is then between 0 and 100."""
    files: tuple[str, ...] = ()
    """Those of its own keys that name files of the user's, on which verdicts depend."""
    modules: Callable[[Path], Iterable[Path]] | None = None
    """Such a file -> other files of the user's that it imports, found without running it."""
    undecided: tuple[str, ...] | None = None
    """For a scorer with one metric, right or wrong: statuses in which a score without full credit
    decides nothing, so that a judge may be asked. None: it has no such rest."""
    asks: Asks | None = None
    """What it asks the judge of the study that its key ``judge`` names. ``score_item`` is then
    given (reply, item, verdict) instead, with a ``lorascope.scoring.judged.scorer.Verdict``."""

    def fits(self, answers: Answers, mode: Mode | None) -> bool:
        """Return whether it judges replies of a mode to items with such a gold."""
        return answers in self.judges and (mode is None or mode in self.modes)

    def metrics_of(self, own: Settings) -> tuple[str, ...] | None:
        """Return the metrics that scores have under its own keys."""
        return self.metrics(own) if callable(self.metrics) else self.metrics

    @property
    def required(self) -> list[str]:
        """Its own keys without which it judges nothing."""
        fields = self.settings.model_fields if self.settings else {}
        return [key for key, field in fields.items() if field.is_required() and key != "name"]

    def categories(self, category: str, own: Settings) -> list[str] | None:
        """Return the categories of the tables that items of a category have; None: not known."""
        metrics = self.metrics_of(own)
        return None if metrics is None else [scored_category(category, m) for m in metrics]
