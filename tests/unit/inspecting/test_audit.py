"""lorascope audit FOLDER: the table of an adapter alone, and what it says against bad input."""

import json
import math
import os
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from lorascope.__main__ import main
from tests.support.basics import printed
from tests.support.tiny_text_files import write_adapter, write_model


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    write_adapter(folder / "adapter", write_model(folder / "llama"), rank_pattern={"v_proj": 2})
    write_model(folder / "wide", "gpt2")
    return folder


@pytest.fixture(autouse=True)
def here(files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(files)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def said(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    assert main(["audit", *arguments]) == 0
    return capsys.readouterr().out


def test_the_table_of_a_folder_alone(capsys: pytest.CaptureFixture) -> None:
    head, *lines = said(capsys, "adapter").splitlines()
    columns = ["module", "rank", "scaling", "norm", "stable_rank", "used_rank", "largest"]
    assert head.split() == columns
    modules = [line.split() for line in lines[:4]]
    assert [(one[0].split(".", 2)[2], *one[1:3]) for one in modules] == [
        ("0.self_attn.q_proj", "4", "2"),
        ("0.self_attn.v_proj", "2", "4"),
        ("1.self_attn.q_proj", "4", "2"),
        ("1.self_attn.v_proj", "2", "4"),
    ]
    norm = math.hypot(*(float(one[3]) for one in modules))
    assert f"adapter: 4 modules in 2 layers, 704 parameters, norm {norm:.4g}"[:-2] in lines[4]
    assert lines[5].startswith("base model named in the adapter: /")


def test_against_its_model_and_with_intruders(capsys: pytest.CaptureFixture) -> None:
    text = said(capsys, "adapter", "--base", "llama", "--intruders", "3")
    assert text.splitlines()[0].split()[4:6] == ["share_%", "stable_rank"]
    assert text.splitlines()[0].split()[-1] == "intruders"
    assert "intruder dimensions" in text
    assert "which is llama" in text
    other = said(capsys, "adapter", "--base", "wide")
    assert "warning: the adapter names" in other
    assert "another one, its model_type is llama, not gpt2" in other


def test_json_has_all_of_it(capsys: pytest.CaptureFixture) -> None:
    found = json.loads(said(capsys, "adapter", "--base", "llama", "--json"))
    assert (found["modules"], found["ranks"], found["base"]["kind"]) == (4, [2, 4], "same")
    assert len(found["rows"]) == 4
    assert 0 < found["share"] < 1


def test_what_is_odd_is_a_warning(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    tensors = load_file("adapter/adapter_model.safetensors")
    first = next(iter(tensors))
    tensors[first] = tensors[first] * math.nan
    for file in Path("adapter").iterdir():
        os.link(file, tmp_path / file.name)
    (tmp_path / "adapter_model.safetensors").unlink()
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    text = said(capsys, str(tmp_path))
    assert "not finite" in text
    assert "warning: 128 NaN or infinite values, in 1 of 4 modules" in text
    assert "NaN" not in said(capsys, str(tmp_path), "--json").partition('"rows"')[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "FOLDER nowhere: not found; name a folder that holds adapter_config.json"),
        (["llama"], "llama/adapter_config.json does not exist"),
        (["lab/adapter"], "FOLDER lab/adapter: no folder of this name, and nothing of such a repo"),
        (["adapter", "--base", "adapter"], "adapter has no weights of a model"),
        (["adapter", "--base", "none"], "--base none: not found; name a folder that holds config"),
        (["adapter", "--intruders"], "--intruders: needs the model's weights; name its folder"),
        (["adapter", "--intruders", "0"], "--intruders 0: give a number from 1 on"),
    ],
)
def test_bad_input_is_one_message(
    capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    assert main(["audit", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_it_needs_no_torch(files: Path) -> None:
    code = (
        "import sys; from lorascope.__main__ import main;"
        f"main(['audit', {str(files / 'adapter')!r}, '--base', {str(files / 'llama')!r}]);"
        "print({'torch', 'scipy', 'pandas', 'transformers'} & {*sys.modules})"
    )
    assert printed(code).splitlines()[-1] == "set()"


def test_precisions_of_torch_are_no_obstacle(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    for file in Path("adapter").iterdir():
        os.link(file, tmp_path / file.name)
    weights = tmp_path / "adapter_model.safetensors"
    tensors = load_file(weights)
    weights.unlink()
    torch.save({k: v.bfloat16() for k, v in tensors.items()}, tmp_path / "adapter_model.bin")
    assert "4 modules in 2 layers" in said(capsys, str(tmp_path))
