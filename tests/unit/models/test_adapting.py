"""A loaded model that takes one adapter after another computes as one that was freshly loaded."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lorascope.errors import UserError
from lorascope.models import lora
from lorascope.models.hf_audio.answerer import load as load_audio
from lorascope.models.hf_audio.architecture import load_full
from lorascope.models.hf_speech.answerer import load as load_speech
from lorascope.models.hf_text.answerer import load as load_text
from lorascope.models.salmonn.answerer import load as load_salmonn
from lorascope.models.salmonn.answerer import split
from lorascope.models.salmonn.files import BRIDGE
from tests.support import tiny_audio_models, tiny_speech_models
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import TARGETS, write_adapter, write_model

Load = Callable[[float | None, str | None], Any]
Steps = list[tuple[str | None, float | None]]


def text(folder: Path) -> tuple[Load, Steps]:
    model = write_model(folder / "model")
    one = str(write_adapter(folder / "one", model))
    narrow = {"target_modules": TARGETS["llama"][:1], "r": 2}
    other = str(write_adapter(folder / "other", model, **narrow))
    settings = defaults("hf_text") | {"model": str(model)}
    steps = [(None, None), (one, None), (one, 3.0), (other, 0.5), (other, None), (None, None)]
    return lambda s, a: load_text(settings, "cpu", "float32", s, a), [*steps, (one, 0.0)]


def audio(folder: Path) -> tuple[Load, Steps]:
    path = tiny_audio_models.build("qwen2_audio", folder / "model")
    targets = tiny_audio_models.LORA_TARGETS["qwen2_audio"]
    adapters = [
        str(tiny_audio_models.write_adapter(full, folder / name, targets, seed))
        for seed, name in enumerate(("one", "other"))
        if (full := load_full(path, "cpu", "float32", False))
    ]
    settings = defaults("hf_audio") | {"model": str(path)}
    steps = [(None, None), (adapters[0], 2.0), (adapters[1], 0.5), (adapters[0], None)]
    return lambda s, a: load_audio(settings, "cpu", "float32", s, a), [*steps, (None, None)]


def speech(folder: Path) -> tuple[Load, Steps]:
    path = tiny_speech_models.build("english", folder / "model")
    settings = defaults("hf_speech") | {"model": str(path)}
    load: Load = lambda s, a: load_speech(settings, "cpu", "float32", s, a)  # noqa: E731
    targets = r".*decoder.*\.(q_proj|v_proj)"
    one = str(tiny_audio_models.write_adapter(load(None, None).model, folder / "one", targets))
    return load, [(None, None), (one, 2.0), (one, None), (None, None)]


def salmonn(folder: Path) -> tuple[Load, Steps]:
    folder.mkdir()
    settings = defaults("salmonn") | write_salmonn(folder)
    plain, bridged = (
        str(write_adapter(folder / name, settings["llm"], target_modules=["q_proj", "v_proj"]))
        for name in ("plain", "bridged")
    )
    bridge = split(Path(settings["checkpoint"]))[0]
    save_file({name: (0.5 * t).contiguous() for name, t in bridge.items()}, f"{bridged}/{BRIDGE}")
    steps = [(None, None), (bridged, 2.0), (plain, None), (None, 3.0), (bridged, 0.0), (None, None)]
    return lambda s, a: load_salmonn(settings, "cpu", "float32", s, a), steps


def state(answerer: Any) -> dict[str, Any]:
    """Return all that decides what a model computes: modules, weights, scalings."""
    found: dict[str, Any] = {"scaling": (answerer.lora_scaling, answerer.parameters_adapted)}
    for part in ("llm", "model", "projection"):
        module = getattr(answerer, part, None)
        if isinstance(module, nn.Module):
            found |= {f"{part}.{n}": type(m).__name__ for n, m in module.named_modules()}
            found |= {f"{part}.{n}.weights": t for n, t in module.state_dict().items()}
            layers = lora.lora_layers(module).items()
            found |= {f"{part}.{n}.scaling": layer.scaling["default"] for n, layer in layers}
            found[f"{part} has"] = hasattr(module, "peft_config")
    return found


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, Tensor):
            assert torch.equal(value, other[name]), name
        else:
            assert value == other[name], name


@pytest.mark.parametrize("make", [text, audio, speech, salmonn])
def test_a_model_that_was_adapted_again_is_as_one_loaded_so(make: Callable, tmp_path: Path) -> None:
    load, steps = make(tmp_path / "files")
    answerer = load(steps[0][1], steps[0][0])
    for adapter, scaling in steps:
        answerer.adapt(adapter, scaling)
        assert_same(state(answerer), state(load(scaling, adapter)))


def test_what_does_not_fit_leaves_the_model_for_the_next_one(tmp_path: Path) -> None:
    load, _ = text(tmp_path / "files")
    one, broken = tmp_path / "files/one", tmp_path / "broken"
    shutil.copytree(one, broken)
    tensors = load_file(one / "adapter_model.safetensors")
    tensors.popitem()
    save_file(tensors, broken / "adapter_model.safetensors")
    answerer = load(None, None)
    for adapter, scaling in ((str(broken), 1.0), (None, 2.0), (str(one), float("inf"))):
        with pytest.raises(UserError):
            answerer.adapt(adapter, scaling)
    answerer.adapt(str(one), None)
    assert_same(state(answerer), state(load(None, str(one))))


def test_an_adapter_of_the_encoder_is_refused_again(tmp_path: Path) -> None:
    load, steps = speech(tmp_path / "files")
    everywhere = str(
        tiny_audio_models.write_adapter(load(None, None).model, tmp_path / "all", ["q_proj"])
    )
    answerer = load(None, None)
    for adapter in (everywhere, steps[1][0], everywhere):
        if adapter is everywhere:
            with pytest.raises(UserError, match="encode_once"):
                answerer.adapt(adapter, 1.0)
        else:
            answerer.adapt(adapter, 1.0)
    answerer.adapt(None, None)
    assert_same(state(answerer), state(load(None, None)))


def test_a_scaling_of_the_adapter_in_force_reads_no_file(tmp_path: Path) -> None:
    load, steps = text(tmp_path / "text")
    adapted, expected = load(None, steps[1][0]), state(load(2.5, steps[1][0]))
    shutil.rmtree(steps[1][0])
    adapted.adapt(steps[1][0], 2.5)
    assert_same(state(adapted), expected)
    load, _ = salmonn(tmp_path / "salmonn")
    own, expected = load(None, None), state(load(2.5, None))
    checkpoint = tmp_path / "salmonn/salmonn.pth"
    checkpoint.unlink()  # another file in its place: this one is mapped
    checkpoint.write_bytes(b"")
    own.adapt(None, 2.5)
    assert_same(state(own), expected)


LAYERS = nn.Sequential(nn.Linear(4, 4), nn.Embedding(3, 4), nn.Conv1d(4, 4, 1))
ATTENTION = nn.ModuleDict({"attention": nn.MultiheadAttention(4, 2)})


@pytest.mark.parametrize("model", [LAYERS, ATTENTION], ids=["layers", "attention"])
def test_layers_of_every_kind_come_off(model: nn.Module) -> None:
    before = {name: (type(m), id(m)) for name, m in model.named_modules()}
    weights = {name: t.clone() for name, t in model.state_dict().items()}
    targets = [name for name, m in model.named_children()]
    inject_adapter_in_model(LoraConfig(target_modules=targets, r=2), model)
    assert lora.lora_layers(model)
    lora.detach(model)
    assert {name: (type(m), id(m)) for name, m in model.named_modules()} == before
    assert {name: t.tolist() for name, t in model.state_dict().items()} == {
        name: t.tolist() for name, t in weights.items()
    }
