"""Model folders, adapters and checkpoints that libraries choke on, each in a way of its own."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lorascope.errors import UserError
from lorascope.models.hf_text.answerer import load as load_text
from lorascope.models.lora import load_adapter
from lorascope.models.pretrained import check_eos, load_model
from lorascope.models.salmonn.answerer import load as load_salmonn
from lorascope.models.salmonn.encoder import load as load_encoder
from lorascope.models.weights import read_folder
from lorascope.storage.files import read_object
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import edit_json, write_adapter, write_model


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def model(tmp_path, whole) -> Path:
    """A copy of the model, in which a file can be replaced."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in whole.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def refused(load: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        load()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def load(folder: Path):
    return load_text(defaults("hf_text") | {"model": str(folder)}, "cpu", "float32", None, None)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "does not load as"),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
         "bitsandbytes"),
        ({"attn_implementation": "flash_attention_2"}, "FlashAttention2"),
        ({"rope_parameters": {"rope_type": "spiral", "rope_theta": 1e4}}, "spiral"),
        ({"hidden_act": "wobble"}, "wobble"),
        ({"dtype": "float17"}, "float17"),
    ],
    ids=["gptq", "bitsandbytes", "flash attention", "rope", "activation", "dtype"],
)  # fmt: skip
def test_a_configuration_that_cannot_be_met(model, changes, word):
    edit_json(model / "config.json", **changes)
    message = refused(lambda: load(model))
    assert message.startswith(f"model: {model} ")
    assert word in message


@pytest.mark.parametrize(
    "content",
    ['{"model": {"type": "Spelling"}}', "{}", "[]", "\x00", "[" * 5000],
    ids=["unknown kind", "empty", "list", "no JSON", "deep"],
)
def test_a_tokenizer_of_an_unknown_kind(model, content):
    (model / "tokenizer.json").write_text(content)
    assert refused(lambda: load(model)).startswith(f"model: {model} has no tokenizer that loads: ")


def test_a_tokenizers_odd_setting_is_found_when_it_is_loaded(model):
    edit_json(model / "tokenizer_config.json", model_max_length="long")
    assert "has no tokenizer that loads" in refused(lambda: load(model))


def test_a_panic_in_rust_is_a_message(model):
    content = json.loads((model / "tokenizer.json").read_text())
    content["post_processor"]["special_tokens"] = {}
    (model / "tokenizer.json").write_text(json.dumps(content))
    assert "has no tokenizer that loads" in refused(lambda: load(model))


@pytest.mark.parametrize("odd", ["</s>", -1, 1.5, True, [[1]], {"a": 1}])
def test_an_eos_id_that_is_no_token(model, odd):
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": odd}))
    assert "is no token. Correct it." in refused(lambda: load(model))


def test_an_eos_id_that_the_model_cannot_say(model):
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 300]}))
    message = refused(lambda: load(model))
    assert "eos_token_id 300 is none of the model's 300 tokens" in message
    check_eos(load_text_alone(model), [299], model, "model")


def load_text_alone(folder: Path):
    from transformers import AutoModelForCausalLM

    return load_model(AutoModelForCausalLM, folder, "cpu", "float32", "model")


@pytest.mark.parametrize("content", ['{"a": "\\ud800"}', "[" * 5000, "[1]", "\xff", "nul"])
def test_json_that_is_none(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content.encode("latin-1"))
    assert "config.json" in refused(lambda: read_object(tmp_path / "config.json"))


# --------------------------------------------------------------------------------- weights


@pytest.mark.parametrize(
    "odd", [None, [1], {"a": 1}, {"a": ["x"]}, {}, {"a": "absent.safetensors"}]
)
def test_an_odd_map_of_weights(model, odd):
    (model / "model.safetensors").unlink()
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": odd}))
    assert "index.json" in refused(lambda: load(model))


@pytest.mark.parametrize("content", [3, [1], {1: torch.zeros(1)}, {"a": 1}])
def test_a_file_of_torch_without_tensors_by_name(model, content):
    (model / "model.safetensors").unlink()
    torch.save(content, model / "pytorch_model.bin")
    assert "pytorch_model.bin does not hold tensors by name" in refused(
        lambda: read_folder(model, ("model.",))
    )


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_pipe_among_the_weights_is_not_waited_for(model, name):
    (model / name).unlink()
    os.mkfifo(model / name)
    reader = (
        (lambda: load(model)) if name.startswith("model") else (lambda: read_object(model / name))
    )
    assert "is a pipe, where a file is expected" in refused(reader)


