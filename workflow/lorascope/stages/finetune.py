"""Train a LoRA adapter; a training that was killed goes on from its last checkpoint.

With several GPUs there is a process for each, see lorascope.finetuning.distributed. On several
nodes, start this command with ``accelerate launch`` on each of them, configured for accelerate.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.errors import UserError
from lorascope.finetuning import FILES
from lorascope.identity import SourceIndex
from lorascope.planned import SOURCE_INDEX
from lorascope.stages.command import (
    Job,
    check_code,
    check_sources,
    environment,
    gpu_option,
    local_sources,
    log,
    parser,
    run,
)

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from lorascope.devices import Lease
    from lorascope.finetuning.adapted import Sizes, Trainee
    from lorascope.finetuning.trainer import LoraTrainer

MODULE = "lorascope.stages.finetune"
BASE = {"hf_text": "model", "salmonn": "llm"}
"""Family that can be trained -> the key of its language model."""


def work(job: Job, arguments: argparse.Namespace) -> None:
    """Write the adapter's files, unless an earlier job did so while this one waited for it."""
    from lorascope.finetuning.distributed import alone, is_main, lease_or_launch
    from lorascope.finetuning.trainer import agreed, training_arguments

    lease = lease_or_launch(arguments.gpus, MODULE)
    folder = arguments.out.parent
    checkpoints = folder / "checkpoints"
    with alone(checkpoints / "training.lock", f"the training in {folder}"):
        settings = training_arguments(job["recipe"]["train"], checkpoints, job["save_steps"])
        if agreed(all((folder / name).exists() for name in FILES)):
            log.info("%s: an earlier job has trained it", folder)
        else:
            _train(job, folder, settings, lease)
    if is_main():
        # After the lock: some network file systems keep a file that is open. What they may keep
        # even now is in nobody's way.
        shutil.rmtree(checkpoints, ignore_errors=True)


def _train(job: Job, folder: Path, settings: "TrainingArguments", lease: "Lease") -> None:
    """Train from the last checkpoint, or from the start, and write the adapter's files."""
    from transformers.utils.logging import disable_progress_bar

    from lorascope.finetuning.distributed import is_main
    from lorascope.finetuning.groups import parameter_groups, renamed
    from lorascope.finetuning.trainer import LoraTrainer

    disable_progress_bar()
    train, checkpoints = job["recipe"]["train"], folder / "checkpoints"
    started = time.perf_counter()
    trainee, sizes = _prepare(job, str(settings.device), checkpoints)
    groups = parameter_groups(
        trainee.model.named_parameters(),
        train["weight_decay"],
        train["learning_rate"],
        train["lora_plus_ratio"],
    )
    named_groups = renamed(groups, train["parameter_names"], trainee.published)
    trainer = LoraTrainer(
        model=trainee.model,
        args=settings,
        data_collator=trainee.collate,
        train_dataset=trainee.rows,
        groups=groups,
        name=job["adapter"],
    )
    _run(trainer, checkpoints)
    if is_main():
        account = {
            **_account(job, trainer, trainee, sizes),
            **environment(lease),
            "seconds": time.perf_counter() - started,
        }
        _write(job, folder, trainer.state.log_history, trainee, named_groups, account)


def _prepare(job: Job, device: str, scratch: Path) -> "tuple[Trainee, Sizes]":
    """Return the loaded model with its examples, all of them the planned ones."""
    from lorascope.finetuning.adapted import measure_folder

    recipe, train, data = job["recipe"], job["recipe"]["train"], job["recipe"]["data"]
    settings = {**recipe["settings"], **local_sources(job["sources"])}
    source = Path(job["data"]["source"])
    remote_code = settings.get("trust_remote_code", False)
    sizes = measure_folder(Path(settings[BASE[recipe["family"]]]), train, remote_code)
    log.info(
        "%s: %s trainable parameters, LoRA of rank %d on %s; the model has %s",
        *(job["adapter"], f"{sizes.trainable:,}", train["rank"]),
        *(", ".join(train["target_modules"]), f"{sizes.base:,}"),
    )
    if recipe["family"] == "salmonn":
        from lorascope.finetuning.salmonn import prepare as prepare_salmonn

        trainee = prepare_salmonn(settings, train, data, source, device, scratch)
    else:
        from lorascope.finetuning.text import prepare as prepare_text

        trainee = prepare_text(recipe["family"], settings, train, data, source, device)
    check_code(job)
    check_sources(job)
    _check_data(job, source)
    return trainee, sizes


def _check_data(job: Job, source: Path) -> None:
    """Refuse to train on local data that is not the planned one."""
    from lorascope.finetuning.sources import data_identity

    recipe = job["recipe"]
    if job["data"]["local"]:
        found = data_identity(SourceIndex(SOURCE_INDEX), recipe["data"], source)
        if found != recipe["data_source"]:
            raise UserError(f"{source}: changed since this run was planned; run snakemake again")


def _run(trainer: "LoraTrainer", checkpoints: Path) -> None:
    """Train to the end; UserError where memory lacks or the loss is not finite."""
    from lorascope.finetuning.checkpoints import step_of
    from lorascope.finetuning.outputs import check_finite
    from lorascope.finetuning.trainer import agreed_checkpoint
    from lorascope.memory import is_lack_of_memory
    from lorascope.models.checkpoints import first_line

    checkpoint = agreed_checkpoint(checkpoints)
    if checkpoint:
        log.info("going on from the checkpoint of step %d", step_of(checkpoint))
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (RuntimeError, MemoryError) as error:
        if not is_lack_of_memory(error):
            raise
        raise UserError(
            f"training does not fit into memory ({first_line(error)}); raise "
            "train.gradient_accumulation, lower train.batch_size or train.sequence_length, or set "
            "train.gradient_checkpointing: true or train.precision: bfloat16"
        ) from error
    finally:
        trainer.steps.close()
    check_finite(trainer.model)


def _account(
    job: Job, trainer: "LoraTrainer", trainee: "Trainee", sizes: "Sizes"
) -> dict[str, Any]:
    """Return what the training was, for the sidecar of the adapter."""
    from lorascope.finetuning.adapted import measure

    return {
        "adapter": job["adapter"],
        "digest": job["digest"],
        "settings": {**job["recipe"]["train"], "data": job["recipe"]["data"]},
        "trainable_parameters": measure(trainee.model).trainable,
        "base_parameters": sizes.base,
        "examples": len(trainee.rows),
        "skipped": trainee.skipped,
        "steps": trainer.state.global_step,
        "processes": trainer.args.world_size,
    }


def _write(
    job: Job,
    folder: Path,
    history: Sequence[Mapping[str, Any]],
    trainee: "Trainee",
    groups: Mapping[str, Any],
    account: Mapping[str, Any],
) -> None:
    from lorascope.finetuning.outputs import write_account, write_adapter

    write_account(folder, job["digest"], groups, history, account)
    source = job["sources"][BASE[job["recipe"]["family"]]]
    write_adapter(trainee, source, folder, folder / "checkpoints" / "final")
    log.info("%s: %d steps on %d examples", job["adapter"], account["steps"], account["examples"])


def main() -> int:
    """Run the stage from the command line."""
    options = parser(MODULE, __doc__)
    gpu_option(options)
    return run(options, work)


if __name__ == "__main__":
    sys.exit(main())
