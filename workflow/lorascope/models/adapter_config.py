"""peft's adapter_config.json: whether an adapter is a LoRA that can be scaled; no torch needed.

A plain one is where its layers compute W x + s B A x, W the model's own weights; MORE says what one
may be beside that. Every key of peft's LoraConfig is judged here: it is used, changes no answer, or
is refused where it is set. A key that is not known may change what the adapter computes, and is
refused unless it is off.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from safetensors import SafetensorError, safe_open

from lorascope.errors import UserError, listing
from lorascope.storage.files import read_object, regular
from lorascope.study.settings import READ, Integer, Number, Settings
from lorascope.study.validation import validated

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
MERGE = (
    "merge the adapter into its model (peft's merge_and_unload) and name the merged model's folder "
    "as the adapter's source"
)
Rank = Annotated[int, Field(ge=1, le=65536), READ]


class LoraKeys(Settings):
    """The keys that decide what a LoRA computes, with peft's defaults."""

    r: Rank = 8
    lora_alpha: Number = 8
    use_rslora: bool = False
    rank_pattern: dict[str, Rank] = Field({})
    alpha_pattern: dict[str, Number] = Field({})
    target_modules: str | list[str] | None = None
    exclude_modules: str | list[str] | None = None
    target_parameters: list[str] | None = None
    layers_to_transform: Integer | list[Integer] | None = None
    layers_pattern: str | list[str] | None = None
    fan_in_fan_out: bool = False
    lora_bias: bool = False
    ensure_weight_tying: bool = False
    use_dora: bool = False


WITHOUT_EFFECT = {
    *("peft_type", "peft_version", "task_type", "auto_mapping"),
    *("base_model_name_or_path", "revision", "inference_mode", "runtime_config"),
    # How the adapter was trained, and settings of what is off.
    *("bias", "init_lora_weights", "lora_dropout", "loftq_config", "eva_config", "corda_config"),
    *("lora_ga_config", "megatron_core", "qalora_group_size"),
}
"""Keys that change no answer; bias and init_lora_weights are looked at by themselves."""
MORE = {
    "use_dora": "DoRA rescales the layers' own weights",
    "modules_to_save": "it replaces modules of the model",
    "trainable_token_indices": "it replaces embeddings of the model",
}
"""Keys with which an adapter is a LoRA and more: strength weakens it, lora_scaling cannot."""
NOT_LORA = {
    "use_qalora": "QA-LoRA averages the layers' inputs",
    "use_bdlora": "BD-LoRA has block-diagonal matrices",
    "alora_invocation_tokens": "aLoRA adapts a part of the prompt only",
    "arrow_config": "Arrow mixes several adapters",
    "kasa_config": "KaSA does not compute W x + s B A x",
    "monteclora_config": "MonteCLoRA draws its weights",
    "velora_config": "VeLoRA does not compute W x + s B A x",
    "megatron_config": "it is for the layers of Megatron",
    "layer_replication": "it repeats layers of the model",
}
"""Keys whose outputs are neither W x + s B A x, W the model's own weights, nor those of MORE."""
UNSUMMED = {
    "target_parameters": "it adapts parameters, several to a layer",
    "ensure_weight_tying": "layers share their matrices",
}
"""Keys of a LoRA that a sum of several would not have alike."""
BASE_CHANGING_INITS = ("pissa", "olora", "corda", "loftq", "lora_ga")


