"""Python code that comes with a model is refused in every family, and never asked for."""

import builtins
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig

from lorascope.errors import UserError
from lorascope.models.finetuning.trainee import measure_folder
from lorascope.models.hf_audio.prompting import load_prompter
from lorascope.models.hf_text.answerer import load as load_text
from lorascope.models.remote_code import refuse_code
from lorascope.models.salmonn.answerer import load as load_salmonn
from lorascope.models.salmonn.encoder import load as load_encoder
from lorascope.stages.command import parser, run
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import edit_json, write_adapter, write_model
from tests.support.trainings import TRAIN

TOKENIZER = {"AutoTokenizer": ["homemade.HomemadeTokenizer", None]}
MODEL = {"AutoConfig": "homemade.C", "AutoModelForCausalLM": "them/there--homemade.Homemade"}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say yes to every question, and fail the test that was asked one."""

    def ask(question: str = "") -> str:
        raise AssertionError(f"asked: {question}")

    monkeypatch.setattr(builtins, "input", ask)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_salmonn(folder)
    write_model(folder / "llama")
    return folder


@pytest.fixture
def models(written: Path, tmp_path: Path) -> Path:
    """Return a folder of models, each with code that leaves a trace when it runs."""
    shutil.copytree(written, tmp_path / "models")
    for name in ("llm", "whisper", "llama"):
        code = f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
        (tmp_path / "models" / name / "homemade.py").write_text(code)
    return tmp_path / "models"


def salmonn(models: Path) -> dict[str, Any]:
    files = {"whisper": "whisper", "beats": "beats.pt", "llm": "llm", "checkpoint": "salmonn.pth"}
    return defaults("salmonn") | {key: str(models / name) for key, name in files.items()}


def text(models: Path) -> Any:
    settings = defaults("hf_text") | {"model": str(models / "llama")}
    return load_text(settings, "cpu", "float32", None, None)


ANSWERER: Callable[[Path], Any] = lambda models: load_salmonn(salmonn(models), "cpu", "float32", 1)  # noqa: E731


@pytest.mark.parametrize(
    ("load", "file", "changes"),
    [
        (ANSWERER, "llm/tokenizer_config.json", {"tokenizer_class": "HomemadeTokenizer"}),
        (ANSWERER, "llm/tokenizer_config.json", {"tokenizer_class": None}),
        (ANSWERER, "llm/config.json", {"architectures": ["Homemade"]}),
        (lambda m: load_encoder(salmonn(m), "cpu"), "whisper/config.json", {"architectures": None}),
        (text, "llama/tokenizer_config.json", {"tokenizer_class": "HomemadeTokenizer"}),
        (text, "llama/config.json", {"model_type": "homemade"}),
        (text, "llama/config.json", {"architectures": ["Homemade"]}),
        (lambda m: measure_folder(m / "llama", TRAIN, None), "llama/config.json",
         {"model_type": "homemade"}),
        (lambda m: load_prompter(m / "llama", None, False), "llama/tokenizer_config.json",
         {"tokenizer_class": "HomemadeTokenizer"}),
    ],
)  # fmt: skip
def test_a_model_that_needs_code_of_its_own_is_refused(
    models: Path, load: Callable[[Path], Any], file: str, changes: dict[str, Any]
) -> None:
    auto_map = MODEL if file.endswith("/config.json") else TOKENIZER
    edit_json(models / file, auto_map=auto_map, **changes)
    with pytest.raises(UserError, match=rf"{models / file} asks for .*[Hh]omemade.*not run"):
        load(models)
    assert not (models.parent / "ran").exists()


def test_the_remedy_is_one_that_the_family_has(models: Path) -> None:
    edit_json(models / "llama/config.json", auto_map=MODEL, architectures=["Homemade"])
    for allowed, remedy in ((None, "transformers' own layout"), (False, "trust_remote_code: true")):
        with pytest.raises(UserError, match=rf"^model: .*config\.json asks for Homemade.*{remedy}"):
            refuse_code(models / "llama", "model", allowed)
    refuse_code(models / "llama", "model", True)


def test_a_known_class_loads_by_transformers_own_code(models: Path) -> None:
    ids = torch.arange(1, 9)[None]
    before = text(models).llm(ids).logits
    edit_json(models / "llama/config.json", auto_map=MODEL)
    edit_json(models / "llama/tokenizer_config.json", auto_map=TOKENIZER)
    edit_json(models / "llm/tokenizer_config.json", auto_map=TOKENIZER["AutoTokenizer"])
    assert torch.equal(text(models).llm(ids).logits, before)
    assert ANSWERER(models).lora_scaling == 1
    assert not (models.parent / "ran").exists()


def test_transformers_itself_does_not_ask(models: Path) -> None:
    """As where a processor of transformers loads its tokenizer, or a plug-in does."""
    edit_json(models / "llama/config.json", model_type="homemade", auto_map=MODEL)
    edit_json(models / "llama/tokenizer_config.json", tokenizer_class=None, auto_map=TOKENIZER)
    with pytest.raises(ValueError, match="trust_remote_code"):
        AutoTokenizer.from_pretrained(models / "llama")
    assert not (models.parent / "ran").exists()


def test_a_stage_has_nobody_to_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.undo()
    arguments = ["--job", str(tmp_path / "none.json"), "--out", "out", "--log", "log"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stage", *arguments])
    assert run(parser("stage", "A stage"), LlamaConfig, lambda job, given: None) == 1
    with pytest.raises(EOFError):
        input("Do you wish to run the custom code? [y/N] ")


def test_an_adapter_that_lies_with_a_model_is_not_attached_unsaid(models: Path) -> None:
    """from_pretrained would attach it, and the base's answers were the adapter's."""
    ids = torch.arange(1, 9)[None]
    base = text(models).llm(ids).logits
    write_adapter(models / "adapter", models / "llama")
    for path in (models / "adapter").glob("adapter_*"):
        shutil.copy(path, models / "llama")
    with pytest.raises(UserError, match=r"adapter lies with the model: .*llama/adapter_config"):
        text(models)
    settings = defaults("hf_text") | {"model": str(models / "llama")}
    loaded = load_text(settings, "cpu", "float32", 0.0, str(models / "llama"))
    assert torch.equal(loaded.llm(ids).logits, base)
    own = load_text(settings, "cpu", "float32", None, str(models / "llama"))
    elsewhere = load_text(settings, "cpu", "float32", None, str(models / "adapter"))
    assert torch.equal(own.llm(ids).logits, elsewhere.llm(ids).logits)
    assert not torch.equal(own.llm(ids).logits, base)
    shutil.copy(models / "adapter/adapter_config.json", models / "llm")
    with pytest.raises(UserError, match="llm: an adapter lies with the model"):
        ANSWERER(models)
