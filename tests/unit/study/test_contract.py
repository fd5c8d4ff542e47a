"""What every registered plug-in keeps to."""

import inspect
import re
from pkgutil import resolve_name
from typing import Any

import pytest

from lorascope.benchmarks.items import Item
from lorascope.benchmarks.likelihoods import Drift, Likelihoods
from lorascope.benchmarks.settings import ClipDatasetSettings
from lorascope.scoring.item_score import Verdict
from lorascope.study.adapters import TrainSettings
from lorascope.study.categories import scored_category
from lorascope.study.declarations import MODES, DataFormat, Scorer
from lorascope.study.experiments import ExperimentSettings
from lorascope.study.registry import (
    BENCHMARKS,
    FAMILIES,
    FORMATS,
    PREDICTIONS,
    SCORERS,
    data_formats,
    default_scorer,
)
from lorascope.study.settings import (
    NAME,
    DatasetSettings,
    DataSettings,
    ModelSettings,
    ScorerSettings,
    Settings,
)
from tests.support.basics import ROOT, printed

PACKAGE = ROOT / "workflow/lorascope"
REGISTRIES = {
    registry.what: registry for registry in (FAMILIES, BENCHMARKS, SCORERS, FORMATS, PREDICTIONS)
}
# Keys that change nothing in an answer, or stand in every fingerprint by themselves.
NOT_OF_ANSWERS = {"family", "dtype", "gpus_per_job"}
NOT_OF_ITEMS = {"benchmark", "source", "encode_jobs"}
# Keys whose meaning a look at files tells, which is in the fingerprint instead.
LOOKED_AT = {"task", "include_path", "revisions"}
HEAVY = {"torch", "transformers", "peft", "accelerate", "pandas", "pyarrow", "scipy", "soundfile"}
HEAVY |= {"jiwer", "sacrebleu", "rouge_score", "regex"}
ITEM = Item(
    item_id="legs-single/1",
    category="legs-single",
    question="How many? (a) 12 (b) 7",
    answer="(a) 12",
    answers=("(a) 12", "12"),
    options=(("a", "12"), ("b", "7")),
    gold="a",
    continuations=(" 12", " 7"),
)


def _moved(nats: float) -> Drift:
    """Return the drift of a token, which is so far off, and another one if it is far."""
    return Drift((5,), ("a",), (-nats,), (-nats,), (nats,), (nats,), (nats > 1,), (True,))


REPLIES: dict[str, tuple[Any, Any]] = {
    "generate": ("(a) 12", "nothing"),
    "choose": tuple(Likelihoods(sums, (1, 1), (True, True)) for sums in ((-1.0, -5.0), (-5, -1))),
    "loss": tuple(Likelihoods((total,), (1,), (True,)) for total in (-1.0, -2.0)),
    "drift": tuple(Likelihoods((-n,), (1,), (True,), 0, _moved(n)) for n in (1.0, 2.0)),
}
"""Mode -> a good reply to the item, and a bad one."""
OWN_FILE = """
def score_item(response, item):
    return response == item.answer if isinstance(response, str) else response.sums[0] > -1.5
"""


def accepts(function: str, *parameters: str) -> bool:
    """Return whether the function of this name exists and takes so many positions."""
    try:
        inspect.signature(resolve_name(function)).bind(*parameters)
    except TypeError:
        return False
    return True


def undescribed(model: type[Settings]) -> list[str]:
    return [key for key, field in model.model_fields.items() if not field.description]


def defaults(model: type[Settings]) -> dict[str, Any]:
    """Return a model's keys with their defaults, None where a key is required."""
    return {key: field.get_default() for key, field in model.model_fields.items()}


def dumped(model: type[Settings]) -> dict[str, Any]:
    values = {k: v for k, v in defaults(model).items() if not model.model_fields[k].is_required()}
    return model.model_construct(**values).model_dump()