def read_config(folder: Path, more: bool = False) -> dict[str, Any]:
    """Return what decides a LoRA's computation, by peft's keys, those alone that the file gives.

    UserError, naming file, key and remedy, for an adapter that is no plain LoRA; with ``more``, for
    one that is neither that nor what ``more_than_lora`` tells.
    """
    path = folder / CONFIG
    content = _read(path)
    if (kind := content.get("peft_type")) != "LORA":
        raise UserError(f"{path}: peft_type is {kind}; only LORA has a lora_scaling.")
    foreign = content.keys() - {*LoraKeys.model_fields, *WITHOUT_EFFECT, *MORE, *NOT_LORA}
    if unknown := [f"{key}: {content[key]!r:.60}" for key in foreign if content[key]]:
        raise UserError(
            f"{path}: lorascope does not know {listing(unknown)}, which may change what the "
            f"adapter computes. Upgrade lorascope, or {MERGE}."
        )
    if reasons := [*_reasons(content)]:
        raise UserError(
            f"{path}: not a LoRA that can be weakened down to the model as it is: "
            f"{'; '.join(reasons)}. Use a plain LoRA, or {MERGE}."
        )
    if not more and (reasons := [*_more(content)]):
        raise UserError(
            f"{path}: not a LoRA that lora_scaling can scale down to the model as it is: "
            f"{'; '.join(reasons)}. It has a strength instead (key strength of an experiment); "
            f"where that is not taken, use a plain LoRA, or {MERGE}."
        )
    given = {k: content[k] for k in LoraKeys.model_fields if content.get(k) is not None}
    found = validated(LoraKeys, given, str(path), "").model_dump(include={*given})
    _check_patterns(path, found)
    return found


def more_than_lora(folder: Path) -> list[str]:
    """Return why an adapter of peft's is more than W x + s B A x, by its configuration."""
    return [*_more(_read(folder / CONFIG))]


def check_folder(folder: Path, more: bool = False) -> None:
    """UserError unless a folder holds a LoRA of peft, as far as can be told without its model.

    ``more`` as in ``read_config``.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder. Name the one that peft's save_pretrained made.")
    read_config(folder, more)
    path = weights_file(folder)
    if path.suffix == ".safetensors" and not any(".lora_" in name for name in tensor_names(path)):
        raise UserError(f"{path} holds no tensors of a LoRA. Is it peft's file?")


def check_summand(config: Mapping[str, Any], where: str) -> None:
    """UserError, naming ``where``, for a LoRA that cannot be a part of a weighted sum."""
    if named := [key for key in UNSUMMED if config.get(key)]:
        raise UserError(
            f"{where}: {named[0]}: {UNSUMMED[named[0]]}, so the adapter cannot be a part of "
            "sum_of. Use one of plain layers."
        )


def weights_file(folder: Path) -> Path:
    """Return the file of an adapter's tensors; UserError where there is none."""
    for name in WEIGHTS:
        if (folder / name).exists():
            return folder / name
    raise UserError(f"{folder} has neither {' nor '.join(WEIGHTS)}. Is the adapter complete?")


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise UserError(f"{path} does not exist. Name the folder that peft's save_pretrained made.")
    return read_object(path)


def _reasons(content: dict[str, Any]) -> Iterator[str]:
    """Yield why an adapter is no plain LoRA."""
    for key, why in NOT_LORA.items():
        value = content.get(key)
        # An empty configuration of a method asks for the method all the same.
        if value or (key.endswith("_config") and value is not None and value is not False):
            yield f"{key} ({why})"
    initialised = content.get("init_lora_weights", True)
    if str(initialised).lower().startswith(BASE_CHANGING_INITS):
        yield (
            f"init_lora_weights: {initialised} (it changes the model's weights; convert the "
            "adapter with save_pretrained(path_initial_model_for_weight_conversion=...))"
        )


def _more(content: dict[str, Any]) -> Iterator[str]:
    """Yield why an adapter is more than a plain LoRA."""
    yield from (f"{key} ({why})" for key, why in MORE.items() if content.get(key))
    if (bias := content.get("bias") or "none") != "none":
        yield f"bias: {bias} (it replaces biases of the model)"


def _check_patterns(path: Path, found: dict[str, Any]) -> None:
    """UserError for a regular expression that is none; module names in a list are names."""
    for key in ("target_modules", "exclude_modules"):
        if isinstance(found.get(key), str):
            _check_pattern(path, key, found[key])
    for key in ("layers_pattern", "rank_pattern", "alpha_pattern"):
        patterns = found.get(key, ())
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            _check_pattern(path, key, rf"(.*\.)?({pattern})$")  # so peft matches them


def _check_pattern(path: Path, key: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"{path}: {key}: {pattern!r} is no regular expression ({error}). Fix the file."
        ) from error


def tensor_names(path: Path) -> list[str]:
    """Return the names of the tensors in a safetensors file, none of which is read."""
    try:
        with safe_open(regular(path), framework="numpy") as file:
            return list(file.keys())
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a readable safetensors file ({error}). Download it again."
        ) from error
