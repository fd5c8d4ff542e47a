"""What is trained of a recogniser, and on what."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForSpeechSeq2Seq, set_seed

from lorascope.benchmarks.examples import Example, Pair
from lorascope.errors import UserError, shown
from lorascope.models.finetuning.batches import IGNORED, Rows, fitting
from lorascope.models.finetuning.clips import FEATURES, Clips, about_clips
from lorascope.models.finetuning.trainee import (
    Scratch,
    Sizes,
    Trainee,
    check_targets,
    lora_config,
    measure_class,
)
from lorascope.models.hf_speech.answerer import SpeechAnswerer, load
from lorascope.models.hf_speech.encoder import load as load_encoder
from lorascope.models.hf_speech.recogniser import encoded
from lorascope.models.pretrained import embedding_weight
from lorascope.models.remote_code import refuse_code


def prepare(
    settings: Mapping[str, Any],
    train: Mapping[str, Any],
    examples: Sequence[Example],
    root: Path,
    device: str,
    scratch: Scratch,
) -> Trainee:
    """Load the model as it is evaluated, with fresh LoRA and its examples, read from ``root``.

    Clips are encoded into ``scratch`` first; where the encoder is adapted too, they are kept there
    as they sound. UserError as from the family's loaders, and for examples that do not fit.
    """
    pairs, clips = _transcribed(examples), Clips(scratch)
    whole = train["adapt"] == "all"
    hashes = {pair.clip: pair.clip_sha256 for pair in pairs}
    if missing := {clip: hashes[clip] for clip in clips.missing(hashes)}:
        clips.encode(load_encoder({**settings, "encode_once": not whole}, device), root, missing)
    answerer = load({**settings, "encode_once": not whole}, device, train["precision"], None, None)
    rows = [encode_pair(answerer, pair) for pair in pairs]
    positions = getattr(answerer.model.config, "max_target_positions", train["sequence_length"])
    kept = fitting(rows, min(train["sequence_length"], positions))
    model = adapt(answerer.model, train)
    return Trainee(
        model=model,
        rows=Rows(kept),
        collate=partial(collate, answerer=answerer, clips=clips),
        skipped=len(rows) - len(kept),
        configuration={},
    )


def _transcribed(examples: Sequence[Example]) -> list[Pair]:
    """Return the examples, each a clip and what is said in it; UserError for one that is not."""
    pairs = about_clips(examples)
    for pair in pairs:
        if pair.prompt:
            raise UserError(
                f"{pair.where}: asks {shown(pair.prompt)}, and a recogniser takes no question; "
                "give a clip and its transcript (train.data)"
            )
    return pairs


def encode_pair(answerer: SpeechAnswerer, pair: Pair) -> dict[str, Any]:
    """Return an example as {input_ids, labels, clip}, the ids those that the decoder reads.

    It starts as the decoder does when the model is asked. A label is that of the id in its place,
    which the one before predicts.
    """
    if None in answerer.start.ids:
        raise UserError(
            "language: null lets the model detect the language of each clip, and a training has to "
            "say it; set language of the model"
        )
    start = [i for i in answerer.start.ids if i is not None]
    said = answerer.tokenizer(pair.response, add_special_tokens=False).input_ids
    said = [*said, answerer.eos_token_ids[0]]
    return {
        "input_ids": start + said,
        "labels": [IGNORED] * len(start) + said,
        "clip": pair.clip_sha256,
    }


def collate(
    rows: Sequence[Mapping[str, Any]], answerer: SpeechAnswerer, clips: Clips
) -> dict[str, Any]:
    """Return a batch of rows, padded on the right, with what the model hears of each clip."""
    ids = [torch.tensor(row["input_ids"]) for row in rows]
    labels = [torch.tensor(row["labels"]) for row in rows]
    heard = [clips.read(row["clip"], [FEATURES])[0] for row in rows]
    return {
        "decoder_input_ids": pad_sequence(ids, True, answerer.eos_token_ids[0]),
        "labels": pad_sequence(labels, True, IGNORED),
        **_heard(answerer, heard),
    }


def _heard(answerer: SpeechAnswerer, clips: Sequence[Tensor]) -> dict[str, Any]:
    """Return the encoder's outputs for clips [positions, width], its inputs for [samples, 1]."""
    kind = answerer.model.config.model_type
    dtype = embedding_weight(answerer.model).dtype
    if clips[0].shape[1] > 1:
        return {"encoder_outputs": encoded(kind, [clip.to(dtype) for clip in clips])}
    name = answerer.ears.name
    inputs = [answerer.ears.inputs(clip[:, 0].numpy()).to(dtype) for clip in clips]
    if kind == "whisper":
        return {name: torch.stack(inputs)}
    masks = [torch.ones(len(one), dtype=torch.long) for one in inputs]
    return {name: pad_sequence(inputs, True), "attention_mask": pad_sequence(masks, True)}


def adapt(model: Any, train: Mapping[str, Any]) -> PeftModel:
    """Return ``model`` frozen, with fresh LoRA in its decoder or, where asked for, everywhere.

    UserError for a target module that the part does not have.
    """
    config = lora_config(train)
    config.task_type = None  # of a model that reads clips, peft knows none
    encoder = next(name for name, m in model.named_modules() if m is model.get_encoder())
    decoder_only = train["adapt"] == "decoder"
    check_targets(model, train["target_modules"], encoder if decoder_only else "")
    if decoder_only:
        config.exclude_modules = rf"{re.escape(encoder)}\..*"
    set_seed(train["seed"])
    return get_peft_model(model.requires_grad_(False), config)


def measure_folder(folder: Path, train: Mapping[str, Any], trust_remote_code: bool | None) -> Sizes:
    """Return the sizes of the model in a folder, from its configuration: no weights are read."""
    refuse_code(folder, "model", trust_remote_code)
    kind = "a speech-to-text model"
    return measure_class(AutoModelForSpeechSeq2Seq, kind, adapt, folder, train, False)