@pytest.mark.parametrize("name", [*FAMILIES])
class TestFamily:
    @pytest.fixture
    def family(self, name):
        return FAMILIES[name]

    @pytest.fixture
    def keys(self, family):
        own = family.experiment.model_fields.keys() if family.experiment else set()
        general = ExperimentSettings.model_fields.keys()
        return family.settings.model_fields.keys() | (own - general)

    def test_keys_are_closed_and_described(self, family):
        assert issubclass(family.settings, ModelSettings)
        assert undescribed(family.settings) == []
        if family.experiment:
            assert issubclass(family.experiment, ExperimentSettings)
            assert undescribed(family.experiment) == []
            # A training has no experiment: its features are heard with these defaults.
            own = family.experiment.model_fields.keys() - ExperimentSettings.model_fields.keys()
            assert not any(family.experiment.model_fields[key].is_required() for key in own)

    def test_every_key_is_in_the_fingerprint_of_answers_or_features(self, family, keys):
        assert {*family.all_settings, *family.all_sources} == keys - NOT_OF_ANSWERS

    def test_sources_are_files_or_repositories(self, family):
        for key in family.all_sources:
            assert family.settings.model_fields[key].is_required()
            checked = family.settings.__pydantic_validator__.validate_assignment
            made = family.settings.model_construct()
            for source in ("weights/a", {"hub": "owner/name"}):
                checked(made.model_copy(), key, source)

    def test_it_answers(self, family):
        assert accepts(family.answerer, "settings", "device", "dtype", "lora_scaling", "adapter")

    def test_it_hears_clips_if_it_takes_audio(self, family):
        assert (family.takes == "audio") == (family.encoding is not None)
        if encoding := family.encoding:
            assert accepts(encoding.load, "settings", "device")
            settings = dumped(family.settings)
            settings |= dumped(family.experiment) if family.experiment else {}
            assert encoding.feature_bytes(settings) > 0

    def test_its_adapters_are_trained_as_declared(self, family):
        if training := family.training:
            given = ("settings", "train", "examples", "root", "device", "scratch")
            assert accepts(training.prepare, *given)
            assert training.language_model in family.all_sources
            settings = training.settings or TrainSettings
            assert issubclass(settings, TrainSettings)
            assert undescribed(settings) == []
            if training.encoding_key:
                assert settings.model_fields[training.encoding_key].annotation is bool
                assert family.encoding


@pytest.mark.parametrize("name", [*BENCHMARKS])
class TestBenchmark:
    @pytest.fixture
    def benchmark(self, name):
        return BENCHMARKS[name]

    def test_keys_are_closed_and_described(self, benchmark):
        assert issubclass(benchmark.settings, DatasetSettings)
        assert undescribed(benchmark.settings) == []

    def test_every_key_is_in_the_fingerprint_of_items(self, benchmark):
        others = NOT_OF_ITEMS | (LOOKED_AT if benchmark.look else set())
        assert {*benchmark.item_settings} == benchmark.settings.model_fields.keys() - others

    def test_it_makes_items(self, benchmark):
        assert accepts(benchmark.build_items, "root", "settings", "limit")
        assert accepts(benchmark.source_files, "root", "settings", "limit")

    def test_a_benchmark_of_audio_has_clips_and_a_condition(self, benchmark):
        heard = issubclass(benchmark.settings, ClipDatasetSettings)
        hears = callable(benchmark.gives) or benchmark.gives == "audio"
        assert heard == hears == (benchmark.count_clips is not None)

    def test_it_counts_items_by_category_before_there_are_any(self, benchmark, tmp_path):
        settings = dumped(benchmark.settings)
        categories = benchmark.categories(settings)
        if categories is None:
            assert benchmark.count_items(tmp_path / "absent", settings, 3) is None
            return
        assert categories
        assert len({*categories}) == len(categories)
        assert all(re.fullmatch(NAME, category) for category in categories)
        counted = benchmark.count_items(tmp_path / "absent", settings, 3)
        if counted is None:  # nothing is published that would tell
            return
        assert list(counted) == categories
        assert all(0 < count <= 3 for count in counted.values())
        if benchmark.count_clips:
            assert benchmark.count_clips(tmp_path / "absent", settings, 3) > 0

    def test_it_comes_from_the_hub_if_its_source_may(self, benchmark):
        field = benchmark.settings.model_fields["source"]
        hub = "hub" in str(field.annotation).lower() or benchmark.look is not None
        assert hub == (benchmark.download is not None)
        if benchmark.download:
            assert accepts(benchmark.download, "source", "root")

    def test_there_is_a_scorer_for_it(self, benchmark):
        answers = benchmark.answers_of(dumped(benchmark.settings))
        for mode in MODES[answers] or (None,):
            name = default_scorer(answers, mode)
            assert name
            assert SCORERS[name].fits(answers, mode)


