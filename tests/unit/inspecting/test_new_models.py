"""`lorascope new`: which model and adapter it finds, what it says of them, what it refuses."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from lorascope.__main__ import main
from tests.support.lab import write_clip
from tests.support.new_studies import (
    LLAMA,
    QWEN,
    WHISPER,
    begin,
    refused,
    write_adapter,
    write_model,
    write_rows,
)
from tests.support.real_models import real_model

DATA = ("--data", "a.jsonl")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Move into a folder with a model, an adapter and a table, and with an empty hub cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    write_model(Path("llama"))
    write_adapter(Path("lora"), base_model_name_or_path="lab/Llama")
    write_rows(Path("a.jsonl"), [{"question": "Who?", "answer": "me"}])
    return tmp_path


def cache(folder: Path, repository: str) -> None:
    """Put small files into the hub's cache, as if a repository had been fetched."""
    storage = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    shutil.copytree(folder, storage / "snapshots" / "c0ffee")
    (storage / "refs").mkdir()
    (storage / "refs/main").write_text("c0ffee")


@pytest.mark.parametrize(
    ("config", "scalings", "words"),
    [
        ({}, [0, 1, 2, 3, 4], "rank 8, alpha 16: its own scaling is 2, alpha / rank"),
        ({"lora_alpha": 8}, [0, 0.5, 1, 1.5, 2], "its own scaling is 1,"),
        ({"r": 64, "use_rslora": True}, [0, 1, 2, 3, 4], "alpha / the square root of its rank"),
        ({"r": 48}, [0, 1 / 6, 1 / 3, 0.5, 2 / 3], "its own scaling is 0.3333,"),
        ({"rank_pattern": {"q_proj": 4}}, [0, 1, 2, 3, 4], "some layers have a rank or alpha of"),
    ],
)
def test_the_grid_is_in_units_of_the_adapters_own_scaling(config, scalings, words, capsys):
    shutil.rmtree("lora")
    write_adapter(Path("lora"), base_model_name_or_path="x/llama", **config)
    study, said = begin(capsys, "--model", "llama", "--adapter", "lora", *DATA)
    (experiment,) = study["experiments"]
    assert experiment["grid"]["lora_scaling"] == pytest.approx(scalings)
    assert experiment["id"] == "lora-a-{lora_scaling}"
    assert study["baseline"] == "lora-a-0"
    assert study["adapters"] == {"lora": {"model": "llama", "source": "lora"}}
    assert words in said
    assert words in Path("study.yaml").read_text()


def test_an_adapter_of_another_model_is_said(capsys):
    _, said = begin(capsys, "--model", "llama", "--adapter", "lora", *DATA)
    assert "trained for" not in said  # lab/Llama may well be the folder llama
    shutil.copytree("llama", "mistral")
    options = ("--model", "mistral", "--adapter", "lora", *DATA)
    _, said = begin(capsys, *options, out="b.yaml")
    words = "it says that it was trained for 'lab/Llama': check that this is mistral"
    assert words in said
    assert f"# {words}" in Path("b.yaml").read_text()


@pytest.mark.parametrize(
    ("config", "family"),
    [
        (LLAMA, "hf_text"),
        ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, "hf_text"),
        (QWEN, None),
        (WHISPER, None),
        ({"architectures": ["Phi4MultimodalForCausalLM"], "audio_config": {}}, None),
    ],
)
def test_a_family_is_told_by_config_json(config, family, capsys):
    write_model(Path("other"), config)
    if family:
        study, _ = begin(capsys, "--model", "other", *DATA)
        assert study["models"]["other"]["family"] == family
    else:
        assert "the clips that the model is to hear" in refused(
            capsys, "--model", "other", *DATA
        ) or ("no family is known to run" in refused(capsys, "--model", "other", *DATA))


def test_half_precision_is_for_large_models(capsys, monkeypatch):
    study, _ = begin(capsys, "--model", "llama", *DATA)
    assert study["models"]["llama"]["dtype"] == "float32"
    monkeypatch.setattr("lorascope.inspecting.new.model.LARGE", 5)
    Path("llama/model.safetensors").write_bytes(b"larger")
    study, said = begin(capsys, "--model", "llama", *DATA, out="b.yaml")
    assert study["models"]["llama"]["dtype"] == "bfloat16"
    assert "as its weights are" in said


def test_a_chat_template_whose_end_would_not_be_heard_is_not_used(capsys):
    write_model(Path("odd"), template=CHAT_OF_NO_END)
    study, said = begin(capsys, "--model", "odd", *DATA)
    assert study["models"]["odd"]["chat_template"] is False
    assert "ends an answer with <|end|>" in said


CHAT_OF_NO_END = "{% for m in messages %}{{ m['content'] }}<|end|>{% endfor %}"


# ------------------------------------------------------------------------------------- hub


