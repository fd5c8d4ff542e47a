"""Whether an adapter's base model is the study's: what is told for sure, and what is not."""

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from lorascope.models.auditing.adapters import Part
from lorascope.models.auditing.base import ANY, Model, compare
from lorascope.models.auditing.tensors import Stored, read_model

LLAMA = "meta-llama/Meta-Llama-3-8B"


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def kind(named: str | None, model: Model, **own) -> str:
    tensors = read_model(model.folder) if model.folder and any(model.folder.glob("*.sa*")) else None
    return compare(named, own.pop("parts", []), model, tensors, **own).kind


def write(folder: Path, scale: float = 1.0, dtype=torch.float32, **config) -> Path:
    """Write a model of one matrix whose values follow from ``scale``."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    weight = (scale * torch.randn(4, 6)).to(dtype)
    save_file({"model.layers.0.q_proj.weight": weight}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"hidden_size": 6, **config}))
    return folder


def part(module: str, outputs: int = 4, inputs: int = 6) -> Part:
    def stored(*shape: int) -> Stored:
        return Stored(shape, "F32", lambda first, last: torch.zeros(last - first).numpy())

    return Part(module, 2, 4, 2, 1, stored(2, inputs), stored(outputs, 2), None, False)


@pytest.mark.parametrize(
    ("named", "study", "expected"),
    [
        (LLAMA, LLAMA.lower(), "same"),
        # Copies under another owner, packed otherwise, or renamed by their owner.
        ("unsloth/Meta-Llama-3-8B-bnb-4bit", LLAMA, "unknown"),
        ("NousResearch/Llama-2-7b-hf", "meta-llama/Llama-2-7b-hf", "unknown"),
        ("meta-llama/Llama-3.1-8B", "meta-llama/Meta-Llama-3.1-8B", "unknown"),
        ("TheBloke/vicuna-7B-v1.5-GPTQ", "lmsys/vicuna-7b-v1.5", "unknown"),
        # Names of other models.
        (f"{LLAMA}-Instruct", LLAMA, "other"),
        ("unsloth/llama-3-8b-Instruct-bnb-4bit", LLAMA, "other"),
        ("meta-llama/Llama-2-7b-chat-hf", "meta-llama/Llama-2-7b-hf", "other"),
        ("meta-llama/Meta-Llama-3-70B", LLAMA, "other"),
        ("mistralai/Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.3", "other"),
        ("lmsys/vicuna-7b-v1.5", "meta-llama/Llama-2-7b-hf", "other"),
        # Names that could be of one model all the same.
        ("unsloth/mistral-7b-bnb-4bit", "mistralai/Mistral-7B-v0.1", "doubtful"),
        ("somebody/my-base", LLAMA, "doubtful"),
        ("gpt2", "openai-community/gpt2", "unknown"),
    ],
)
def test_names_of_repositories(named: str, study: str, expected: str) -> None:
    assert kind(named, Model(study, study, None)) == expected


@pytest.mark.parametrize(
    ("named", "study", "expected"),
    [
        # A trainer's own machine, of whichever system, and the study's renamed folder.
        (f"/home/x/{LLAMA}", "models/base", "unknown"),
        ("C:\\models\\Meta-Llama-3-8B", "models/Meta-Llama-3-8B", "unknown"),
        ("./llama", "models/base", "unknown"),
        ("/data/Meta-Llama-3-8B-Instruct", LLAMA, "doubtful"),
        (LLAMA, "models/Meta-Llama-3-70B", "doubtful"),
        # A folder of the hub's cache is that of its repository.
        (f"/x/hub/models--{LLAMA.replace('/', '--')}/snapshots/0a1b", LLAMA, "same"),
        ("/x/hub/models--a--Llama-3-8B-Instruct/snapshots/0a1b/", LLAMA, "other"),
        (None, LLAMA, "unknown"),
        ("", LLAMA, "unknown"),
        ("n" * 5000, LLAMA, "unknown"),
        ("a\0b", LLAMA, "unknown"),
    ],
)
def test_names_of_folders_are_hints(named: str | None, study: str, expected: str) -> None:
    hub = study if study == LLAMA else None
    assert kind(named, Model(study, hub, None)) == expected


def test_files_that_are_here_tell_whatever_the_names_are(tmp_path: Path, hub: Path) -> None:
    study = Model("study", None, write(tmp_path / "study"))
    assert kind("study/../study", study) == "same"
    write(tmp_path / "renamed-Instruct-70b")
    assert kind("renamed-Instruct-70b", study) == "same"
    write(tmp_path / "half", dtype=torch.bfloat16)
    assert kind(str(tmp_path / "half"), study) == "same"
    write(tmp_path / "tuned", scale=1.001)
    assert kind("tuned", study) == "other"
    write(tmp_path / "tuned-half", scale=1.1, dtype=torch.bfloat16)
    assert kind("tuned-half", study) == "other"
    write(tmp_path / "wider", hidden_size=8)
    verdict = compare("wider", [], study, None)
    assert verdict.kind == "other"
    assert "its hidden_size is 8, not 6" in verdict.words
    repository = hub / "models--lab--tuned"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("0" * 40)
    write(repository / "snapshots" / ("0" * 40), scale=2.0)
    assert kind("lab/tuned", study) == "other"


def test_sizes_that_do_not_fit_are_told(tmp_path: Path) -> None:
    study = Model("study", None, write(tmp_path / "study"))
    here = "model.layers.0.q_proj"
    assert kind("study", study, parts=[part(here)]) == "same"
    assert kind("study", study, parts=[part(here, 6, 4)]) == "same"  # as GPT-2 keeps them
    # Names that the files do not have tell nothing: transformers may rename.
    assert kind("study", study, parts=[part("language_model.layers.0.q_proj", 9, 9)]) == "same"
    for odd in (part(here, 5, 6), part("model.layers.7.q_proj")):
        verdict = compare("study", [part(here), odd], study, read_model(tmp_path / "study"), ANY)
        assert verdict.kind == "misfit"
        assert odd.module in verdict.words


def test_what_the_study_says_is_taken() -> None:
    model = Model(LLAMA, LLAMA, None)
    other = f"{LLAMA}-Instruct"
    assert kind(other, model, accepted=ANY) == kind(other, model, accepted=other) == "unknown"
    assert kind(other, model, accepted="meta-llama/Llama-2-7b-hf") == "other"
