"""Weights are looked at once, cheaply, and before they can make a number that is wrong."""

import json
import math
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from lorascope.errors import UserError
from lorascope.models import weights
from lorascope.models.hf_text import answerer as hf_text
from lorascope.models.pretrained import load_model
from lorascope.models.salmonn import answerer as salmonn
from lorascope.models.salmonn import encoder as salmonn_encoder
from lorascope.models.salmonn.frontend import SAMPLING_RATE
from lorascope.models.weights import check_finite
from tests.support.basics import GREEDY
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import QUESTIONS, write_both

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.float8_e5m2)
MIB = 1 << 20


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "values", [(math.nan,), (math.inf,), (-math.inf,), (math.inf, -math.inf)], ids=str
)
def test_what_is_not_finite_is_named_wherever_it_stands(dtype, values):
    generator = torch.Generator().manual_seed(0)
    for place in (0, 77, 4999):
        tensors = {name: torch.randn(5000, generator=generator).to(dtype) for name in "abc"}
        check_finite(tensors, "file")
        tensors["b"] = tensors["b"].float()
        tensors["b"][[(place + 50 * i) % 5000 for i in range(len(values))]] = torch.tensor(values)
        tensors["b"] = tensors["b"].to(dtype)
        with pytest.raises(UserError, match=r"^file: NaN or infinite values in b\. Fix the file"):
            check_finite(tensors, "file")


def test_what_is_large_or_no_float_is_finite():
    check_finite(
        {
            "half": torch.full((3, 5000), 60000.0, dtype=torch.float16),
            "single": torch.full((5000,), -3e38),
            "whole": torch.full((7,), torch.iinfo(torch.int64).max),
            "small": torch.ones(7, dtype=torch.uint16),
            "truth": torch.ones(3, dtype=torch.bool),
            "empty": torch.ones(0),
            "complex": torch.ones(3, dtype=torch.complex64),
        },
        "file",
    )
    check_finite({}, "file")
    with pytest.raises(UserError, match=r"in complex\. Fix"):
        check_finite({"complex": torch.tensor([1, complex(0, math.nan)])}, "file")


def write_zeros(folder: Path, layers: int) -> int:
    """Write a Llama of zeros, as a file with a hole; return the bytes of its weights."""
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=layers,
        num_attention_heads=8,
        torch_dtype="float32",
    )
    config.save_pretrained(folder)
    with torch.device("meta"):
        shapes = {n: [*t.shape] for n, t in LlamaForCausalLM(config).state_dict().items()}
    header, start = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        end = start + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + start)
    return start


def mapped(path: Path) -> int:
    """Return how many bytes of a file lie in this process's memory."""
    total, here = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(maxsplit=1)[0]:
            here = line.endswith(str(path))
        elif here and line.startswith("Rss:"):
            total += 1024 * int(line.split()[1])
    return total


def memory(key: str) -> int:
    """Return bytes of memory that this process has (VmRSS) or had at most (VmHWM)."""
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in status if line.startswith(f"{key}:"))


def test_loading_reads_next_to_nothing_and_a_checked_model_takes_its_size(tmp_path):
    size = write_zeros(tmp_path, 6)
    assert size > 400 * MIB
    load_model(LlamaForCausalLM, tmp_path, "cpu", "float32", "model")  # what is imported late
    file, before = tmp_path / "model.safetensors", memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    model = load_model(LlamaForCausalLM, tmp_path, "cpu", "float32", "model")
    assert 0 < mapped(file) < 0.02 * size
    assert memory("VmHWM") - before < 0.1 * size
    with torch.inference_mode():
        assert not model(torch.ones(1, 4, dtype=torch.int64)).logits.any()
    assert 0.95 * size < mapped(file) <= 1.05 * size
    assert memory("VmHWM") - before < 1.3 * size


def test_weights_are_looked_at_once(tmp_path, monkeypatch):
    write_zeros(tmp_path, 1)
    looked = []
    monkeypatch.setattr(weights, "check_finite", lambda found, source: looked.append({*found}))
    model = load_model(LlamaForCausalLM, tmp_path, "cpu", "float32", "model")
    for _ in range(3):
        model(torch.ones(1, 4, dtype=torch.int64))
    now, later = looked
    assert now == {name for name in dict(model.named_parameters()) if "norm" in name}
    assert now | later == {*dict(model.named_parameters())} and not now & later


@pytest.fixture
def all_late(monkeypatch):
    """No weight is so small that it is looked at while loading."""
    monkeypatch.setattr(weights, "AT_ONCE", 0)


def break_weight(path: Path, name: str) -> None:
    tensors = load_file(path)
    tensors[name].view(-1)[-1] = math.inf
    save_file(tensors, path, {"format": "pt"})


@pytest.mark.parametrize(
    "name", ["model.embed_tokens.weight", "model.layers.1.self_attn.q_proj.weight"]
)
def test_a_text_model_gives_no_number_with_a_broken_weight(tmp_path, all_late, name):
    model, adapter = write_both(tmp_path, "llama")
    break_weight(model / "model.safetensors", name)
    settings = defaults("hf_text") | {"model": str(model)}
    for path in (None, str(adapter)):
        answerer = hf_text.load(settings, "cpu", "bfloat16", None, path)
        for _ in range(2):  # nor when it is asked again
            with pytest.raises(UserError, match=f"{model}: NaN or infinite values in {name}. Fix"):
                answerer.answer(QUESTIONS, [None] * 4, GREEDY, range(4))
        with pytest.raises(UserError, match=f"NaN or infinite values in {name}"):
            answerer.choose(QUESTIONS[:1], [None], [["a", "b"]])


def test_a_salmonn_gives_no_number_with_a_broken_weight(tmp_path, all_late):
    settings = defaults("salmonn") | write_salmonn(tmp_path)
    waves = [torch.randn(SAMPLING_RATE, generator=torch.Generator().manual_seed(0)).numpy()]
    features = salmonn_encoder.load(settings, "cpu").encode(waves)
    break_weight(tmp_path / "llm/model.safetensors", name := "model.layers.0.mlp.up_proj.weight")
    answerer = salmonn.load(settings, "cpu", "float32", 2.0)
    with pytest.raises(UserError, match=f"llm: NaN or infinite values in {name}"):
        answerer.answer(QUESTIONS[:1], features, GREEDY, [0])
    break_weight(tmp_path / "whisper/model.safetensors", "model.encoder.layers.0.fc1.weight")
    with pytest.raises(UserError, match=r"whisper: NaN or infinite values in layers.0.fc1.weight"):
        salmonn_encoder.load(settings, "cpu").encode(waves)
    write_salmonn(tmp_path / "other")
    settings |= {"whisper": str(tmp_path / "other/whisper")}
    checkpoint = tmp_path / "salmonn.pth"
    content = torch.load(checkpoint, weights_only=True)
    name = "speech_Qformer.bert.encoder.layer.0.attention.self.query.weight"
    content["model"][name][0, 0] = math.nan
    torch.save(content, checkpoint)
    with pytest.raises(UserError, match=f"{checkpoint}: NaN or infinite values in {name}"):
        salmonn_encoder.load(settings, "cpu").encode(waves)
