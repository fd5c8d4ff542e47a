"""What is trained of a SALMONN, and on what: its Llama's LoRA and, if asked for, its bridge."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel, get_peft_model
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import set_seed

from lorascope.benchmarks.examples import Example, Pair
from lorascope.models.finetuning.batches import IGNORED, Rows, fitting
from lorascope.models.finetuning.clips import FEATURES, Clips, about_clips
from lorascope.models.finetuning.trainee import (
    Apart,
    Scratch,
    Trainee,
    check_targets,
    lora_config,
)
from lorascope.models.salmonn.answerer import SalmonnAnswerer, load_base
from lorascope.models.salmonn.bridge import Bridge, released_name
from lorascope.models.salmonn.encoder import SalmonnEncoder
from lorascope.models.salmonn.encoder import load as load_encoder
from lorascope.models.salmonn.files import BRIDGE

_BRIDGE_PREFIX = "bridge."
_WRAPPED = re.compile(r"base_model\.model\.bridge\.(?:modules_to_save\.default\.)?(.+)")


class Listener(nn.Module):
    """The language model with what puts clips among its words; the module that is trained.

    ``bridge`` is SALMONN's, or its projection alone, which takes the Q-Former's output.
    """

    is_gradient_checkpointing = False

    def __init__(self, llm: nn.Module, bridge: nn.Module) -> None:
        super().__init__()
        # Any: what a module's members are is known to torch alone.
        self.llm: Any = llm
        self.bridge: Any = bridge
        self.config = self.llm.config

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        heard: Tensor,
        audio: Sequence[Sequence[Any]],
    ) -> Any:
        """Return the language model's output for prompts [rows, positions].

        ``heard`` [rows, positions] is true where a clip goes, ``audio`` has the bridge's arguments
        for each row's clip.
        """
        embeds = self.embed(input_ids, heard, audio)
        return self.llm(inputs_embeds=embeds, attention_mask=attention_mask)

    def embed(self, input_ids: Tensor, heard: Tensor, audio: Sequence[Sequence[Any]]) -> Tensor:
        """Return the embeddings [rows, positions, width] of words and clips."""
        text = self.llm.get_input_embeddings()(input_ids)
        # In float32 whatever the precision, as when the model is asked.
        with torch.autocast(text.device.type, enabled=False):
            clips = [self.bridge(*arguments).flatten(0, -2) for arguments in audio]
        return text.masked_scatter(heard[..., None], torch.cat(clips).to(text.dtype))

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """Compute the language model's activations again instead of keeping them."""
        self.llm.activation_checkpointing_enable(**options)


def prepare(
    settings: Mapping[str, Any],
    train: Mapping[str, Any],
    examples: Sequence[Example],
    root: Path,
    device: str,
    scratch: Scratch,
) -> Trainee:
    """Load a SALMONN with fresh LoRA in place of the checkpoint's, and its examples.

    Clips, below ``root``, are encoded into ``scratch`` first. UserError as from the family's
    loaders, and for examples that do not fit.
    """
    asked, clips = about_clips(examples), Clips(scratch)
    hashes = {pair.clip: pair.clip_sha256 for pair in asked}
    missing = {clip: hashes[clip] for clip in clips.missing(hashes)}
    bridge = windows = None
    if missing or train["bridge"]:
        encoder = load_encoder(settings, device)
        clips.encode(encoder, root, missing, partial(below, encoder, train["bridge"]))
        if train["bridge"]:
            bridge, windows = encoder.bridge, (encoder.window, encoder.stride)
        del encoder  # the language model may need its memory
    answerer = load_base(settings, device, train["precision"])
    rows = [encode_pair(answerer, pair, clips) for pair in asked]
    kept = fitting(rows, train["sequence_length"])
    return Trainee(
        model=_adapt(answerer, bridge, train),
        rows=Rows(kept),
        collate=partial(collate, clips=clips, windows=windows),
        skipped=len(rows) - len(kept),
        published=published,
        apart=Apart(BRIDGE, _BRIDGE_PREFIX, released_name),
    )


def below(encoder: SalmonnEncoder, bridge: bool, wave: NDArray[np.float32]) -> dict[str, Tensor]:
    """Return what goes into the bridge, where it is trained."""
    if not bridge:
        return {}
    wave = encoder.front_end.trim(wave)
    return {"speech": encoder.speech(wave)[0], "audio": encoder.audio(wave)[0]}


def encode_pair(answerer: SalmonnAnswerer, pair: Pair, clips: Clips) -> dict[str, Any]:
    """Return an example as {input_ids, attention_mask, labels, heard, clip}.

    The prompt has the tokens, and the clip the place, that it has when the model is asked.
    """
    tokenizer = answerer.tokenizer
    before, after = answerer.prompt_ids(pair.prompt)
    places = clips.positions(pair.clip_sha256)
    response = tokenizer(pair.response, add_special_tokens=False).input_ids
    response = [*response, tokenizer.eos_token_id]
    bos = tokenizer.bos_token_id
    prompt = [bos, *before, *[bos] * places, *after]  # what stands in the clip's place is not read
    heard = [0] * (1 + len(before)) + [1] * places + [0] * (len(after) + len(response))
    return {
        "input_ids": prompt + response,
        "attention_mask": [1] * (len(prompt) + len(response)),
        "labels": [IGNORED] * len(prompt) + response,
        "heard": heard,
        "clip": pair.clip_sha256,
    }


def collate(
    rows: Sequence[Mapping[str, Any]], clips: Clips, windows: tuple[int, int] | None
) -> dict[str, Any]:
    """Return a batch of rows, padded on the right, with the bridge's arguments for each clip.

    ``windows`` are the Q-Former's window and stride where the whole bridge is trained.
    """
    batch: dict[str, Any] = {
        key: pad_sequence(
            [torch.tensor(row[key]) for row in rows], batch_first=True, padding_value=fill
        )
        for key, fill in (
            ("input_ids", 0),
            ("attention_mask", 0),
            ("labels", IGNORED),
            ("heard", 0),
        )
    }
    batch["heard"] = batch["heard"].bool()
    names = (FEATURES,) if windows is None else ("speech", "audio")
    audio = [clips.read(row["clip"], names) for row in rows]
    batch["audio"] = [(*(tensor[None] for tensor in one), *(windows or ())) for one in audio]
    return batch


def _adapt(answerer: SalmonnAnswerer, bridge: Bridge | None, train: Mapping[str, Any]) -> PeftModel:
    """Return the frozen model with fresh LoRA and, if there is one, the bridge to be trained."""
    check_targets(answerer.llm, train["target_modules"])
    set_seed(train["seed"])
    config = lora_config(train)
    config.task_type = None
    # Q-Former layers have other names than a Llama's, and no LoRA.
    config.exclude_modules = r"bridge\..*"
    if bridge is not None:
        config.modules_to_save = ["bridge"]
    listener = Listener(answerer.llm, answerer.projection if bridge is None else bridge)
    return get_peft_model(listener.requires_grad_(False), config)


def published(name: str) -> str:
    """Return the name of a parameter of the adapted ``Listener`` as it is published.

    peft's name of the language model's LoRA, or ``bridge.`` and the bridge's own name.
    """
    if match := _WRAPPED.fullmatch(name):
        return f"{_BRIDGE_PREFIX}{match[1]}"
    return name.replace("base_model.model.llm.", "base_model.model.", 1)
