"""Model folders, adapters and checkpoints: loaded whole, or refused."""

import copy
import json
import shutil
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from lorascope.models import lora
from lorascope.models.adapter_config import check_folder
from lorascope.models.auditing.adapters import read_adapter
from lorascope.models.auditing.audit import Intruders, audit_rows, summary_of
from lorascope.models.auditing.base import Model, compare
from lorascope.models.auditing.oddities import oddities
from lorascope.models.auditing.tensors import read_model
from lorascope.models.hf_text.answerer import load as load_text
from lorascope.models.salmonn.answerer import load as load_answerer
from lorascope.models.salmonn.encoder import load as load_encoder
from tests.fuzzing.mutations import damaged_often, mutated, odd
from tests.fuzzing.runner import Kind
from tests.support.basics import GREEDY
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import CHAT_TEMPLATE, write_adapter, write_model

WORDS = ["flash_attention_2", "bitsandbytes", "gptq", "yarn", "dynamic", "llama", "gpt2", "relu7",
         "q_proj", "all-linear", "pissa", "LORA", "DORA", "float16", "Wordless"]  # fmt: skip
KEYS = {
    "config.json": ["attn_implementation", "rope_parameters", "rope_scaling", "hidden_act", "dtype",
                    "quantization_config", "model_type", "auto_map", "num_key_value_heads",
                    "head_dim", "pad_token_id", "tie_word_embeddings", "architectures"],
    "generation_config.json": ["eos_token_id", "bos_token_id", "max_length"],
    "adapter_config.json": ["peft_type", "use_dora", "rank_pattern", "alpha_pattern", "bias",
                            "layers_to_transform", "modules_to_save", "exclude_modules",
                            "init_lora_weights", "target_parameters", "runtime_config"],
}  # fmt: skip


def _spoil_json(path: Path, random: Random) -> None:
    """Change a JSON file by what its programs know, or by anything."""
    content = json.loads(path.read_text())
    if path.name in KEYS and random.random() < 0.6:
        key = random.choice([*KEYS[path.name], *content])
        value = random.choice([random.choice(WORDS), {"rope_type": "yarn"}, odd(random)])
        content[key] = random.choice([value, {"quant_method": value}, [value]])
    else:
        content = mutated(content, random, random.choice([1, 1, 3]))
    try:
        text = json.dumps(content)
    except (TypeError, ValueError):
        text = "{"
    data = text.encode(errors="surrogatepass")
    path.write_bytes(damaged_often(data, random) if random.random() < 0.1 else data)


def _spoil_tensors(path: Path, random: Random) -> None:
    """Damage a safetensors file, or give it other tensors."""
    if random.random() < 0.5:
        path.write_bytes(damaged_often(path.read_bytes(), random))
        return
    tensors = _spoilt(load_file(path), random)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path)


def _spoilt(tensors: dict[str, torch.Tensor], random: Random) -> dict[str, torch.Tensor]:
    tensors = dict(tensors)
    name = random.choice([*tensors])
    changes = [
        lambda t: t * float("nan"),
        lambda t: t.to(torch.float16),
        lambda t: t.to(torch.int64),
        lambda t: t.to(torch.float8_e4m3fn),
        lambda t: t[:1],
        lambda t: t.flatten(),
        lambda t: t[None],
        lambda t: torch.zeros(0),
        lambda t: t.bool(),
    ]
    match random.randrange(4):
        case 0:
            del tensors[name]
        case 1:
            tensors[f"{name}x"] = tensors.pop(name)
        case 2:
            tensors[name.replace("lora_A", "lora_B") + ".y"] = tensors[name]
        case _:
            tensors[name] = random.choice(changes)(tensors[name])
    return tensors


def spoil(path: Path, random: Random) -> None:
    """Change a file of a model by what its programs know, or damage it."""
    if path.suffix == ".json":
        _spoil_json(path, random)
    elif path.suffix == ".safetensors":
        _spoil_tensors(path, random)
    else:
        path.write_bytes(damaged_often(path.read_bytes(), random))


# ---------------------------------------------------------------------------------- adapters


def write_adapters(folder: Path) -> None:
    """Write a model and an adapter for it."""
    write_model(folder / "model")
    write_adapter(folder / "adapter", folder / "model")


