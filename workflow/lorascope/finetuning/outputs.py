"""The files of a trained adapter."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from lorascope.errors import UserError, listing
from lorascope.finetuning.adapted import Trainee
from lorascope.records import atomic_path, write_json, write_table

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BRIDGE_PREFIX = "bridge."


def history_table(history: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return Trainer's ``log_history`` as a table, one row for each optimiser step."""
    return pa.Table.from_pylist([row for row in history if "loss" in row], schema=history_schema())


def history_schema() -> pa.Schema:
    """Return the columns of training.parquet.

    epoch: epochs done after the step. loss: mean over the step's labelled tokens, of which
    ``tokens`` is the number. learning_rate: of the first parameter group. grad_norm: before it is
    clipped.
    """
    return pa.schema(
        [
            ("step", pa.int64()),
            ("epoch", pa.float64()),
            ("loss", pa.float64()),
            ("learning_rate", pa.float64()),
            ("grad_norm", pa.float64()),
            ("tokens", pa.int64()),
            ("seconds", pa.float64()),
        ]
    )


def check_finite(model: PeftModel) -> None:
    """UserError where training has left NaN or infinite values in the adapter."""
    named = ((n, p) for n, p in model.named_parameters() if p.requires_grad)
    if broken := [name for name, parameter in named if not torch.isfinite(parameter).all()]:
        raise UserError(
            f"training diverged: NaN or infinite values in {listing(broken)}; lower "
            "train.learning_rate, or set train.precision: bfloat16 or float32"
        )


def write_adapter(
    trainee: Trainee, source: str | Mapping[str, Any], folder: Path, scratch: Path
) -> None:
    """Write peft's two files into ``folder``, the weights last; ``scratch`` is a folder to use.

    A bridge goes into a file of its own before them. The configuration names the base model as the
    study does: its hub repository or its path.
    """
    # Never with the base's embeddings, which peft adds to an adapter of the output layer.
    trainee.model.save_pretrained(str(scratch), save_embedding_layers=False)
    tensors = load_file(scratch / WEIGHTS)
    named = {trainee.published(name): tensor for name, tensor in tensors.items()}
    bridge = {name: tensor for name, tensor in named.items() if name.startswith(BRIDGE_PREFIX)}
    if bridge:
        _write_bridge(folder, bridge)
    write_json(folder / CONFIG, _configuration(scratch / CONFIG, source))
    _write_tensors(folder / WEIGHTS, {n: t for n, t in named.items() if n not in bridge})


def _write_bridge(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    from lorascope.models.salmonn import BRIDGE
    from lorascope.models.salmonn.bridge import released_name

    names = {name: released_name(name.removeprefix(BRIDGE_PREFIX)) for name in tensors}
    _write_tensors(folder / BRIDGE, {names[name]: tensor for name, tensor in tensors.items()})


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    with atomic_path(path) as temporary:
        save_file(dict(tensors), temporary, metadata={"format": "pt"})


def _configuration(written: Path, source: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return peft's configuration for anyone's base model, not for the one in memory here."""
    config = json.loads(written.read_text(encoding="utf-8"))
    local = isinstance(source, str)
    return config | {
        "base_model_name_or_path": source if local else source["hub"],
        "revision": None if local else source["revision"],
        "task_type": "CAUSAL_LM",
        # A set of peft, in whatever order.
        "target_modules": sorted(config["target_modules"]),
        "exclude_modules": None,
        "modules_to_save": None,
        "auto_mapping": None,
    }


def write_account(
    folder: Path,
    digest: str,
    groups: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    account: Mapping[str, Any],
) -> None:
    """Write the parameter groups, the log of every step and what the training was."""
    write_json(folder / "parameter_groups.json", groups)
    write_table(folder / "training.parquet", history_table(history), "training", digest)
    write_json(folder / "training.json", account)
