"""Folders of recognisers: loaded whole, or refused, by the plan or by the job."""

import shutil
from pathlib import Path
from random import Random

import numpy as np

from lorascope.models.hf_speech import FAMILY, SpeechModel
from lorascope.models.hf_speech.answerer import load as load_answerer
from lorascope.models.hf_speech.encoder import load as load_encoder
from lorascope.running.memory import is_lack_of_memory
from tests.fuzzing.models import KEYS, spoil
from tests.fuzzing.runner import Kind
from tests.support.basics import GREEDY
from tests.support.settings import defaults
from tests.support.tiny_speech_models import build

KEYS["generation_config.json"] += [
    "decoder_start_token_id", "forced_decoder_ids", "lang_to_id", "task_to_id", "suppress_tokens",
    "begin_suppress_tokens", "no_timestamps_token_id", "is_multilingual", "language", "task",
]  # fmt: skip
KEYS["preprocessor_config.json"] = [
    "chunk_length", "feature_size", "sampling_rate", "hop_length", "n_fft",
    "feature_extractor_type", "padding_value",
]  # fmt: skip


def write_models(folder: Path) -> None:
    """Write recognisers of two kinds."""
    build("multilingual", folder / "whisper")
    build("moonshine", folder / "moonshine")


def load_odd_recogniser(random: Random, given: Path) -> None:
    """Load a recogniser of which a file was changed, and let it hear something."""
    shutil.copytree(given / random.choice(["whisper", "whisper", "moonshine"]), "model")
    files = sorted(Path("model").iterdir())
    for path in random.sample(files, random.choice([1, 1, 2])):
        spoil(path, random)
    language = random.choice([None, None, "de", "xx"])
    keys = {"model": "model", "language": language, "encode_once": random.random() < 0.5}
    settings = defaults("hf_speech") | keys
    sources = {"model": Path("model")}
    assert FAMILY.encoding is not None
    assert FAMILY.encoding.hears is not None
    assert FAMILY.check is not None
    FAMILY.encoding.hears(sources)
    FAMILY.check(SpeechModel(family="hf_speech", **keys), sources)
    encoder = load_encoder(settings, "cpu")
    waves = [np.linspace(-0.1, 0.1, encoder.sampling_rate, dtype=np.float32)]
    answerer = load_answerer(settings, "cpu", "float32", None, None)
    generation = GREEDY | {"max_new_tokens": 2}
    try:
        (answer,) = answerer.answer([""], encoder.encode(waves), generation, [0])
    except RuntimeError as error:  # as the stages do, of sizes beyond any machine
        assert is_lack_of_memory(error)
        return
    assert isinstance(answer.text, str)


SPEECH = Kind("speech", write_models, load_odd_recogniser)
