"""What an adapter's folder holds: a LoRA, a LoRA and more, or a whole model; no torch needed."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lorascope.errors import UserError, listing, shown
from lorascope.models.adapter_config import (
    CONFIG,
    check_folder,
    more_than_lora,
    tensor_names,
    weights_file,
)
from lorascope.storage.files import read_object

Kind: TypeAlias = Literal["lora", "more", "checkpoint"]

MODEL = "config.json"
# What decides no shape and no number that a model computes: names, precisions, special tokens,
# settings of training and of generation. Tied weights are compared by themselves.
_WITHOUT_EFFECT = re.compile(
    r"_.*|.*_token_ids?|.*drop(out)?|.*version|(torch_)?dtype|name_or_path|architectures|auto_map"
    r"|use_cache|tie_.*|init.*|pretraining_tp|output_.*|return_dict|id2label|label2id|problem_type"
    r"|task_specific_params|.*suppress_tokens|forced_decoder_ids|max_length|gradient_checkpointing"
)


def kind_of(folder: Path) -> Kind | None:
    """Return what a folder holds; None where only its model's weights can tell.

    That is a LoRA of peft's with copies of the model's own weights beside it: they may be changed,
    or not. UserError for a folder of neither peft's files nor a model's.
    """
    if not (folder / CONFIG).exists() and (folder / MODEL).exists():
        return "checkpoint"
    if more_than_lora(folder):
        return "more"
    path = weights_file(folder)
    if path.suffix == ".safetensors" and all(".lora_" in name for name in tensor_names(path)):
        return "lora"
    return None


def check_source(folder: Path) -> None:
    """UserError unless a folder holds what can be answered with, as far as its files tell."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder. Name the one that peft's save_pretrained made.")
    if (folder / CONFIG).exists() or not (folder / MODEL).exists():
        check_folder(folder, more=True)
    elif read_model_config(folder).get("quantization_config"):
        raise UserError(quantised(folder))


def read_model_config(folder: Path) -> dict[str, Any]:
    """Return a model's config.json; UserError where it is none."""
    return read_object(folder / MODEL)


def no_scaling(folder: Path, scaling: str) -> str:
    """Return the message about a scaling of what is more than a LoRA."""
    return (
        f"{folder}: lora_scaling {scaling} cannot scale it: it is more than W x + s B A x. Give "
        "strength instead, t in W + t (W' - W): 0 is the model as it is, and 1 the adapter."
    )


def no_drift(folder: Path | str) -> str:
    """Return the message about the drift of what is more than a LoRA."""
    return (
        f"{folder}: the mode drift reads the model with its LoRA switched off, and this is more "
        "than W x + s B A x. Leave the experiment, or the study's key drift, out."
    )


def no_strength(folder: Path | None, strength: float) -> str:
    """Return the message about a strength of a LoRA, or of nothing."""
    if folder is None:
        return f"strength {strength:g} changes nothing: no adapter is given. Name one."
    return (
        f"{folder}: strength {strength:g} is for adapters that are more than a LoRA; this one is "
        "W x + s B A x. Give lora_scaling instead, the absolute s: 0 is the model as it is."
    )


def quantised(folder: Path) -> str:
    """Return the message about a model whose weights cannot be computed with."""
    return (
        f"{folder}: its weights are quantised, and W + t (W' - W) needs them in float32, float16 "
        "or bfloat16. Use a copy that is not quantised."
    )


def check_alike(folder: Path, base: Mapping[str, Any], tuned: Mapping[str, Any]) -> None:
    """UserError where the configuration of the model in ``folder`` is not that of its base.

    Between weights of two shapes there is no W + t (W' - W). Keys that only one has are left out.
    """
    first, second = dict(_leaves(base)), dict(_leaves(tuned))
    differing = [
        f"{key} {shown(second[key])} instead of {shown(first[key])}"
        for key in first
        if key in second and first[key] != second[key]
    ]
    if differing:
        raise UserError(
            f"{folder / MODEL}: another model than the one that it is a fine-tuned copy of: "
            f"{listing(differing)}. A strength needs weights of the same shapes, used alike: name "
            "a checkpoint that was tuned from this model, or give it a model of its own."
        )


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of what decides something in a configuration."""
    for key, value in config.items():
        if _WITHOUT_EFFECT.fullmatch(str(key)):
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
