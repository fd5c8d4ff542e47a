"""Train a LoRA adapter; a training that was killed goes on from its last checkpoint.

With several GPUs there is a process for each, see ``lorascope.models.finetuning.distributed``. On
several nodes, start this command with ``accelerate launch`` on each of them, configured for
accelerate.
"""

# The launcher of several processes needs no torch.
# ruff: noqa: PLC0415

import argparse
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from lorascope.errors import UserError
from lorascope.planning.checks import (
    check_code,
    check_sources,
    commits,
    environment,
    local_sources,
    pinned,
)
from lorascope.planning.finetune import OUTPUTS, FinetuneJob, checkpoints, training_lock
from lorascope.planning.track import FOLDER
from lorascope.stages.command import check_data, gpu_option, leave, log, parser, run
from lorascope.storage.adapters import write_list
from lorascope.storage.downloads import Commit, Noted

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import TrainingArguments

    from lorascope.models.finetuning.trainee import Sizes, Trainee
    from lorascope.models.finetuning.trainer import LoraTrainer
    from lorascope.running.devices import Lease

MODULE = "lorascope.stages.finetune"


def work(job: FinetuneJob, arguments: argparse.Namespace) -> None:
    """Write the adapter's files, unless an earlier job did so while this one waited for it."""
    from lorascope.models.finetuning.distributed import alone, is_main, lease_or_launch
    from lorascope.models.finetuning.trainer import agreed, training_arguments

    lease = lease_or_launch(arguments.gpus, MODULE)
    folder = arguments.out.parent
    scratch = checkpoints(folder)
    with _followed(job), alone(training_lock(folder), f"the training in {folder}"):
        settings = training_arguments(job.fingerprint["train"], scratch, job.save_steps)
        if agreed(all((folder / Path(path).name).exists() for path in OUTPUTS.values())):
            log.info("%s: an earlier job has trained it", folder)
        else:
            _train(job, folder, settings, lease)
    if is_main():
        # After the lock: some network file systems keep a file that is open. What they may keep
        # even now is in nobody's way.
        shutil.rmtree(scratch, ignore_errors=True)


def _followed(job: FinetuneJob) -> AbstractContextManager[None]:
    """Return what lets the trackers that the study names follow the training."""
    if not job.tracking:
        return nullcontext()
    # By its name: it is no part of what decides an adapter.
    tracked: Callable[..., AbstractContextManager[None]]
    tracked = resolve_name("lorascope.reporting.tracked:tracked")
    return tracked(job.tracking, job.study, f"{job.adapter}-{job.digest}", FOLDER)


def _train(job: FinetuneJob, folder: Path, settings: "TrainingArguments", lease: "Lease") -> None:
    """Train from the last checkpoint, or from the start, and write the adapter's files."""
    from transformers.utils.logging import disable_progress_bar

    from lorascope.models.finetuning.distributed import is_main
    from lorascope.models.finetuning.groups import parameter_groups, renamed
    from lorascope.models.finetuning.trainer import LoraTrainer

    disable_progress_bar()
    train, scratch = job.fingerprint["train"], checkpoints(folder)
    started = time.perf_counter()
    trainee, sizes, sources = _prepare(job, str(settings.device), scratch)
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
        rows=trainee.rows,
        groups=groups,
        name=job.adapter,
        digest=job.digest,
    )
    _run(trainer, trainee.model, scratch)
    if is_main():
        account = {
            **_account(job, trainer, trainee, sizes),
            **environment(lease, sources),
            "seconds": time.perf_counter() - started,
        }
        _write(job, folder, trainer.state.log_history, trainee, named_groups, account, sources)


def _prepare(
    job: FinetuneJob, device: str, scratch: Path
) -> "tuple[Trainee, Sizes, dict[str, Commit]]":
    """Return the loaded model with its examples, all of them the planned ones, and the commits."""
    from lorascope.models.finetuning.trainee import Scratch

    train, root = job.fingerprint["train"], Path(job.root)
    sources = commits(job.sources)
    settings = {**job.fingerprint["settings"], **local_sources(job.sources)}
    remote_code = settings.get("trust_remote_code")
    folder = Path(settings[job.language_model])
    sizes: Sizes = resolve_name(job.measure)(folder, train, remote_code)
    log.info(
        "%s: %s trainable parameters, LoRA of rank %d on %s; the model has %s",
        *(job.adapter, f"{sizes.trainable:,}", train["rank"]),
        *(", ".join(train["target_modules"]), f"{sizes.base:,}"),
    )
    examples = resolve_name(job.read)(job.fingerprint["data"], root)
    use, clips = Scratch(scratch, job.digest), Path(job.clips)
    trainee: Trainee = resolve_name(job.prepare)(settings, train, examples, clips, device, use)
    check_code(job)
    check_sources(job, job.sources)
    files = resolve_name(job.source_files)(root, job.fingerprint["data"])
    data = check_data(job.fingerprint["data_source"], files, root, job.local)
    return trainee, sizes, sources | data


def _run(trainer: "LoraTrainer", model: "PeftModel", scratch: Path) -> None:
    """Train to the end; UserError where memory lacks or the loss is not finite."""
    from lorascope.models.finetuning.checkpoints import step_of
    from lorascope.models.finetuning.outputs import check_finite
    from lorascope.models.finetuning.trainer import agreed_checkpoint
    from lorascope.models.weights import first_line
    from lorascope.running.memory import is_lack_of_memory

    checkpoint = agreed_checkpoint(scratch, trainer.digest)
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
    check_finite(model)


def _account(
    job: FinetuneJob, trainer: "LoraTrainer", trainee: "Trainee", sizes: "Sizes"
) -> dict[str, Any]:
    """Return what the training was, for the sidecar of the adapter."""
    from lorascope.models.finetuning.trainee import measure

    return {
        "adapter": job.adapter,
        "digest": job.digest,
        "settings": {**job.fingerprint["train"], "data": job.fingerprint["data"]},
        "trainable_parameters": measure(trainee.model).trainable,
        "base_parameters": sizes.base,
        "examples": len(trainee.rows),
        "skipped": trainee.skipped,
        "steps": trainer.state.global_step,
        "processes": trainer.args.world_size,
    }


def _write(
    job: FinetuneJob,
    folder: Path,
    history: Sequence[Mapping[str, Any]],
    trainee: "Trainee",
    groups: Mapping[str, Any],
    account: Mapping[str, Any],
    sources: Noted,
) -> None:
    from lorascope.models.finetuning.outputs import write_account, write_adapter

    written = write_account(folder, job.digest, groups, history, account, sources)
    source = job.sources[job.language_model]
    if not isinstance(source, str):
        source = pinned(source)
    written += write_adapter(trainee, source, folder, checkpoints(folder) / "final")
    write_list(folder, job.digest, written)
    log.info("%s: %d steps on %d examples", job.adapter, account["steps"], account["examples"])


def main() -> int:
    """Run the stage from the command line."""
    options = parser(MODULE, __doc__)
    gpu_option(options)
    return run(options, FinetuneJob, work)


if __name__ == "__main__":
    leave(main())
