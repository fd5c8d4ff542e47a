"""The files of a trained adapter."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from peft import PeftModel

from lorascope.errors import UserError, listing
from lorascope.records import atomic_path, write_json, write_table

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


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
    model: PeftModel, source: str | Mapping[str, Any], folder: Path, scratch: Path
) -> None:
    """Write peft's two files into ``folder``, the weights last; ``scratch`` is a folder to use.

    The configuration names the base model as the study does: its hub repository or its path.
    """
    config = model.peft_config["default"]
    if isinstance(source, str):
        config.base_model_name_or_path = source
    else:
        config.base_model_name_or_path, config.revision = source["hub"], source["revision"]
    # Never with the base's embeddings, which peft adds to an adapter of the output layer.
    model.save_pretrained(str(scratch), save_embedding_layers=False)
    written = json.loads((scratch / CONFIG).read_text(encoding="utf-8"))
    # A set of peft, in whatever order.
    written["target_modules"] = sorted(written["target_modules"])
    write_json(folder / CONFIG, written)
    with atomic_path(folder / WEIGHTS) as temporary:
        shutil.copyfile(scratch / WEIGHTS, temporary)


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
