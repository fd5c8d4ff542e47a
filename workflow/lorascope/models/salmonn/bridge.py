"""From Whisper's and BEATs' outputs to the language model's embeddings: SALMONN's trained part.

Parameters carry transformers' names inside the Q-Former and SALMONN's elsewhere;
``released_name`` translates to the released checkpoint's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.blip_2.configuration_blip_2 import Blip2QFormerConfig
from transformers.models.blip_2.modeling_blip_2 import Blip2QFormerModel

_QFORMER, _RELEASED_QFORMER = "speech_Qformer.", "speech_Qformer.bert."


@dataclass(frozen=True)
class BridgeConfig:
    """Sizes of a bridge; the defaults are those that no tensor of a checkpoint shows.

    The released models took theirs from bert-base-uncased.
    """

    speech_width: int
    audio_width: int
    hidden_size: int
    num_hidden_layers: int
    intermediate_size: int
    llm_width: int
    queries: int = 1
    num_attention_heads: int = 12
    dropout: float = 0.0

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], num_attention_heads: int) -> Self:
        """Read the sizes off a released checkpoint, which does not show the number of heads.

        KeyError when a tensor is missing.
        """
        _, queries, hidden_size = tensors["speech_query_tokens"].shape
        feed_forward = "intermediate_query.dense.weight"
        return cls(
            speech_width=len(tensors["ln_speech.weight"]),
            audio_width=len(tensors["ln_audio.weight"]),
            hidden_size=hidden_size,
            num_hidden_layers=sum(name.endswith(feed_forward) for name in tensors),
            intermediate_size=len(tensors[f"{_RELEASED_QFORMER}encoder.layer.0.{feed_forward}"]),
            llm_width=len(tensors["speech_llama_proj.weight"]),
            queries=queries,
            num_attention_heads=num_attention_heads,
        )


def window_frames(seconds: float, max_source_positions: int, chunk_length: float) -> int:
    """Return the frames in a window or stride of ``seconds``.

    ``max_source_positions`` is the number of frames of Whisper's encoder for one chunk of
    ``chunk_length`` seconds (1500 for 30 s in the released one).
    """
    return round(max_source_positions * seconds / chunk_length)


def fuse(speech: Tensor, audio: Tensor) -> Tensor:
    """Zero-pad the shorter of two [batch, frames, width] streams and concatenate the widths."""
    frames = max(speech.shape[1], audio.shape[1])
    speech, audio = (F.pad(x, (0, 0, 0, frames - x.shape[1])) for x in (speech, audio))
    return torch.cat([speech, audio], dim=-1)


def cut_windows(frames: Tensor, window: int, stride: int) -> Tensor:
    """Cut [batch, frames, width] into [batch, windows, window, width].

    Frames at the end that do not fill a window are dropped. ValueError when there are fewer frames
    than one window has.
    """
    if frames.shape[1] < window:
        raise ValueError(f"a window of {window} frames does not fit in {frames.shape[1]} frames")
    return frames.unfold(1, window, stride).transpose(2, 3)


class Bridge(nn.Module):
    """LayerNorms, fusion, windows, Q-Former and projection."""

    def __init__(self, config: BridgeConfig) -> None:
        super().__init__()
        self.config = config
        self.ln_speech = nn.LayerNorm(config.speech_width)
        self.ln_audio = nn.LayerNorm(config.audio_width)
        self.speech_query_tokens = nn.Parameter(
            torch.randn(1, config.queries, config.hidden_size) * 0.02
        )
        self.speech_Qformer = Blip2QFormerModel(
            Blip2QFormerConfig(
                hidden_size=config.hidden_size,
                num_hidden_layers=config.num_hidden_layers,
                num_attention_heads=config.num_attention_heads,
                intermediate_size=config.intermediate_size,
                encoder_hidden_size=config.speech_width + config.audio_width,
                cross_attention_frequency=1,
                hidden_dropout_prob=config.dropout,
                attention_probs_dropout_prob=config.dropout,
            )
        )
        self.speech_llama_proj = nn.Linear(config.hidden_size, config.llm_width)

    def windows(self, speech: Tensor, audio: Tensor, window: int, stride: int) -> Tensor:
        """Return what the Q-Former attends to, [batch, windows, window, both widths]."""
        # Normalised before the padding, so that padded frames are zeros.
        return cut_windows(fuse(self.ln_speech(speech), self.ln_audio(audio)), window, stride)

    def features(self, speech: Tensor, audio: Tensor, window: int, stride: int) -> Tensor:
        """Return the Q-Former's output [batch, windows x queries, hidden_size].

        ``speech`` is Whisper's last hidden state [batch, frames, speech_width], ``audio`` BEATs'
        features [batch, steps, audio_width]; each window of ``window`` frames starts ``stride``
        frames after the one before.
        """
        cut = self.windows(speech, audio, window, stride)
        batch, count = cut.shape[:2]
        queries = self.speech_query_tokens.expand(batch * count, -1, -1)
        output = self.speech_Qformer(query_embeds=queries, encoder_hidden_states=cut.flatten(0, 1))
        return output.last_hidden_state.reshape(batch, -1, self.config.hidden_size)

    def forward(self, speech: Tensor, audio: Tensor, window: int, stride: int) -> Tensor:
        """Return the language model's embeddings [batch, windows x queries, llm_width]."""
        return self.speech_llama_proj(self.features(speech, audio, window, stride))


def released_name(name: str) -> str:
    """Translate a name in ``Bridge.state_dict()`` to the released checkpoint's."""
    if not name.startswith(_QFORMER):
        return name
    name = name.removeprefix(_QFORMER)
    if name.startswith("layernorm."):
        name = "embeddings.LayerNorm." + name.removeprefix("layernorm.")
    return _RELEASED_QFORMER + name.replace("attention.attention.", "attention.self.")
