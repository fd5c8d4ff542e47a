"""Training on transformers' Trainer: parameter groups, order of examples, checkpoints, log."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.loss.loss_utils import ForCausalLMLoss

from lorascope.errors import UserError
from lorascope.models.finetuning.batches import Order, Rows
from lorascope.models.finetuning.checkpoints import last_complete, log, mark_complete, saving
from lorascope.models.finetuning.distributed import processes
from lorascope.models.finetuning.groups import Groups, optimizer_groups
from lorascope.running.progress import Progress

KEPT_CHECKPOINTS = 2
Value = TypeVar("Value")


def training_arguments(
    train: Mapping[str, Any], folder: Path, save_steps: int
) -> TrainingArguments:
    """Return Trainer's arguments for ``train`` of an adapter.

    A checkpoint goes into ``folder`` every ``save_steps`` steps, which changes no adapter.

    UserError for values that do not go together here.
    """
    on_gpu, steps, precision = torch.cuda.is_available(), train["steps"], train["precision"]
    _check(train, on_gpu)
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=_batch_per_process(train, processes()),
        gradient_accumulation_steps=train["gradient_accumulation"],
        num_train_epochs=train["epochs"] if steps is None else 1,
        max_steps=-1 if steps is None else steps,
        learning_rate=train["learning_rate"],
        weight_decay=train["weight_decay"],
        lr_scheduler_type=train["schedule"],
        warmup_steps=train["warmup_ratio"],
        max_grad_norm=train["max_grad_norm"],
        activation_checkpointing=train["gradient_checkpointing"],
        bf16=precision == "bfloat16",
        fp16=precision == "float16",
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        seed=train["seed"],
        save_steps=save_steps,
        save_total_limit=KEPT_CHECKPOINTS,
        logging_steps=1,
        logging_nan_inf_filter=False,
        log_level="error",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
    )


def _check(train: Mapping[str, Any], on_gpu: bool) -> None:
    if train["precision"] == "float16" and not on_gpu:
        raise UserError("train.precision: float16 needs a GPU; set bfloat16 or float32")
    if train["precision"] == "bfloat16" and on_gpu and not torch.cuda.is_bf16_supported():
        raise UserError("train.precision: this GPU has no bfloat16; set float16 or float32")
    if train["schedule"] == "constant" and train["warmup_ratio"]:
        raise UserError(
            "train.schedule: constant has no warm-up; set constant_with_warmup, or warmup_ratio: 0"
        )


def _batch_per_process(train: Mapping[str, Any], count: int) -> int:
    """Return the sequences that a process takes at once: batch_size is the optimiser step's."""
    batch, accumulation = train["batch_size"], train["gradient_accumulation"]
    if batch % (count * accumulation):
        raise UserError(
            f"train.batch_size: {batch} cannot be divided among {count} processes, one for each "
            f"GPU, that take {accumulation} parts each (train.gpus, train.gradient_accumulation)"
        )
    return batch // (count * accumulation)


def agreed(value: Value) -> Value:
    """Return what the first process passes, in all of them; they have TrainingArguments by now."""
    return broadcast_object_list([value])[0]


def agreed_checkpoint(folder: Path, digest: str) -> Path | None:
    """Return the last complete checkpoint of an adapter as the first process sees it."""
    return agreed(last_complete(folder, digest) if PartialState().is_main_process else None)


def causal_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    """Return the cross-entropy summed over labelled tokens, over their number in the whole step.

    Not a model's own loss: some average over each part of an accumulated batch.
    """
    logits = outputs["logits"]
    return ForCausalLMLoss(logits, labels, logits.shape[-1], num_items_in_batch)


def checkpoint_folder(args: TrainingArguments, state: TrainerState) -> Path:
    """Return where Trainer writes the checkpoint of the step that was just done."""
    return Path(str(args.output_dir), f"checkpoint-{state.global_step}")


class LoraTrainer(Trainer):
    """A Trainer with MindFormers' parameter groups that keeps account of every step.

    Each step of ``state.log_history`` has its loss, learning rate and gradient norm, its ``tokens``
    (those labelled, in all processes) and its ``seconds``. ``digest`` is the adapter's: its
    checkpoints say it.
    """

    def __init__(self, rows: Rows, groups: Groups, name: str, digest: str, **kwargs: Any) -> None:
        super().__init__(train_dataset=rows, compute_loss_func=causal_loss, **kwargs)
        self.digest, self.groups, self.order = digest, groups, self._new_order(rows)
        self.tokens, self.started = 0, time.perf_counter()
        self.remove_callback(PrinterCallback)
        self.steps = Steps(self, name)
        self.add_callback(self.steps)

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Return the optimiser, made once, of the parameter groups."""
        if self.optimizer is None:
            trained: Any = self.model if model is None else model
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, trained)
            self.optimizer = kind(optimizer_groups(trained, self.groups), **options)
        return self.optimizer

    def _new_order(self, rows: Rows) -> Order:
        batch = self.args.per_device_train_batch_size * self.args.world_size
        multiple = batch if self.args.world_size > 1 else 1
        return Order(rows, self.args.seed, multiple)

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        return self.order

    def _save_checkpoint(self, *args: Any) -> None:
        with saving(checkpoint_folder(self.args, self.state)):
            super()._save_checkpoint(*args)

    def get_batch_samples(self, *args: Any) -> tuple[list[Any], Any]:
        """Return the batches of the next step and the number of tokens labelled in it."""
        self.started = time.perf_counter()
        batches, tokens = super().get_batch_samples(*args)
        self.tokens = int(tokens or 0)
        return batches, tokens

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add to the history; UserError for a loss that is not finite."""
        if "loss" in logs:
            step = self.state.global_step
            if not math.isfinite(logs["loss"]):
                raise UserError(
                    f"training diverged: the loss of step {step} is {logs['loss']}; lower "
                    "train.learning_rate, or set train.precision: bfloat16 or float32"
                )
            logs |= {"tokens": self.tokens, "seconds": time.perf_counter() - self.started}
            log.debug(
                "step %d of %d: loss %.6g, learning rate %.4g, gradient norm %.4g",
                *(step, self.state.max_steps),
                *(logs["loss"], logs["learning_rate"], logs["grad_norm"]),
            )
        super().log(logs, start_time)


class Steps(TrainerCallback):
    """What happens between steps: order of the epoch, progress, complete checkpoints."""

    def __init__(self, trainer: LoraTrainer, name: str) -> None:
        self.trainer, self.name = trainer, name
        self.bar: Progress | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Show how far training is."""
        if state.is_world_process_zero:
            self.bar = Progress(state.max_steps, state.global_step, self.name, "step")

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Draw the order of the epoch's examples."""
        # accelerate does not reach the sampler below what it skips after a resume.
        self.trainer.order.set_epoch(int(state.epoch))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Count the step."""
        if self.bar:
            self.bar.update(1)
        if state.global_step >= state.max_steps:
            # The adapter itself is written next, and Trainer would go on from a last checkpoint.
            control.should_save = False

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Say that a checkpoint is complete."""
        PartialState().wait_for_everyone()  # each process has its own file in a checkpoint
        if state.is_world_process_zero:
            checkpoint = checkpoint_folder(args, state)
            mark_complete(checkpoint, self.trainer.digest)
            log.debug("%s written", checkpoint)

    def close(self) -> None:
        """Finish the bar, however training ended."""
        if self.bar:
            self.bar.__exit__()
