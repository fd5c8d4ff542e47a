"""Loading a transformers model folder, strictly and without its generation defaults."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers.generation.configuration_utils import GenerationConfig
from transformers.modeling_utils import PreTrainedModel
from transformers.models.auto.tokenization_auto import AutoTokenizer
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lorascope.errors import UserError, listing, shown
from lorascope.models.adapter_config import CONFIG
from lorascope.models.remote_code import code_refused, refuse_code
from lorascope.models.weights import UNREADABLE, check_when_used, first_line, no_panic, weight_names
from lorascope.storage.files import read_object

ANOTHER_DAY = "2001-02-03"
"""A day like no other, by which a prompt that says the date can be told."""
# from_pretrained attaches an adapter that lies beside the model's files: not from there.
_NO_ADAPTER = {"subfolder": "no-adapter"}


def embedding_weight(model: PreTrainedModel) -> Tensor:
    """Return the embeddings of a model's vocabulary, [tokens, width]."""
    embedding: Any = model.get_input_embeddings()
    return embedding.weight


def load_model(
    loader: Any,
    folder: Path,
    device: str,
    dtype: str,
    key: str,
    trust_remote_code: bool | None = None,
    **options: Any,
) -> Any:
    """Load the model in ``folder`` straight into ``dtype``, frozen and in eval mode.

    ``loader`` is a model class of transformers, an Auto class too; ``device`` is "cuda", "cpu", or
    "auto" to spread the model over all visible GPUs; ``options`` go to from_pretrained. An adapter
    that lies in the folder is not attached. UserError, naming ``key`` of the study, when a file is
    missing or broken, when a tensor is missing, surplus or misshapen, when the model does not fit
    on its GPUs, for code as in ``remote_code.refuse_code``, and when a weight is not finite, at the
    latest before the model computes.
    """
    refuse_code(folder, key, trust_remote_code)
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
            trust_remote_code=bool(trust_remote_code),
            adapter_kwargs=_NO_ADAPTER,
            **options,
        )
    except UNREADABLE as error:
        problem = f"does not load as a {loader.__name__}"
        raise _unloadable(problem, folder, key, error, trust_remote_code) from error
    for problem, found in (
        ("missing keys", report["missing_keys"]),
        ("unexpected keys", report["unexpected_keys"]),
        ("shapes that config.json does not give", {key[0] for key in report["mismatched_keys"]}),
    ):
        if found:
            raise UserError(f"{key}: {folder}: {problem}: {listing(found)}. Download it again.")
    if device == "auto" and torch.cuda.is_available():
        check_placement(model, folder, key)
    # peft takes adapted layers into layers of its own.
    check_when_used(model, str(folder), lambda name: name.replace(".base_layer.", "."))
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


def refuse_adapter(folder: Path, key: str) -> None:
    """UserError where an adapter lies with a model: it would be answered without, unsaid."""
    if (folder / CONFIG).exists():
        raise UserError(
            f"{key}: an adapter lies with the model: {folder / CONFIG}. Name it in the study, "
            f"under adapters (source: {folder}); lora_scaling: 0 is the model without it. Or move "
            "it elsewhere."
        )


def load_tokenizer(
    folder: Path, key: str, trust_remote_code: bool | None = None
) -> PreTrainedTokenizerBase:
    """Load the tokenizer in ``folder``; UserError, naming ``key``, when there is none.

    Code as in ``remote_code.refuse_code``.
    """
    refuse_code(folder, key, trust_remote_code)
    try:
        with no_panic():
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=bool(trust_remote_code)
            )
            tokenizer("?")  # only now it looks at some of its settings
            return tokenizer
    except UNREADABLE as error:
        problem = "has no tokenizer that loads"
        raise _unloadable(problem, folder, key, error, trust_remote_code) from error


def eos_token_ids(tokenizer: PreTrainedTokenizerBase, folder: Path, key: str) -> list[int]:
    """Return the ids that end an answer: the tokenizer's, then those of generation_config.json.

    Llama-3's chat models end a turn with one and a text with another. UserError for none.
    """
    path = folder / "generation_config.json"
    listed = (read_object(path) if path.exists() else {}).get("eos_token_id")
    ids = [tokenizer.eos_token_id, *(listed if isinstance(listed, list) else [listed])]
    given = [i for i in ids if i is not None]
    if odd := [i for i in given if type(i) is not int or i < 0]:
        raise UserError(f"{key}: {folder}: eos_token_id {shown(odd[0])} is no token. Correct it.")
    if unique := [*dict.fromkeys(given)]:
        return unique
    raise UserError(f"{key}: neither the tokenizer in {folder} nor {path.name} has an eos token.")


def check_eos(model: PreTrainedModel, ids: Sequence[int], folder: Path, key: str) -> None:
    """UserError for an id that ends an answer and that the model cannot say."""
    outputs: Any = model.get_output_embeddings()
    tokens = len(embedding_weight(model) if outputs is None else outputs.weight)
    if max(ids) >= tokens:
        raise UserError(
            f"{key}: {folder}: eos_token_id {max(ids)} is none of the model's {tokens} tokens. Are "
            "tokenizer, generation_config.json and model of one model?"
        )


def chat_text(
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    turns: Sequence[Mapping[str, Any]],
    day: str,
    prompt: bool = True,
) -> str:
    """Return a conversation in a chat template, up to where the assistant goes on if ``prompt``.

    ``day`` (ISO) is what the template takes for today: those such as Llama 3.2's write the date
    into the system's turn, and answers would change with it. ChatTemplateError for whatever stops
    the template, in one line.
    """
    today = datetime.fromisoformat(day)
    variables: dict[str, Any] = {}
    if "date_string" in template and "strftime_now" not in template:
        variables["date_string"] = today.strftime("%d %b %Y")  # as Llama 3.1's own default is
    conversation: Any = list(turns)
    try:
        return str(
            tokenizer.apply_chat_template(
                conversation,
                chat_template=_dated(template, today),
                add_generation_prompt=prompt,
                tokenize=False,
                **variables,
            )
        )
    except TemplateError as error:
        raise ChatTemplateError(first_line(error).rstrip(".")) from error
    except Exception as error:  # a template is code, which may raise anything
        raise ChatTemplateError(
            f"{type(error).__name__}: {first_line(error).rstrip('.')}"
        ) from error


def _dated(template: str, today: datetime) -> str:
    """Return a chat template in which the function of transformers for the date knows one day."""
    replacements = "".join(
        f".replace('%{code}', '{today.strftime(f'%{code}')}')"
        for code in (*"aAbBdeFHIjmMpSyY", "-d", "-m")
    )
    # The empty expression keeps a line feed after it, which a block would swallow.
    return (
        f"{{% macro strftime_now(format) %}}{{{{ format{replacements} }}}}{{% endmacro %}}"
        f"{{{{ '' }}}}{template}"
    )


class ChatTemplateError(Exception):
    """A chat template does not take a conversation; its message says why in one line."""


def _unloadable(
    problem: str, folder: Path, key: str, error: Exception, trust_remote_code: bool | None
) -> UserError:
    if "trust_remote_code" in str(error):
        return code_refused(key, str(folder), trust_remote_code)
    return UserError(f"{key}: {folder} {problem}: {first_line(error)}")
