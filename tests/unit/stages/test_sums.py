"""A study with sums of a SALMONN's own LoRA and of another adapter, from the plan to the report."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import LlamaForCausalLM

from lorascope.errors import UserError
from lorascope.models import lora
from lorascope.models.salmonn.checkpoint import split
from lorascope.planning.derive import DerivedAdapter
from lorascope.planning.plan import STAGES
from lorascope.planning.report import MIXES
from lorascope.storage.records import read_json, write_json
from tests.support.lab import write_track
from tests.support.small_study import STUDY
from tests.support.stagehand import QUIET, Bench, answers
from tests.support.tiny_salmonn_files import RANK, write_salmonn

READY = "ready"
COMMON = {key: value for key, value in STUDY["experiments"][0].items() if key not in ("id", "grid")}
MIX = {**COMMON, "id": "MIX-{weights.tiny}-{weights.ready}", "adapter": "mix"}
POINTS = [(0, 0), (1, 0), (0, 1), (1, -0.5)]
EXPERIMENTS = [
    {**COMMON, "id": "BASE", "lora_scaling": 0},
    {**COMMON, "id": "OWN"},
    {**COMMON, "id": "READY", "adapter": READY},
    {**MIX, "grid": {"weights": [{"tiny": a, READY: b} for a, b in POINTS]}},
]
ADAPTERS = {
    READY: {"model": "tiny", "source": READY},
    "mix": {"sum_of": {"tiny": 1, READY: 1}},
}


def study(**changes: Any) -> dict[str, Any]:
    own = {"adapters": ADAPTERS, "experiments": EXPERIMENTS, "baseline": "BASE", "shards": 1}
    return {**STUDY, **own, **changes}


def llm() -> Any:
    return LlamaForCausalLM.from_pretrained("models/llm")


def write_ready(**own: Any) -> None:
    """Write an adapter of another rank, scaling and other modules than the checkpoint's."""
    keys = {"r": 3, "lora_alpha": 5, "use_rslora": True, "target_modules": ["q_proj", "up_proj"]}
    wrapped = get_peft_model(llm(), LoraConfig(**{**keys, **own}))
    torch.manual_seed(1)
    for parameter in (p for n, p in wrapped.named_parameters() if "lora_B" in n):
        torch.nn.init.normal_(parameter, std=0.3)
    wrapped.save_pretrained(READY)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the study once it is finished; the working directory is its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("sums"))
        write_salmonn(Path("models"))
        write_track(Path("data-sets"), "Animal", ["cat", "dog"])
        write_ready()
        bench = Bench(study(), QUIET)
        planned = [*bench.plan.of_stage("derive")]
        bench.make(*(stage for stage in STAGES if stage != "page"))
        yield bench, len(planned)


def derived(bench: Bench, experiment: str) -> Path:
    planned = bench.plan.experiments[experiment].adapter
    assert isinstance(planned, DerivedAdapter)
    return planned.folder


def changes(tiny: float, ready: float) -> dict[str, Tensor]:
    """Return module -> the weighted sum of s B A, by hand."""
    own, found = split(Path("models/salmonn.pth"))[1], {}
    for name in (n for n in own if ".lora_A." in n):
        module = name.partition(".lora_A.")[0]
        up = own[name.replace("lora_A", "lora_B")]
        found[module] = tiny * 32 / RANK * up @ own[name]
    model = llm()
    lora.adapt(model, READY, None)
    for module, layer in lora.lora_layers(model).items():
        change = ready * layer.get_delta_weight("default").detach()
        found[module] = found.get(module, 0) + change
    return found


def test_logits_are_those_of_weights_merged_by_hand(finished: Any) -> None:
    bench, _ = finished
    model, merged = llm(), llm().double()
    lora.adapt(model, derived(bench, "MIX-1--0.5"), None)
    with torch.no_grad():
        for module, change in changes(1, -0.5).items():
            merged.get_submodule(module).weight += change
        ids = torch.arange(40).reshape(2, 20)
        found, wanted, plain = (one(ids).logits for one in (model.double(), merged, llm().double()))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert (plain - wanted).abs().max() > 0.1


def test_corners_are_the_adapters_and_the_base_to_the_last_bit(finished: Any) -> None:
    bench, derivations = finished
    found, plan = answers(bench, "response"), bench.plan.experiments
    for corner, alone in (("MIX-0-0", "BASE"), ("MIX-1-0", "OWN"), ("MIX-0-1", "READY")):
        assert found[corner] == found[alone]
        assert plan[corner].digest == plan[alone].digest, "answered once"
    assert derivations == 1
    texts = [str(found[name]) for name in ("BASE", "OWN", "READY", "MIX-1--0.5")]
    assert len({*texts}) == 4