def asked_of(scorer: Scorer, reply: Any) -> dict[str, Any]:
    """Return what a scorer that asks a judge is given in place of its own keys: its verdict."""
    good = reply == REPLIES["generate"][0]
    said = {"verdict": ("correct", "incorrect"), "preference": ("better", "worse")}
    return {"verdict": Verdict(said[scorer.asks][not good], "so it says")}


@pytest.mark.parametrize("name", [*SCORERS])
class TestScorer:
    @pytest.fixture
    def scorer(self, name):
        return SCORERS[name]

    @pytest.fixture
    def own(self, scorer, name, tmp_path) -> dict[str, Any]:
        """Its own keys, with those that are required."""
        path = tmp_path / "own.py"
        path.write_text(OWN_FILE)
        keys = dict.fromkeys(scorer.files, str(path))
        keys |= {key: r"\d+" for key in scorer.required if key not in keys}
        whole = scorer.settings.model_validate({"name": name} | keys) if scorer.settings else None
        return whole.model_dump(exclude={"name"}) if whole else {}

    def test_keys_are_closed_and_described(self, scorer):
        if scorer.settings:
            assert issubclass(scorer.settings, ScorerSettings)
            assert undescribed(scorer.settings) == []
            assert {*scorer.files} <= scorer.settings.model_fields.keys()

    def test_it_scores_each_of_its_metrics(self, scorer, own):
        if scorer.judges == ("task",):
            pytest.skip("judges the items of its own benchmark alone")
        score, metrics = resolve_name(scorer.score_item), scorer.metrics_of(own)
        for mode in scorer.modes:
            for reply in (*REPLIES[mode], *(("", "12", "no idea") if mode == "generate" else ())):
                found = score(reply, ITEM, **(asked_of(scorer, reply) if scorer.asks else own))
                assert found
                if metrics is not None:
                    assert tuple(one.metric for one in found) == metrics
                for one in found:
                    assert one.weight > 0
                    assert 0 <= one.credit / one.weight <= 1 or not one.measure.bounded

    def test_a_good_reply_is_better_than_a_bad_one_in_the_direction_of_its_measure(
        self, scorer, own
    ):
        if scorer.judges == ("task",):
            pytest.skip("judges the items of its own benchmark alone")
        score = resolve_name(scorer.score_item)
        for mode in scorer.modes:
            good, bad = (
                score(reply, ITEM, **(asked_of(scorer, reply) if scorer.asks else own))
                for reply in REPLIES[mode]
            )
            for one, other in zip(good, bad, strict=True):
                means = [found.credit / found.weight for found in (one, other)]
                assert means == sorted(means, reverse=one.measure.higher_is_better)
                assert means[0] != means[1]
                if one.measure.bounded:
                    assert means == ([1, 0] if one.measure.higher_is_better else [0, 1])

    def test_its_metrics_are_categories_of_their_own(self, scorer, own):
        categories, metrics = scorer.categories("legs-single", own), scorer.metrics_of(own)
        if metrics is None:
            assert categories is None
        else:
            assert categories == [scored_category("legs-single", name) for name in metrics]
            assert len({*categories}) == len(categories)


@pytest.mark.parametrize("name", [*data_formats()])
class TestDataFormat:
    @pytest.fixture
    def data_format(self, name) -> DataFormat:
        return data_formats()[name]

    def test_keys_are_closed_and_described(self, data_format):
        assert issubclass(data_format.settings, DataSettings)
        assert undescribed(data_format.settings) == []

    def test_it_reads_examples(self, data_format):
        assert accepts(data_format.read, "settings", "source")
        assert accepts(data_format.source_files, "source", "settings")
        if data_format.download:
            assert accepts(data_format.download, "source", "root")


@pytest.mark.parametrize("what", [*REGISTRIES])
def test_declarations_are_read_without_anything_heavy(what):
    """Planning reads them all; functions that are named import what they need themselves."""
    registry = REGISTRIES[what]
    places = registry.own | registry.others
    code = (
        "import sys; from pkgutil import resolve_name; "
        f"[resolve_name(place) for place in {[*places.values()]}]; "
        f"print(sorted({HEAVY} & sys.modules.keys()))"
    )
    assert printed(code).strip() == "[]"
