"""Derived adapters as they are planned: jobs, digests, what waits for them, what is refused."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lorascope.errors import UserError
from lorascope.inspecting.overview import plan_lines, size_text
from lorascope.inspecting.prune import unplanned
from lorascope.inspecting.status import status_lines
from lorascope.planning.audit import plan_audits
from lorascope.planning.derive import plan_adapter, plan_derived
from lorascope.planning.nulls import plan_nulls, unmatched_nulls
from lorascope.planning.plan import Plan, load_plan
from tests.support.small_study import STUDY as SALMONN
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import write_adapter, write_model

TRAIN = {
    "data": {"format": "squad", "source": "dev.json", "prompt": "{question}"},
    "rank": 2,
    "steps": 1,
    "batch_size": 1,
}
NULL = {"null_of": "mine"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_adapter(folder / "adapter", write_model(folder / "llama"))
    return folder


@pytest.fixture(autouse=True)
def folder(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("adapter", "llama"):
        Path(name).symlink_to(files / name)
    answer = {"id": "q", "question": "?", "answers": [{"text": "a", "answer_start": 0}]}
    article = {"title": "A", "paragraphs": [{"context": "a", "qas": [answer]}]}
    Path("dev.json").write_text(json.dumps({"data": [article]}))


def study(adapters: dict[str, Any], *names: str, mine: Any = None, **own: Any) -> dict[str, Any]:
    base = {"model": "llama", "dataset": "squad", "id": "{adapter}-{lora_scaling}"}
    return {
        "study": "nulls",
        "models": {"llama": {"family": "hf_text", "model": "llama"}},
        "adapters": {"mine": mine or {"model": "llama", "source": "adapter"}, **adapters},
        "datasets": {"squad": {"benchmark": "squad", "source": "dev.json", "prompt": "{question}"}},
        "experiments": [
            {**base, "id": "BASE"},
            *({**base, "adapter": name, "lora_scaling": 1, **own} for name in names),
        ],
        "baseline": "BASE",
    }


def plan(*given: Any, **own: Any) -> Plan:
    return load_plan(study(*given, **own), "study.yaml")


def digests(planned: Plan) -> dict[str, str]:
    found = {name: plan_adapter(planned.context, name) for name in planned.context.adapters}
    return {name: one.digest for name, one in found.items() if one}


def finish(planned: Plan) -> None:
    for path in planned.jobs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_null_of_a_trained_adapter_waits_for_the_training() -> None:
    """The training is planned although no experiment names it."""
    planned = plan({"null": NULL}, "null", mine={"model": "llama", "train": TRAIN})
    (derive,) = planned.of_stage("derive")
    (train,) = planned.of_stage("finetune")
    assert {*train.outputs.values()} <= {*derive.inputs}
    (infer,) = (j for j in planned.of_stage("infer") if j.wildcards["id"] == "null-1")
    assert {*derive.outputs.values()} <= {*infer.inputs}
    assert infer.told().adapter == str(derive.out.parent)
    assert derive.message() == "derive null: random null of mine (seed 0)"
    words = {*"".join(status_lines(planned, [planned.experiments["null-1"]])).split()}
    assert {"finetune", "derive", "infer"} <= words


def test_what_decides_a_null() -> None:
    """Its part, kind and seed; neither names nor how many draws there are."""
    first = digests(plan({"null": NULL}, "null"))["null"]
    same = plan({"chance": {**NULL, "draws": 3}}, "chance")
    names = [f"chance-{n}" for n in range(3)]
    assert digests(same)["chance-0"] == first
    assert len({digests(same)[name] for name in names}) == 3
    others = {
        "shuffled": {**NULL, "kind": "shuffled"},
        "sign": {**NULL, "kind": "sign"},
        "seed": {**NULL, "seed": 1},
    }
    found = digests(plan(others, *others))
    assert len({first, *found.values()}) == 4
    assert found["seed"] == digests(same)["chance-1"]


def test_a_null_that_is_named_otherwise_is_not_made_again() -> None:
    before = plan({"null": NULL, "twin": NULL}, "null", "twin")
    assert len([*before.of_stage("derive")]) == 1
    finish(before)
    after = plan({"renamed": NULL}, "renamed")
    (derive,) = after.of_stage("derive")
    assert derive.is_done
    assert plan_derived(after.context, "renamed").home == "null"


def test_another_adapter_makes_other_nulls(tmp_path: Path) -> None:
    before = plan({"null": NULL}, "null")
    finish(before)
    weights = Path("adapter").resolve() / "adapter_model.safetensors"
    Path("adapter").unlink()
    Path("adapter").mkdir()
    Path("adapter", weights.name).write_bytes(weights.read_bytes())
    config = (weights.parent / "adapter_config.json").read_text()
    Path("adapter", "adapter_config.json").write_text(
        config.replace('"lora_alpha": 8', '"lora_alpha": 4')
    )
    after = plan({"null": NULL}, "null")
    assert digests(after) != digests(before)
    (derive,) = after.of_stage("derive")
    assert not derive.is_done
    assert plan_derived(before.context, "null").folder in unplanned([after])


def test_nulls_of_nulls_and_sums_are_made_in_order() -> None:
    adapters = {
        "null": NULL,
        "again": {"null_of": "null", "kind": "sign"},
        "both": {"sum_of": {"again": 1, "mine": 2}},
    }
    planned = plan(adapters, "both")
    assert planned.context.adapters == ["mine", "null", "again", "both"]
    both = plan_derived(planned.context, "both")
    assert {part.name: bool(part.made) for part in both.parts} == {"again": True, "mine": False}
    messages = [job.message() for job in planned.of_stage("derive")]
    assert messages[-1] == "derive both: 1 again + 2 mine"
    assert len(messages) == 3


def test_more_shuffles_than_there_are_of_an_adapter_that_is_here() -> None:
    """Two layers of two kinds: each kind may be exchanged, or both."""
    assert plan({"moved": {**NULL, "kind": "shuffled", "draws": 3}}, "moved").left()
    message = r"^study\.yaml: adapters\.moved-3: mine can be shuffled in 3 ways, which is fewer"
    with pytest.raises(UserError, match=message):
        plan({"moved": {**NULL, "kind": "shuffled", "draws": 4}}, "moved")


def test_nulls_are_not_audited_and_the_real_one_is() -> None:
    planned = plan({"null": NULL, "both": {"sum_of": {"mine": 2}}}, "null", "both")
    assert [one.name for one in plan_audits(planned.context)] == ["mine", "both"]


def test_a_study_without_derived_adapters_keeps_its_digests() -> None:
    alone, beside = plan({}, "mine"), plan({"null": NULL}, "mine", "null")
    assert "nulls" not in alone.report.fingerprint
    for name in ("BASE", "mine-1"):
        assert alone.experiments[name].digest == beside.experiments[name].digest


def test_what_is_set_against_what() -> None:
    adapters = {
        "chance": {**NULL, "draws": 2},
        "moved": {**NULL, "kind": "shuffled"},
        "more": {**NULL, "seed": 9},
    }
    given = study(adapters, "mine", "chance", "moved", "more")
    odd = {**given["experiments"][1], "adapter": "more", "lora_scaling": 3, "batch_size": 4}
    given["experiments"].append(odd)
    context = load_plan(given, "study.yaml").context
    draws = [["chance-0-1"], ["chance-1-1"], ["more-1"]]
    assert plan_nulls(context) == [
        {"real": ["mine-1"], "kind": "random", "draws": draws},
        {"real": ["mine-1"], "kind": "shuffled", "draws": [["moved-1"]]},
    ]
    assert unmatched_nulls(context) == ["more-3"]


def test_repeated_runs_are_one_effect() -> None:
    sampled = {"generation": {"do_sample": True}, "runs": 2}
    context = plan({"chance": NULL}, "mine", "chance", **sampled).context
    assert plan_nulls(context) == [
        {"real": ["mine-1", "mine-1-1"], "kind": "random", "draws": [["chance-1", "chance-1-1"]]}
    ]


@pytest.fixture
def salmonn(tmp_path: Path) -> Callable[..., Plan]:
    write_salmonn(tmp_path / "models")
    Path("data-sets/data/Animal").mkdir(parents=True)

    def start(adapters: dict[str, Any], **own: Any) -> Plan:
        changed = deepcopy(SALMONN)
        (experiment,) = changed["experiments"]
        nulls = {**experiment, "id": "{adapter}-{lora_scaling}", "adapter": "null"}
        changed |= {"adapters": adapters, "experiments": [experiment, nulls]}
        return load_plan(changed, "study.yaml")

    return start


def test_a_null_of_salmonns_own_adapter(salmonn: Callable[..., Plan]) -> None:
    planned = salmonn({"null": {"null_of": "tiny"}})
    (derive,) = planned.of_stage("derive")
    assert derive.reads == ["models/salmonn.pth"]
    found = plan_nulls(planned.context)
    assert found
    assert all(one["draws"] == [[f"null-{one['real'][0].rpartition('-')[2]}"]] for one in found)


def test_a_bridge_has_no_null(salmonn: Callable[..., Plan]) -> None:
    data = {"format": "sakura", "source": "data-sets", "tracks": ["animal"]}
    mine = {"model": "tiny", "train": {"data": data, "bridge": True}}
    message = r"^study\.yaml: adapters\.null: mine brings bridge\.safetensors along, of which there"
    with pytest.raises(UserError, match=message):
        salmonn({"mine": mine, "null": NULL})


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_model.bin"])
def test_a_plan_says_how_large_they_will_be_where_their_parts_tell(file: str) -> None:
    """In float32, whatever the precision of the parts; a file of torch's tells nothing."""
    folder = Path("half")
    folder.mkdir()
    (folder / "adapter_config.json").symlink_to(Path("adapter/adapter_config.json").resolve())
    tensors = load_file("adapter/adapter_model.safetensors")
    size = sum(4 * tensor.numel() for tensor in tensors.values())
    half = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    (save_file if "safe" in file else torch.save)(half, folder / file)
    adapters = {
        "half": {"model": "llama", "source": "half"},
        "both": {"sum_of": {"mine": 1, "half": -1}},
        "chance": {"null_of": "both", "draws": 2},
    }
    found = load_plan(study(adapters, "mine", "both", "chance"), "study.yaml")
    (disk,) = (line for line in plan_lines(found, []) if line.startswith("disk: "))
    # The sum has what both have, and each of its nulls as much.
    said = f"disk: {size_text(3 * 2 * size)} of derived adapters, "
    assert disk.startswith(said) == ("safe" in file), disk
    assert ("derived" in disk) == ("safe" in file), disk