def test_the_report_has_sums_and_nothing_is_left(finished: Any) -> None:
    bench, _ = finished
    assert bench.left() == ["page"]
    folder = bench.plan.report.folder
    assert all((folder / name).stat().st_size for name in MIXES)
    assert len((folder / "mixes.csv").read_text().splitlines()) == 1 + 4 * 2
    assert "mix (-0.5 ready + 1 tiny)" in (folder / "accuracy.csv").read_text()


def test_other_names_and_another_order_derive_nothing_anew(finished: Any) -> None:
    bench, _ = finished
    before = {name: one.digest for name, one in bench.plan.experiments.items()}
    adapters = {"other": ADAPTERS[READY], "sum": {"sum_of": {"other": 1, "tiny": 1}}}
    renamed = [
        EXPERIMENTS[0],
        EXPERIMENTS[1],
        {**EXPERIMENTS[2], "adapter": "other"},
        {**MIX, "id": "MIX-{weights.tiny}-{weights.other}", "adapter": "sum"}
        | {"grid": {"weights": [{"other": b, "tiny": a} for a, b in POINTS]}},
    ]
    again = Bench(study(adapters=adapters, experiments=renamed), QUIET)
    assert {name: one.digest for name, one in again.plan.experiments.items()} == before
    assert again.left() == ["page", "report"]


def test_another_weight_derives_one_more(finished: Any) -> None:
    more = [*EXPERIMENTS[:3], {**MIX, "grid": {"weights.ready": [2, 1]}}]
    left = Bench(study(experiments=more), QUIET).left()
    assert (left.count("derive"), left.count("infer"), left.count("encode")) == (2, 2, 0)


def test_only_parts_and_sums_of_the_study_are_audited(finished: Any) -> None:
    bench, _ = finished
    assert [job.wildcards["adapter"] for job in bench.plan.of_stage("audit")] == [READY, "tiny"]
    more = Bench(study(experiments=[*EXPERIMENTS, {**MIX, "id": "WHOLE"}]), QUIET)
    names = [job.wildcards["adapter"] for job in more.plan.of_stage("audit")]
    assert names == [READY, "mix", "tiny"]


@pytest.mark.parametrize(
    "keys, said",
    [
        ({"use_dora": True}, "use_dora (DoRA rescales the layers' own weights)"),
        ({"bias": "all"}, "bias: all"),
        ({"modules_to_save": ["norm"]}, "modules_to_save"),
        ({"ensure_weight_tying": True}, "ensure_weight_tying: layers share their matrices, so"),
        ({"target_parameters": ["w"]}, "target_parameters: it adapts parameters"),
    ],
)
def test_parts_that_are_no_plain_lora_are_refused_while_planning(
    finished: Any, keys: dict[str, Any], said: str
) -> None:
    file = Path(READY, "adapter_config.json")
    before = read_json(file)
    write_json(file, {**before, **keys})
    try:
        with pytest.raises(UserError) as refused:
            Bench(study(), QUIET).plan  # noqa: B018
    finally:
        write_json(file, before)
    assert str(refused.value).startswith("study.yaml: adapters.ready.source: ready/adapter_config")
    assert said in str(refused.value)


def test_a_part_for_another_model_is_refused_while_planning(finished: Any) -> None:
    other = {"model": "other", "source": READY}
    models = {**STUDY["models"], "other": STUDY["models"]["tiny"]}
    adapters = {**ADAPTERS, "far": other, "mix": {"sum_of": {READY: 1, "far": 1}}}
    with pytest.raises(UserError, match="sum_of: adapters for several models: ready for tiny, far"):
        Bench(study(adapters=adapters, models=models), QUIET).plan  # noqa: B018


def test_nothing_of_a_sum_cannot_be_a_part(finished: Any) -> None:
    adapters = {
        **ADAPTERS,
        "none": {"sum_of": {READY: 0}},
        "mix": {"sum_of": {"none": 2, READY: 1}},
    }
    only = [*EXPERIMENTS[:3], {**MIX, "id": "MIX"}]
    with pytest.raises(UserError, match=r"adapters\.none\.sum_of: all weights are 0, which is the"):
        Bench(study(adapters=adapters, experiments=only), QUIET).plan.left()
