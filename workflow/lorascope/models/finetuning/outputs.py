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
from lorascope.models.finetuning.checkpoints import saving
from lorascope.models.finetuning.trainee import Apart, Trainee
from lorascope.storage.columns import table_of
from lorascope.storage.downloads import Noted
from lorascope.storage.records import atomic_path, write_json, write_table

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def history_table(history: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return Trainer's ``log_history`` as a table, one row for each optimiser step."""
    return table_of([row for row in history if "loss" in row], history_schema())


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
) -> list[str]:
    """Write peft's two files into ``folder``, the weights last; return the names of all files.

    ``scratch`` is a folder to use.

    What is trained along goes into a file of its own before them. The configuration names the base
    model as the study does: its hub repository or its path.
    """
    # Never with the base's embeddings, which peft adds to an adapter of the output layer.
    with saving(scratch):
        trainee.model.save_pretrained(str(scratch), save_embedding_layers=False)
    tensors = load_file(scratch / WEIGHTS)
    named = {trainee.published(name): tensor for name, tensor in tensors.items()}
    apart = _apart(named, trainee.apart)
    if trainee.apart and apart:
        names = {
            name: trainee.apart.named(name.removeprefix(trainee.apart.prefix)) for name in apart
        }
        tensors = {names[name]: tensor for name, tensor in apart.items()}
        _write_tensors(folder / trainee.apart.file, tensors)
    write_json(folder / CONFIG, _configuration(trainee, scratch / CONFIG, source))
    _write_tensors(folder / WEIGHTS, {n: t for n, t in named.items() if n not in apart})
    return [CONFIG, WEIGHTS, *([trainee.apart.file] if trainee.apart and apart else ())]


def _apart(named: Mapping[str, Tensor], apart: Apart | None) -> dict[str, Tensor]:
    """Return the tensors that do not go into peft's file."""
    if apart is None:
        return {}
    return {name: tensor for name, tensor in named.items() if name.startswith(apart.prefix)}


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    with atomic_path(path) as temporary, saving(path):
        save_file(dict(tensors), temporary, metadata={"format": "pt"})


def _configuration(
    trainee: Trainee, written: Path, source: str | Mapping[str, Any]
) -> dict[str, Any]:
    """Return peft's configuration for anyone's base model, not for the one in memory here."""
    config = json.loads(written.read_text(encoding="utf-8"))
    hub = {"hub": source, "revision": None} if isinstance(source, str) else source
    return config | {
        "base_model_name_or_path": hub["hub"],
        "revision": hub["revision"],
        # A set of peft, in whatever order.
        "target_modules": sorted(config["target_modules"]),
        "modules_to_save": None,
        "auto_mapping": None,
        **trainee.configuration,
    }


def write_account(
    folder: Path,
    digest: str,
    groups: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    account: Mapping[str, Any],
    sources: Noted,
) -> list[str]:
    """Write the parameter groups, the log of every step and what the training was, and made of.

    Returns the names of the files.
    """
    write_json(folder / "parameter_groups.json", groups)
    log = history_table(history)
    write_table(folder / "training.parquet", log, "training", digest, sources=sources)
    write_json(folder / "training.json", account)
    return ["parameter_groups.json", "training.parquet", "training.json"]
