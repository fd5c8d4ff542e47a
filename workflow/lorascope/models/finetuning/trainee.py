"""The model that is trained: a frozen base with fresh LoRA matrices of peft."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, set_seed

from lorascope.errors import UserError, listing
from lorascope.models.finetuning.batches import Rows
from lorascope.models.remote_code import refuse_code
from lorascope.models.weights import UNREADABLE, first_line


@dataclass(frozen=True)
class Sizes:
    """Numbers of parameters: those that are trained, and those of the model without them."""

    trainable: int
    base: int


@dataclass(frozen=True)
class Scratch:
    """A folder to use while an adapter is trained; what lies there says the adapter's digest."""

    folder: Path
    digest: str


@dataclass(frozen=True)
class Apart:
    """Tensors that are trained along and go into a ``file`` of their own beside peft's.

    Their published names begin with ``prefix``; ``named`` turns the rest into the name in the file.
    """

    file: str
    prefix: str
    named: Callable[[str], str]


@dataclass(frozen=True)
class Trainee:
    """A model with fresh LoRA, what it learns from, and how many examples were too long for it.

    ``rows`` has one blank row past the last, see ``batches.Rows``; ``collate`` makes a batch;
    ``published`` turns the name of a parameter into the one it has in the adapter's files;
    ``apart`` says what does not go into peft's, and ``configuration`` which keys of
    adapter_config.json are otherwise than those that peft writes of ``model``.
    """

    model: PeftModel
    rows: Rows
    collate: Callable[[list[Any]], dict[str, Any]]
    skipped: int
    published: Callable[[str], str] = str
    apart: Apart | None = None
    configuration: Mapping[str, Any] = field(
        default_factory=lambda: {"task_type": "CAUSAL_LM", "exclude_modules": None}
    )


def lora_config(train: Mapping[str, Any]) -> LoraConfig:
    """Return peft's configuration for ``train`` of an adapter."""
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=train["rank"],
        lora_alpha=train["alpha"],
        lora_dropout=train["dropout"],
        target_modules=list(train["target_modules"]),
        use_rslora=train["use_rslora"],
    )


def adapt(model: PreTrainedModel, train: Mapping[str, Any]) -> PeftModel:
    """Return ``model`` frozen, with LoRA in float32 whose A is drawn from ``train["seed"]``.

    UserError for a target module that the model does not have.
    """
    check_targets(model, train["target_modules"])
    set_seed(train["seed"])
    return get_peft_model(model.requires_grad_(False), lora_config(train))


def check_targets(model: nn.Module, targets: Sequence[str], without: str = "") -> None:
    """UserError unless each of ``targets`` is the name of linear layers of ``model``.

    Those of its part ``without`` do not count.
    """
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    names = [name for name in linear if not (without and name.startswith(f"{without}."))]
    absent = [t for t in targets if not any(n == t or n.endswith(f".{t}") for n in names)]
    if absent:
        there = {name.rpartition(".")[2] for name in names}
        raise UserError(
            f"train.target_modules: the model has no linear layer named {listing(absent)}; it has "
            f"{listing(there, most=20)}"
        )


def measure(model: PeftModel) -> Sizes:
    """Return how many parameters of a model with LoRA are trained, and how many it had before."""
    trainable, total = model.get_nb_trainable_parameters()
    return Sizes(trainable, total - trainable)


def measure_folder(folder: Path, train: Mapping[str, Any], trust_remote_code: bool | None) -> Sizes:
    """Return the sizes of the model in a folder, from its configuration: no weights are read."""
    refuse_code(folder, "model", trust_remote_code)
    trust = bool(trust_remote_code)
    return measure_class(
        AutoModelForCausalLM, "a causal language model", adapt, folder, train, trust
    )


def measure_class(
    loader: Any,
    kind: str,
    adapt: Callable[[Any, Mapping[str, Any]], PeftModel],
    folder: Path,
    train: Mapping[str, Any],
    trust: bool,
) -> Sizes:
    """Return the sizes of the model of an Auto class in a folder, as ``adapt`` adapts it.

    UserError that it is not of this ``kind`` where it does not load.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust)
        with init_empty_weights():
            model = loader.from_config(config, trust_remote_code=trust)
    except UNREADABLE as error:
        raise UserError(f"model: {folder} does not load as {kind}: {first_line(error)}") from error
    model.tie_weights()
    with init_empty_weights():
        return measure(adapt(model, train))