def test_what_is_in_the_hubs_cache_is_looked_into(capsys):
    cache(Path("llama"), "lab/llama-7b")
    cache(Path("lora"), "lab/lora")
    study, said = begin(capsys, "--model", "lab/llama-7b", "--adapter", "lab/lora", *DATA)
    assert study["models"]["llama-7b"]["model"] == {"hub": "lab/llama-7b"}
    assert study["models"]["llama-7b"]["chat_template"] is True
    assert study["adapters"]["lora"]["source"] == {"hub": "lab/lora"}
    assert study["experiments"][0]["grid"] == {"lora_scaling": [0, 1, 2, 3, 4]}
    assert "by config.json" in said


def test_what_is_not_in_the_hubs_cache_is_assumed_and_said(capsys):
    options = ("--model", "lab/llama-7b", "--adapter", "lab/lora", *DATA)
    message = refused(capsys, *options)
    assert "--model lab/llama-7b: no such folder here" in message
    assert "--family what it is: hf_text, hf_audio" in message
    study, said = begin(capsys, *options, "--family", "hf_text")
    assert study["models"]["llama-7b"] == {
        "family": "hf_text",
        "model": {"hub": "lab/llama-7b"},
        "dtype": "bfloat16",
        "chat_template": False,
    }
    assert study["experiments"][0]["grid"] == {"lora_scaling": [0, 0.5, 1, 1.5, 2]}
    for words in (
        "the model is not here to look into",
        "not looked at: true if its tokenizer has one",
        "not here to look into: its own scaling is taken for 1",
    ):
        assert words in said


# -------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "nowhere", *DATA], "--model nowhere: not found; name a folder that holds"),
        (["--model", "llama/nowhere", *DATA], "--model llama/nowhere: not found"),
        (["--model", "a.jsonl", *DATA], "--model a.jsonl: is a file; name the folder that holds"),
        (["--model", "empty", *DATA], "--model empty: has no readable config.json"),
        (["--model", "lora", *DATA], "it has adapter_config.json: name it by --adapter"),
        (["--model", "bert", *DATA], "config.json says bert (BertForMaskedLM), which no family"),
        (["--model", "llama", "--family", "hf_txt", *DATA], "'hf_txt' is not one of"),
        (
            ["--model", "llama", "--family", "salmonn", *DATA],
            "--family salmonn: is made of several",
        ),
        (
            ["--model", "llama", "--adapter", "llama", *DATA],
            "it has config.json: name it by --model",
        ),
        (["--model", "llama", "--adapter", "empty", *DATA], "has no adapter_config.json; is it"),
        (["--model", "llama", "--adapter", "dora", *DATA], "DoRA rescales the layers"),
        (["--model", "llama", "--adapter", "none", *DATA], "--adapter none: not found"),
        (["--model", "llama", "--data", "b.jsonl"], "--data b.jsonl: not found; name one file"),
        (["--model", "llama", "--data", "empty"], "--data empty: is no file; name one file"),
        (["--model", "llama", "--data", "llama/config.yml"], "of no form that is read; give one"),
        (["--model", "llama", "--data", "void.jsonl"], "holds no rows"),
        (
            ["--model", "llama", *DATA, "--study", "a b"],
            "study: 'a b' has a form that is not allowed",
        ),
    ],
)
def test_what_is_missing_or_something_else_is_one_message(options, words, capsys):
    Path("empty").mkdir()
    Path("void.jsonl").touch()
    Path("llama/config.yml").touch()
    write_model(Path("bert"), {"architectures": ["BertForMaskedLM"], "model_type": "bert"})
    write_adapter(Path("dora"), use_dora=True)
    assert words in refused(capsys, *options)


def test_a_study_that_is_there_is_not_overwritten(capsys):
    begin(capsys, "--model", "llama", *DATA, "--study", "mine", out="studies/mine.yaml")
    before = Path("studies/mine.yaml").read_text()
    message = refused(capsys, "--model", "llama", *DATA, "--study", "mine")
    assert message == "studies/mine.yaml: is there already; name another file by --out"
    assert Path("studies/mine.yaml").read_text() == before


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["new", "--help"])
    text = capsys.readouterr().out
    for option in ("model", "adapter", "data", "study", "out", "family", "question", "options"):
        assert f"--{option}" in text
    for option in ("answer", "answer-by", "text", "clip", "clips", "id", "category"):
        assert f"--{option}" in text


@pytest.mark.parametrize(
    ("name", "family"), [("smollm2-135m-instruct", "hf_text"), ("whisper-tiny.en", "hf_speech")]
)
def test_real_models_are_recognised(name, family, capsys):
    folder = str(real_model(name))
    options = ["--model", folder, *DATA]
    if family == "hf_speech":
        write_clip(Path("a.wav"))
        write_rows(Path("a.jsonl"), [{"path": "a.wav", "text": "so it is"}])
    study, _ = begin(capsys, *options)
    (model,) = study["models"].values()
    assert model["family"] == family
    assert model.get("chat_template") is (True if family == "hf_text" else None)
    assert study["experiments"][0]["model"] == name
