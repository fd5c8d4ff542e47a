"""Loading a transformers model folder, strictly and without its generation defaults."""

from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.generation.configuration_utils import GenerationConfig
from transformers.modeling_utils import PreTrainedModel
from transformers.models.auto.tokenization_auto import AutoTokenizer
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lorascope.errors import UserError, listing
from lorascope.models.weights import UNREADABLE, check_finite, read_json, weight_names

TODAY = date(2024, 7, 26)
"""What a chat template takes for today: Llama 3.1's own default."""


def embedding_weight(model: PreTrainedModel) -> Tensor:
    """Return the embeddings of a model's vocabulary, [tokens, width]."""
    embedding: Any = model.get_input_embeddings()
    return embedding.weight


def load_model(loader: Any, folder: Path, device: str, dtype: str, key: str, **options: Any) -> Any:
    """Load the model in ``folder`` straight into ``dtype``, frozen and in eval mode.

    ``loader`` is a model class of transformers, an Auto class too; ``device`` is "cuda", "cpu", or
    "auto" to spread the model over all visible GPUs; ``options`` go to from_pretrained. UserError,
    naming ``key`` of the study, when a file is missing or broken, when a tensor is missing,
    surplus, misshapen or not finite, and when the model does not fit on its GPUs.
    """
    weight_names(folder)  # names the file that is missing or truncated
    try:
        model, report = loader.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            device_map=device,
            generation_config=GenerationConfig(),
            local_files_only=True,
            ignore_mismatched_sizes=True,  # reported, and refused below
            output_loading_info=True,
            **options,
        )
    except UNREADABLE as error:
        raise _unloadable(f"does not load as a {loader.__name__}", folder, key, error) from error
    for problem, found in (
        ("missing keys", report["missing_keys"]),
        ("unexpected keys", report["unexpected_keys"]),
        ("shapes that config.json does not give", {key[0] for key in report["mismatched_keys"]}),
    ):
        if found:
            raise UserError(f"{key}: {folder}: {problem}: {listing(found)}. Download it again.")
    if device == "auto" and torch.cuda.is_available():
        check_placement(model, folder, key)
    check_finite(dict(model.named_parameters()), str(folder))
    return model.requires_grad_(False).eval()


def check_placement(model: PreTrainedModel, folder: Path, key: str) -> None:
    """UserError where parts of the model did not fit on the GPUs: they would slow it to a crawl."""
    # A model that is on one device as a whole has no such map.
    places = getattr(model, "hf_device_map", {"the model": model.device.type})
    off = [name for name, place in places.items() if str(place) in ("cpu", "disk")]
    if off:
        raise UserError(
            f"{key}: {folder} does not fit on the leased GPUs: no room for {listing(off)}. "
            "Raise gpus_per_job of the model, or set dtype: bfloat16."
        )


def load_tokenizer(folder: Path, key: str, **options: Any) -> PreTrainedTokenizerBase:
    """Load the tokenizer in ``folder``; UserError, naming ``key``, when there is none."""
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, **options)
    except UNREADABLE as error:
        raise _unloadable("has no tokenizer that loads", folder, key, error) from error


def eos_token_ids(tokenizer: PreTrainedTokenizerBase, folder: Path, key: str) -> list[int]:
    """Return the ids that end an answer: the tokenizer's, then those of generation_config.json.

    Llama-3's chat models end a turn with one and a text with another. UserError for none.
    """
    path = folder / "generation_config.json"
    listed = (read_json(path) if path.exists() else {}).get("eos_token_id")
    ids = [tokenizer.eos_token_id, *(listed if isinstance(listed, list) else [listed])]
    if unique := [*dict.fromkeys(i for i in ids if i is not None)]:
        return unique
    raise UserError(f"{key}: neither the tokenizer in {folder} nor {path.name} has an eos token.")


def undated(chat_template: str) -> str:
    """Return a chat template that always takes ``TODAY`` for today.

    Templates such as Llama 3.2's write the date into the system's turn: answers would change with
    the day. This overrides the function that transformers gives them for it.
    """
    replacements = "".join(
        f".replace('%{code}', '{TODAY.strftime(f'%{code}')}')" for code in "aAbBdHIjmMpSyY"
    )
    # The empty expression keeps a line feed after it, which a block would swallow.
    return (
        f"{{% macro strftime_now(format) %}}{{{{ format{replacements} }}}}{{% endmacro %}}"
        f"{{{{ '' }}}}{chat_template}"
    )


def _unloadable(problem: str, folder: Path, key: str, error: Exception) -> UserError:
    if "trust_remote_code" in str(error):
        return UserError(
            f"{key}: {folder} brings its own Python code. Read it, and set trust_remote_code: true "
            "of the model if it may run."
        )
    return UserError(f"{key}: {folder} {problem}: {error}")
