"""What the tests of hf_audio ask, and what transformers itself answers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AudioFlamingo3ForConditionalGeneration,
    AutoProcessor,
    AutoTokenizer,
    GraniteSpeechForConditionalGeneration,
    Phi4MultimodalFeatureExtractor,
    Phi4MultimodalForCausalLM,
    Phi4MultimodalProcessor,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2AudioForConditionalGeneration,
)
from transformers.image_processing_base import ImageProcessingMixin

from lorascope.models.hf_audio.answerer import load as load_answerer
from lorascope.models.hf_audio.encoder import load as load_encoder
from tests.support import basics
from tests.support.settings import defaults
from tests.support.tiny_audio_models import available, build

MODELS = {
    "qwen2_audio": Qwen2AudioForConditionalGeneration,
    "audioflamingo3": AudioFlamingo3ForConditionalGeneration,
    "granite_speech": GraniteSpeechForConditionalGeneration,
    "qwen2_5_omni": Qwen2_5OmniThinkerForConditionalGeneration,
    "phi4_multimodal": Phi4MultimodalForCausalLM,
}
NEW = 10
GREEDY = basics.GREEDY | {"max_new_tokens": NEW}
QUESTIONS = ["How many legs does it have?", "Which animal can be heard? (a) dog (b) cat", "Sad?"]
SECONDS = [0.5, 1.37, 2.0]
EVERYWHERE = r".*\.(v_proj|to_kv)"


def settings_of(folder: Path) -> dict:
    """Return the settings of a model in a folder, with every default filled in."""
    return defaults("hf_audio") | {"model": str(folder)}


@pytest.fixture(scope="module", params=available())
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory) -> Path:
    return build(kind, tmp_path_factory.mktemp("models") / kind)


@pytest.fixture(scope="module")
def settings(folder) -> dict:
    return settings_of(folder)


@pytest.fixture(scope="module")
def waves() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(int(16000 * s), dtype=np.float32) for s in SECONDS]


@pytest.fixture(scope="module")
def features(settings, waves) -> list[torch.Tensor]:
    return load_encoder(settings, "cpu").encode(waves)


@pytest.fixture(scope="module")
def answerer(settings):
    return load_answerer(settings, "cpu", "float32", None, None)


@pytest.fixture(scope="module")
def own(kind, folder):
    """The model and processor as transformers loads them."""
    return MODELS[kind].from_pretrained(folder), own_processor(kind, folder)


FIXTURES = (kind, folder, settings, waves, features, answerer, own)
"""To be named in a test module: each of transformers' audio models in turn, random and tiny."""


def own_processor(kind: str, folder: Path):
    if kind != "phi4_multimodal":
        return AutoProcessor.from_pretrained(folder)
    # Where torchvision is not installed, AutoProcessor finds no image processor for it.
    extractor = Phi4MultimodalFeatureExtractor.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Phi4MultimodalProcessor(ImageProcessingMixin(), extractor, tokenizer)


def own_inputs(processor, text: str, wave: np.ndarray) -> dict:
    inputs = processor(text=text, audio=[wave], return_tensors="pt")
    unused = {"num_audio_tokens"}
    if not isinstance(processor, Phi4MultimodalProcessor):
        unused |= {"audio_embed_sizes"}
    return {k: v for k, v in inputs.items() if k not in unused}


def own_tokens(model, inputs: dict) -> list[int]:
    """Return the model's own greedy answer, without its folder's sampling defaults."""
    output = model.generate(
        **inputs, max_new_tokens=NEW, do_sample=False, repetition_penalty=1.0, temperature=None,
        top_k=None,
    )  # fmt: skip
    new = output[0, inputs["input_ids"].shape[1] :].tolist()
    eos = model.generation_config.eos_token_id
    return new[: new.index(eos) + 1] if eos in new else new