def test_an_adapter_of_eight_bits_is_looked_at(tmp_path, whole):
    adapter = write_adapter(tmp_path / "adapter", whole)
    path = adapter / "adapter_model.safetensors"
    eight = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in load_file(path).items()}
    save_file(eight, path)
    load_adapter(load_text_alone(whole), adapter)
    name = next(iter(eight))
    eight[name] = torch.full_like(eight[name].float(), float("nan")).to(torch.float8_e4m3fn)
    save_file(eight, path)
    assert "NaN or infinite values" in refused(
        lambda: load_adapter(load_text_alone(whole), adapter)
    )


# --------------------------------------------------------------------------------- SALMONN


@pytest.fixture(scope="module")
def salmonn(tmp_path_factory) -> dict[str, str]:
    return defaults("salmonn") | write_salmonn(tmp_path_factory.mktemp("salmonn"))


@pytest.mark.parametrize(
    "change",
    [
        lambda cfg: [1, 2],
        lambda cfg: None,
        lambda cfg: cfg | {"encoder_layers": "many"},
        lambda cfg: cfg | {"encoder_layers": -1, "encoder_embed_dim": 0},
        lambda cfg: cfg | {"encoder_attention_heads": 0},
        lambda cfg: cfg | {"input_patch_size": [16]},
    ],
    ids=["list", "null", "text", "negative", "zero", "nested"],
)
def test_beats_with_an_odd_cfg(tmp_path, salmonn, change):
    content = torch.load(salmonn["beats"], weights_only=True)
    torch.save(content | {"cfg": change(content["cfg"])}, tmp_path / "beats.pt")
    message = refused(lambda: load_encoder(salmonn | {"beats": str(tmp_path / "beats.pt")}, "cpu"))
    assert message.startswith(f"{tmp_path}/beats.pt")


def test_a_checkpoint_whose_names_are_numbers(tmp_path, salmonn):
    torch.save({"model": {1: torch.zeros(1)}}, tmp_path / "odd.pth")
    message = refused(
        lambda: load_encoder(salmonn | {"checkpoint": str(tmp_path / "odd.pth")}, "cpu")
    )
    assert "no state dict under the key 'model'" in message


def test_a_lora_of_a_checkpoint_that_is_no_matrix(tmp_path, salmonn):
    content = torch.load(salmonn["checkpoint"], weights_only=True)
    name = next(name for name in content["model"] if "lora_A" in name)
    content["model"][name] = content["model"][name].flatten()
    torch.save(content, tmp_path / "flat.pth")
    settings = salmonn | {"checkpoint": str(tmp_path / "flat.pth")}
    message = refused(lambda: load_salmonn(settings, "cpu", "float32", None))
    assert "has the shape [128]; it is no matrix" in message


@pytest.mark.parametrize("name", ["speech_query_tokens", "speech_llama_proj.weight"])
def test_a_bridge_of_odd_shapes(tmp_path, salmonn, name):
    content = torch.load(salmonn["checkpoint"], weights_only=True)
    content["model"][name] = content["model"][name].flatten()
    torch.save(content, tmp_path / "flat.pth")
    settings = salmonn | {"checkpoint": str(tmp_path / "flat.pth")}
    load = load_salmonn if "proj" in name else load_encoder
    arguments = ["cpu", "float32", None] if "proj" in name else ["cpu"]
    assert str(tmp_path / "flat.pth") in refused(lambda: load(settings, *arguments))


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_a_whisper_that_is_described_oddly(tmp_path, salmonn, name):
    folder = tmp_path / "whisper"
    folder.mkdir()
    for path in Path(salmonn["whisper"]).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    edit_json(folder / name, d_model="wide", feature_size="wide", activation_function="wobble")
    assert name in refused(lambda: load_encoder(salmonn | {"whisper": str(folder)}, "cpu"))