@cache
def _model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder)


def load_odd_adapter(random: Random, given: Path) -> None:
    """Attach an adapter whose configuration or weights were changed."""
    shutil.copytree(given / "adapter", "adapter")
    files = [lora.CONFIG, "adapter_model.safetensors"]
    for name in random.choice([files[:1], files[:1], files[1:], files]):
        spoil(Path("adapter", name), random)
    model = copy.deepcopy(_model(given / "model"))
    scaling = random.choice([None, 0, 1, 1e9, float("nan")])
    lora.adapt(model, Path("adapter"), scaling)
    assert lora.lora_layers(model)


ADAPTER = Kind("adapter", write_adapters, load_odd_adapter)


def audit_odd_files(random: Random, given: Path) -> None:
    """Look into an adapter and its model, files of one of which were changed."""
    for name in ("adapter", "model"):
        shutil.copytree(given / name, name)
    odd = random.choice(["adapter", "adapter", "model"])
    files = {"adapter": [lora.CONFIG, "adapter_model.safetensors"]}
    for name in files.get(odd, ["model.safetensors", "config.json"]):
        spoil(Path(odd, name), random)
    check_folder(Path("adapter"))
    adapter, tensors = read_adapter(Path("adapter")), read_model(Path("model"))
    verdict = compare(adapter.base, adapter.parts, Model.named("model"), tensors)
    rows = audit_rows(adapter, tensors, random.choice([None, Intruders(3, 0.5)]))
    said = {"base": vars(verdict), **summary_of(rows), "odd": [*oddities(rows)], "rows": rows}
    json.dumps(said, allow_nan=False)


AUDIT = Kind("audit", write_adapters, audit_odd_files)

# ------------------------------------------------------------------------------------ models


def write_text_model(folder: Path) -> None:
    """Write a text model with a chat template."""
    write_model(folder / "model")
    (folder / "model/chat_template.jinja").write_text(CHAT_TEMPLATE)


def load_odd_model(random: Random, given: Path) -> None:
    """Load a text model of which a file was changed, and ask it something."""
    shutil.copytree(given / "model", "model")
    files = sorted(Path("model").iterdir())
    for path in random.sample(files, random.choice([1, 1, 2])):
        spoil(path, random)
    settings = defaults("hf_text") | {"model": "model", "chat_template": random.random() < 0.5}
    answerer = load_text(settings, "cpu", "float32", None, None)
    answerer.prompt_ids("Which animal is it?")
    (answer,) = answerer.answer(["Which?"], [None], GREEDY | {"max_new_tokens": 2}, [0])
    assert isinstance(answer.text, str)


MODEL = Kind("model", write_text_model, load_odd_model)


def load_odd_salmonn(random: Random, given: Path) -> None:
    """Load a SALMONN of which a file was changed."""
    shutil.copytree(given, "salmonn")
    names = {"whisper": "whisper", "beats": "beats.pt", "llm": "llm", "checkpoint": "salmonn.pth"}
    settings = defaults("salmonn") | {key: f"salmonn/{name}" for key, name in names.items()}
    files = [path for path in sorted(Path("salmonn").rglob("*")) if path.is_file()]
    path = random.choice([*files, *(p for p in files if p.suffix in (".pt", ".pth"))])
    if path.suffix in (".pt", ".pth") and random.random() < 0.8:
        _spoil_checkpoint(path, random)
    else:
        spoil(path, random)
    if "llm" in path.parts or path.suffix == ".pth":
        load_answerer(settings, "cpu", "float32", 1.0)
    load_encoder(settings, "cpu")


def _spoil_checkpoint(path: Path, random: Random) -> None:
    content = torch.load(path, weights_only=True)
    if "cfg" in content and random.random() < 0.6:
        content["cfg"] = mutated(content["cfg"], random, random.choice([1, 2]))
    elif random.random() < 0.6:
        content["model"] = _spoilt(content["model"], random)
    else:
        content = mutated(content, random)
    try:
        torch.save(content, path)
    except Exception:  # what it takes for a number is not all that Python does
        path.write_bytes(b"")


SALMONN = Kind("salmonn", write_salmonn, load_odd_salmonn)
