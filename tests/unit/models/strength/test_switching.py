"""A loaded model that goes from one adapter, scaling or strength to another is as one loaded so."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from lorascope.errors import UserError
from lorascope.models.hf_audio.answerer import load as load_audio
from lorascope.models.hf_audio.architecture import load_full
from lorascope.models.hf_speech.answerer import load as load_speech
from lorascope.models.hf_text.answerer import load as load_text
from lorascope.models.salmonn.answerer import load as load_salmonn
from tests.support import tiny_audio_models, tiny_speech_models
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import edit_json, write_adapter, write_model
from tests.support.weight_changes import edit_tensors, logits, write_change, write_checkpoint
from tests.unit.models.test_adapting import assert_same, state

Load = Callable[..., Any]
Steps = list[tuple[str | None, float | None, float | None]]


def adapted(model: torch.nn.Module, folder: Path, targets: str | list[str], **config: Any) -> str:
    """Let peft write an adapter of any model, all that it could train moved at random."""
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=targets, **config))
    torch.manual_seed(1)
    for parameter in tuned.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape)
    tuned.save_pretrained(folder)
    return str(folder)


def moved(model: Any, folder: Path, part: str) -> str:
    """Write a copy of a model in which a part of its weights is moved at random."""
    for name, parameter in model.named_parameters():
        if part in name:
            parameter.data += 0.1 * torch.randn(parameter.shape)
    model.save_pretrained(folder)
    return str(folder)


def text(folder: Path) -> tuple[Load, Steps]:
    model = write_model(folder / "model", "gpt2")
    plain = str(write_adapter(folder / "plain", model, "gpt2", target_modules=["wte"]))
    dora = str(write_change(folder / "dora", model, "gpt2", use_dora=True, modules_to_save=["wte"]))
    tuned = str(write_checkpoint(folder / "tuned", model))
    settings = defaults("hf_text") | {"model": str(model)}
    steps: Steps = [(None, None, None), (dora, None, 0.5), (dora, None, 2), (tuned, None, None)]
    steps += [(plain, 3.0, None), (tuned, None, -0.5), (dora, None, 0.5), (plain, None, None)]
    load: Load = lambda a, s, t: load_text(settings, "cpu", "float32", s, a, t)  # noqa: E731
    return load, [*steps, (dora, None, 0), (None, 0.0, None)]


def audio(folder: Path) -> tuple[Load, Steps]:
    path = tiny_audio_models.build("qwen2_audio", folder / "model")
    targets = tiny_audio_models.LORA_TARGETS["qwen2_audio"]
    full = load_full(path, "cpu", "float32", False)
    dora = adapted(full, folder / "dora", targets, use_dora=True, modules_to_save=["lm_head"])
    tuned = tiny_audio_models.build("qwen2_audio", folder / "tuned")
    moved(load_full(path, "cpu", "float32", False), tuned, "language_model")
    settings = defaults("hf_audio") | {"model": str(path)}
    load: Load = lambda a, s, t: load_audio(settings, "cpu", "float32", s, a, t)  # noqa: E731
    return load, [(dora, None, 0.5), (None, None, None), (str(tuned), None, 0.3), (dora, None, 1)]


def speech(folder: Path) -> tuple[Load, Steps]:
    path = tiny_speech_models.build("english", folder / "model")
    settings = defaults("hf_speech") | {"model": str(path)}
    load: Load = lambda a, s, t: load_speech(settings, "cpu", "float32", s, a, t)  # noqa: E731
    targets = r".*decoder.*\.(q_proj|v_proj)"
    dora = adapted(load(None, None, None).model, folder / "dora", targets, use_dora=True)
    plain = str(
        tiny_audio_models.write_adapter(load(None, None, None).model, folder / "plain", targets)
    )
    return load, [(dora, None, 0.5), (plain, 2.0, None), (dora, None, 1), (None, None, None)]


def salmonn(folder: Path) -> tuple[Load, Steps]:
    folder.mkdir()
    settings = defaults("salmonn") | write_salmonn(folder)
    llm = Path(settings["llm"])
    dora = str(write_change(folder / "dora", llm, use_dora=True, modules_to_save=["norm"]))
    tuned = str(write_checkpoint(folder / "tuned", llm))
    load: Load = lambda a, s, t: load_salmonn(settings, "cpu", "float32", s, a, t)  # noqa: E731
    steps: Steps = [(None, None, None), (dora, None, 0.5), (None, 3.0, None), (tuned, None, 2)]
    return load, [*steps, (dora, None, 0), (None, 0.0, None)]


@pytest.mark.parametrize("make", [text, audio, speech, salmonn])
def test_whatever_came_before_is_gone(make: Callable, tmp_path: Path) -> None:
    load, steps = make(tmp_path / "files")
    answerer = load(*steps[0])
    for adapter, scaling, strength in steps:
        answerer.adapt(adapter, scaling, strength)
        fresh = load(adapter, scaling, strength)
        assert answerer.strength == fresh.strength
        found, expected = state(answerer), state(fresh)
        if answerer.strength is not None:  # the scaling is not a number
            assert not answerer.scales_rows
            assert found.pop("scaling")[1] == expected.pop("scaling")[1] > 0
        assert_same(found, expected)


@pytest.mark.parametrize(
    ("family", "part", "words"),
    [
        ("hf_audio", "audio_tower", "adapts the audio encoder"),
        ("hf_speech", "encoder", "adapts the encoder"),
    ],
)
def test_a_changed_encoder_needs_clips_that_are_heard_anew(
    tmp_path: Path, family: str, part: str, words: str
) -> None:
    build, load = {
        "hf_audio": (tiny_audio_models.build, load_audio),
        "hf_speech": (tiny_speech_models.build, load_speech),
    }[family]
    kind = "qwen2_audio" if family == "hf_audio" else "english"
    path, tuned = build(kind, tmp_path / "model"), build(kind, tmp_path / "tuned")
    settings = defaults(family) | {"model": str(path)}
    answerer = load(settings, "cpu", "float32", None, None)
    before = state(answerer)
    moved(load(settings, "cpu", "float32", None, None).model, tuned, part)
    with pytest.raises(UserError, match=f"encode_once: .*tuned {words} "):
        answerer.adapt(str(tuned), None, 0.5)
    found = state(answerer)
    assert found.pop("scaling") and before.pop("scaling")
    assert_same(found, before)
    anew = load(settings | {"encode_once": False}, "cpu", "float32", None, str(tuned), 0.5)
    assert anew.strength == 0.5


# ---------------------------------------------------------------------------------- what is refused


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture
def answerer(model: Path) -> Any:
    settings = defaults("hf_text") | {"model": str(model)}
    return load_text(settings, "cpu", "float32", None, None)


def refused(answerer: Any, adapter: Path, scaling: float | None, strength: float | None) -> str:
    """Return the message; the model is as it is without an adapter then."""
    plain = logits(answerer.llm)
    with pytest.raises(UserError) as caught:
        answerer.adapt(str(adapter), scaling, strength)
    assert torch.equal(logits(answerer.llm), plain)
    return str(caught.value)


def test_a_scaling_and_a_strength_are_told_apart(answerer: Any, model: Path, tmp_path: Path):
    dora = write_change(tmp_path / "dora", model, use_dora=True)
    plain = write_adapter(tmp_path / "plain", model)
    tuned = write_checkpoint(tmp_path / "tuned", model)
    for folder in (dora, tuned):
        message = refused(answerer, folder, 2.0, None)
        assert "lora_scaling 2 cannot scale it" in message and "Give strength instead" in message
    message = refused(answerer, plain, None, 0.5)
    assert "strength 0.5 is for adapters that are more" in message
    assert "Give lora_scaling instead" in message
    with pytest.raises(UserError, match="strength 1 changes nothing: no adapter is given"):
        answerer.adapt(None, None, 1.0)
    answerer.adapt(str(dora), None, 0.5)
    with pytest.raises(UserError, match="strength 2 is for adapters"):
        answerer.adapt(str(plain), None, 2.0)
    assert torch.equal(logits(answerer.llm), logits(AutoModelForCausalLM.from_pretrained(model)))


def test_copies_of_embeddings_count_where_they_are_changed(
    answerer: Any, model: Path, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "copies", model, target_modules=["embed_tokens", "q_proj"])
    answerer.adapt(str(folder), 0.5)
    assert (answerer.lora_scaling, answerer.strength) == (0.5, None)
    name = "base_model.model.model.embed_tokens.base_layer.weight"
    rows = AutoModelForCausalLM.from_pretrained(model).model.embed_tokens.weight.detach()
    edit_tensors(folder / "adapter_model.safetensors", {name: rows + 0.1})
    answerer.adapt(None, None)
    assert "cannot scale it" in refused(answerer, folder, 0.5, None)
    answerer.adapt(str(folder), None, 1.0)
    found = answerer.llm.model.embed_tokens.weight - rows
    assert answerer.strength == 1 and found.mean() == pytest.approx(0.1, abs=0.02)


HEAD = "base_model.model.lm_head.weight"


@pytest.mark.parametrize(
    ("tensors", "config", "message"),
    [
        ({HEAD: None}, {}, "lacks tensors of modules_to_save: lm_head.weight"),
        ({HEAD: torch.ones(301, 32)}, {}, r"lm_head.weight has the shape \[301, 32\], the model's"),
        ({HEAD: torch.full((300, 32), torch.nan)}, {}, "NaN or infinite values in"),
        ({"base_model.model.head.weight": torch.ones(2)}, {}, "for layers that the model lacks"),
        ({}, {"modules_to_save": ["score"]}, "modules_to_save names what the model lacks: score"),
        ({}, {"trainable_token_indices": [1], "modules_to_save": None}, None),
        ({}, {"use_dora": False}, "has tensors for layers that the model lacks"),
        ({}, {"target_modules": ["w_pack"]}, "does not fit the model"),
        ({}, {"use_qalora": True}, "use_qalora .*merge the adapter"),
    ],
)
def test_an_adapter_that_does_not_fit_is_one_message(
    answerer: Any, model: Path, tmp_path: Path, tensors: dict, config: dict, message: str | None
) -> None:
    folder = write_change(tmp_path / "odd", model, use_dora=True, modules_to_save=["lm_head"])
    edit_tensors(folder / "adapter_model.safetensors", tensors)
    edit_json(folder / "adapter_config.json", **config)
    if message is None:
        answerer.adapt(str(folder), None, 0.5)
        assert answerer.strength == 0.5
    else:
        assert re.search(message, refused(answerer, folder, None, 0.5))


def test_trained_tokens_that_do_not_fit(answerer: Any, model: Path, tmp_path: Path) -> None:
    folder = write_change(tmp_path / "tokens", model, trainable_token_indices=[4, 7])
    edit_json(folder / "adapter_config.json", trainable_token_indices={"embed_tokens": [4, 999]})
    assert "trained tokens of model.embed_tokens.weight do not fit" in refused(
        answerer, folder, None, None
    )


def test_a_checkpoint_of_another_model_is_one_message(
    answerer: Any, model: Path, tmp_path: Path
) -> None:
    def copy(name: str, **changes: Any) -> Path:
        folder = write_checkpoint(tmp_path / name, model)
        edit_json(folder / "config.json", **changes)
        return folder

    for changes, words in (
        ({"vocab_size": 301}, "another model .*vocab_size 301 instead of 300"),
        ({"num_hidden_layers": 3, "hidden_size": 8}, "hidden_size 8 instead of 32"),
        ({"rms_norm_eps": 0.1}, "another model .*rms_norm_eps 0.1 instead of 1e-06"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "its weights are quantised"),
    ):
        message = refused(answerer, copy(next(iter(changes)), **changes), None, None)
        assert re.search(words, message), message
    resized = AutoModelForCausalLM.from_pretrained(model)
    resized.resize_token_embeddings(310)
    resized.save_pretrained(tmp_path / "resized")
    message = refused(answerer, tmp_path / "resized", None, None)
    assert "vocab_size 310 instead of 300" in message
    broken = copy("broken", use_cache=False)
    (broken / "model.safetensors").write_bytes(b"0" * 90)
    assert "not a readable safetensors file" in refused(answerer, broken, None, None)
    same = copy("same")
    AutoModelForCausalLM.from_pretrained(model).save_pretrained(same)
    assert "changes no weight of the model" in refused(answerer, same, None, 0.5)


def test_more_than_a_precision_holds_is_one_message(model: Path, tmp_path: Path) -> None:
    tuned = write_checkpoint(tmp_path / "tuned", model)
    weights = AutoModelForCausalLM.from_pretrained(tuned)
    weights.model.norm.weight.data += 100
    weights.save_pretrained(tuned)
    settings = defaults("hf_text") | {"model": str(model)}
    found = load_text(settings, "cpu", "float16", None, None)
    message = refused(found, tuned, None, 1000.0)
    assert "strength 1000 is more than float16 holds in model.norm.weight" in message
    found.adapt(str(tuned), None, 10.0)
    assert found.strength == 10


def test_weights_of_the_model_are_computed_from_its_files_anew(model: Path, tmp_path: Path) -> None:
    """So going on and back leaves no trace, however often."""
    tuned = write_checkpoint(tmp_path / "tuned", model, "bfloat16")
    settings = defaults("hf_text") | {"model": str(model)}
    found = load_text(settings, "cpu", "bfloat16", None, None)
    plain = state(found)
    seen: dict[float, Any] = {}
    for strength in (0.3, 1.0, 0.0, -2.0, 0.3, 0.0, 1.0):
        found.adapt(str(tuned), None, strength)
        now = {n: w.clone() for n, w in found.llm.state_dict().items()}
        before = seen.setdefault(strength, now)
        assert all(torch.equal(before[n], w) for n, w in now.items())
    found.adapt(None, None)
    assert_same(state(found), plain)


def test_float8_files_have_no_strength(answerer: Any, model: Path, tmp_path: Path) -> None:
    tuned = write_checkpoint(tmp_path / "tuned", model)
    kept = AutoModelForCausalLM.from_pretrained(tuned).state_dict()
    name = "model.norm.weight"
    save_file(kept | {name: kept[name].to(torch.float8_e4m3fn)}, tuned / "model.safetensors")
    assert json.loads((tuned / "config.json").read_text())["model_type"] == "llama"
    assert "its weights are quantised" in refused(answerer, tuned, None, 0.5)


def test_a_copy_that_lacks_weights_is_one_message(
    answerer: Any, model: Path, tmp_path: Path
) -> None:
    tuned = write_checkpoint(tmp_path / "tuned", model)
    kept = dict(AutoModelForCausalLM.from_pretrained(tuned).state_dict())
    del kept["model.norm.weight"]
    save_file(kept, tuned / "model.safetensors", {"format": "pt"})
    message = refused(answerer, tuned, None, 0.5)
    assert message.startswith("adapter: ") and "missing keys: model.norm.weight" in message
    assert message.endswith(f"Is it a fine-tuned copy of the model in {model}?")
