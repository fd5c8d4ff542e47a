"""What the tests of hf_speech ask, and what transformers itself answers."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoFeatureExtractor, AutoModelForSpeechSeq2Seq

from lorascope.models.hf_speech.encoder import load as load_encoder
from tests.support import basics
from tests.support.settings import defaults
from tests.support.tiny_speech_models import KINDS, build

NEW = 12
GREEDY = basics.GREEDY | {"max_new_tokens": NEW}
SECONDS = [0.5, 1.37, 2.0, 1.0]


def settings_of(folder: Path, **changes: Any) -> dict[str, Any]:
    """Return the settings of a model in a folder, with every other default filled in."""
    return defaults("hf_speech") | {"model": str(folder)} | changes


def noise() -> list[np.ndarray]:
    """Return a few clips of noise at 16 kHz."""
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(int(16000 * s), dtype=np.float32) for s in SECONDS]


@pytest.fixture(scope="module", params=list(KINDS))
def folder(request, tmp_path_factory) -> Path:
    return build(request.param, tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="module")
def waves() -> list[np.ndarray]:
    return noise()


@pytest.fixture(scope="module")
def features(folder, waves) -> list[torch.Tensor]:
    return load_encoder(settings_of(folder), "cpu").encode(waves)


@pytest.fixture(scope="module")
def own(folder) -> Any:
    return AutoModelForSpeechSeq2Seq.from_pretrained(folder).eval()


FIXTURES = (folder, waves, features, own)
"""To be named in a test module: each of the tiny models in turn, and what it hears."""


def own_tokens(model: Any, folder: Path, wave: np.ndarray, **changes: Any) -> list[int]:
    """Return what transformers' own generate says to a clip, up to and with its end."""
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    heard = extractor(wave, sampling_rate=16000, return_tensors="pt")
    name = extractor.model_input_names[0]
    with torch.no_grad():
        output = model.generate(**{name: heard[name]}, **{"max_new_tokens": NEW, **changes})
    tokens = output[0].tolist()
    configuration = model.generation_config
    if tokens[0] == configuration.decoder_start_token_id:  # Whisper's leaves its prompt out
        tokens = tokens[1:]
    end = configuration.eos_token_id
    return tokens[: tokens.index(end)] if end in tokens else tokens


def said(answers: Any, end: int) -> list[list[int]]:
    """Return the tokens of answers without their ends, which Whisper's generate leaves out."""
    return [[token for token in answer.tokens if token != end] for answer in answers]


def scaled(model: PeftModel, scaling: float) -> PeftModel:
    """Return peft's model with its scaling set to an absolute one."""
    for module in model.modules():
        if hasattr(module, "lora_A"):
            module.scaling["default"] = scaling
    return model


def real_model(name: str) -> Path:
    """Return the folder of a real model; skip the test where there is none."""
    models = os.environ.get("LORASCOPE_REAL_MODELS")
    if models is None or not Path(models, name).exists():
        pytest.skip(f"real model absent: {name} (set LORASCOPE_REAL_MODELS)")
    return Path(models, name)
