"""The four parts of tiny-salmonn, untrained, and what the encoders take and give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    WhisperConfig,
    WhisperFeatureExtractor,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from lorascope.models.salmonn.beats import BEATs
from lorascope.models.salmonn.frontend import FrontEnd, fbank
from training_recipes.tiny_salmonn.architecture import BEATS, LLAMA, WHISPER, WHISPER_FEATURES

BATCH = 64

Array16 = npt.NDArray[np.float16]


def new_whisper(seed: int) -> WhisperEncoder:
    """The encoder of a small Whisper."""
    torch.manual_seed(seed)
    return WhisperEncoder(WhisperConfig(**WHISPER))


def new_beats(seed: int) -> BEATs:
    """A small BEATs."""
    torch.manual_seed(seed)
    return BEATs(BEATS)


def new_llm(vocabulary: int, seed: int) -> LlamaForCausalLM:
    """A Llama for a tokenizer of that many pieces."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **LLAMA))


def whisper_frames(model: WhisperEncoder) -> Callable[[Tensor], Tensor]:
    """From [batch, mels, frames] to the encoder's output [batch, frames, width]."""
    return lambda spectrograms: model(spectrograms).last_hidden_state


def beats_frames(model: BEATs) -> Callable[[Tensor], Tensor]:
    """From [batch, mels, frames] to BEATs' output [batch, steps, width]."""
    return lambda banks: model(banks.transpose(1, 2))


def write_feature_extractor(folder: Path) -> None:
    """Write preprocessor_config.json."""
    WhisperFeatureExtractor(**WHISPER_FEATURES).save_pretrained(folder)


def whisper_spectrograms(clips: npt.NDArray[np.int16], extractor: Path) -> Array16:
    """What Whisper takes of clips [n, samples]: [n, mels, frames]."""
    front_end = FrontEnd(extractor / "preprocessor_config.json")
    return _each_clip("Whisper's spectrograms", front_end.spectrogram, clips)


def beats_banks(clips: npt.NDArray[np.int16]) -> Array16:
    """What BEATs takes of clips [n, samples], frequency first: [n, mels, frames]."""
    return _each_clip("BEATs' filter banks", lambda wave: fbank(wave).T, clips)


def _each_clip(
    name: str,
    transform: Callable[[npt.NDArray[np.float32]], Tensor],
    clips: npt.NDArray[np.int16],
) -> Array16:
    waves = (clip.astype(np.float32) / 32768 for clip in clips)
    return np.stack(
        [transform(wave).numpy().astype(np.float16) for wave in tqdm(waves, name, len(clips))]
    )


@torch.no_grad()
def run_encoder(name: str, frames: Callable[[Tensor], Tensor], spectrograms: Array16) -> Array16:
    """The outputs [n, frames, width] of a frozen encoder."""
    batches = range(0, len(spectrograms), BATCH)
    return np.concatenate(
        [
            frames(torch.from_numpy(spectrograms[start : start + BATCH].astype(np.float32)))
            .numpy()
            .astype(np.float16)
            for start in tqdm(batches, name)
        ]
    )
