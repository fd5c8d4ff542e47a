"""A language model spread over several GPUs, as far as a machine without any can tell."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from accelerate import dispatch_model
from transformers import LlamaForCausalLM

from lorascope.errors import UserError
from lorascope.models.pretrained import check_placement
from lorascope.models.salmonn.answerer import load as load_answerer
from lorascope.models.salmonn.encoder import load as load_encoder
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn

GREEDY = {
    "max_new_tokens": 12,
    "min_length": 1,
    "num_beams": 1,
    "do_sample": False,
    "repetition_penalty": 1.0,
    "length_penalty": 1.0,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict:
    return defaults("salmonn") | write_salmonn(tmp_path_factory.mktemp("salmonn"))


@pytest.fixture(scope="module")
def features(files) -> list:
    noise = np.random.default_rng(0).standard_normal(16000, dtype=np.float32)
    return load_encoder(files, "cpu").encode([0.1 * noise, 0.2 * noise[:9000]])


def answers(files, features, placement: str) -> list[list[int]]:
    model = load_answerer(files, placement, "float32", 3.0)
    questions = ["How many legs does it have?", "Sad?"]
    return [answer.tokens for answer in model.answer(questions, features, GREEDY, [0, 1])]


def test_automatic_placement_gives_the_same_answers(files, features):
    assert answers(files, features, "auto") == answers(files, features, "cpu")


def test_hooks_that_move_tensors_between_parts_leave_the_answers_alone(
    files, features, monkeypatch
):
    """accelerate hooks every part that it places; here all the places are the CPU."""
    expected = answers(files, features, "cpu")
    load = LlamaForCausalLM.from_pretrained
    hooked = []

    def spread(*args, **settings):
        llm, report = load(*args, **settings)
        parts = ["model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"]
        parts += [f"model.layers.{i}" for i in range(llm.config.num_hidden_layers)]
        dispatch_model(llm, dict.fromkeys(parts, "cpu"), force_hooks=True)
        hooked.extend(name for name, m in llm.named_modules() if hasattr(m, "_hf_hook"))
        return llm, report

    monkeypatch.setattr(LlamaForCausalLM, "from_pretrained", spread)
    assert answers(files, features, "auto") == expected
    assert "model.layers.0.self_attn.q_proj" in hooked  # which LoRA then wraps


def test_a_model_that_does_not_fit_on_its_gpus_is_a_user_error(tmp_path):
    gpu = SimpleNamespace(type="cuda")
    whole = SimpleNamespace(device=gpu)
    spread = SimpleNamespace(device=gpu, hf_device_map={"model.layers.0": 0, "model.layers.1": 1})
    for fits in (whole, spread):
        check_placement(fits, tmp_path, "llm")
    spread.hf_device_map["model.layers.1"] = "cpu"
    with pytest.raises(UserError, match=r"no room for model\.layers\.1\. Raise gpus_per_job"):
        check_placement(spread, tmp_path, "llm")


@pytest.mark.slow
def test_imports_call_no_cuda():
    """The driver reads CUDA_VISIBLE_DEVICES at the first call, and jobs lease after importing."""
    code = """
import torch
calls = []
for name in ("is_available", "device_count", "current_device", "_lazy_init"):
    setattr(torch.cuda, name, lambda *_, name=name: calls.append(name) or 0)
torch._C._cuda_getDeviceCount = lambda: calls.append("getDeviceCount") or 0  # as if built for CUDA
torch._C._cuda_getCurrentRawStream = lambda _: 0
import accelerate, peft, transformers
import lorascope.models.decoding, lorascope.storage.features
import lorascope.stages.encode, lorascope.stages.infer
import lorascope.models.salmonn.answerer, lorascope.models.salmonn.encoder
imported = list(calls)
torch.cuda.is_available()
print(imported, calls)
"""
    job = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert job.stdout == "[] ['is_available']\n", job.stderr
