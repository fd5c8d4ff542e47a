"""Trackers beside a training: transformers' own callbacks, which can neither change nor end it."""

# A training that nothing tracks imports none of this.
# ruff: noqa: PLC0415

import logging
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.reporting.trackers import events_folder, prepare_environment, project, reason

if TYPE_CHECKING:
    from transformers import TrainerCallback, TrainingArguments

HARMLESS = "shows elsewhere how a training goes"

log = logging.getLogger("lorascope")


@contextmanager
def tracked(trackers: Sequence[str], study: str, name: str, folder: str) -> Iterator[None]:
    """Let each of the ``trackers`` follow the training within.

    ``name`` is the run's, ``folder`` a pattern of where a tracker writes. Trainer takes the
    callbacks from transformers' list of default ones: handed over by the code of the training they
    would be a part of what decides an adapter.
    """
    if not trackers:
        yield
        return
    from transformers import trainer

    callbacks = [
        callback_of(tracker, study, name, Path(folder.format(tracker=tracker)))
        for tracker in trackers
    ]
    before = trainer.DEFAULT_CALLBACKS
    trainer.DEFAULT_CALLBACKS = [*before, *callbacks]  # type: ignore[list-item]
    try:
        yield
    finally:
        trainer.DEFAULT_CALLBACKS = before
        for callback in callbacks:
            callback.close()  # type: ignore[attr-defined]


def callback_of(tracker: str, study: str, name: str, folder: Path) -> "TrainerCallback":
    """Return a callback that hands a training's events on to a tracker's, as long as it works."""
    from transformers import TrainerCallback

    class Guarded(TrainerCallback):
        """Makes the tracker's callback when training begins, and drops it where it fails."""

        inner: Any = None

        def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            """Begin a run of the tracker."""
            if state.is_world_process_zero:
                with _guard(self, tracker, name):
                    self.inner = _begin(tracker, study, name, folder, args, state.global_step)
                    self.inner.on_train_begin(args, state, control, **rest)

        def on_log(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            """Hand on the values of a step."""
            if self.inner is not None:
                with _guard(self, tracker, name):
                    self.inner.on_log(args, state, control, **rest)

        def on_train_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            """End the run."""
            if self.inner is not None:
                with _guard(self, tracker, name):
                    self.inner.on_train_end(args, state, control, **rest)

        def close(self) -> None:
            """Let a client that sends in the background finish; the adapter is written by now."""
            client = getattr(self.inner, "_wandb", None)
            if client is not None and client.run is not None:
                with _guard(self, tracker, name):
                    client.finish()

    return Guarded()


@contextmanager
def _guard(callback: Any, tracker: str, name: str) -> Iterator[None]:
    """Keep a tracker's failures, and its use of random numbers, from the training."""
    import numpy as np
    import torch

    ours, numpys = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    except Exception as error:  # a client may raise anything
        callback.inner = None
        log.warning(
            "%s: no longer tracked by %s (%s); the training goes on", name, tracker, reason(error)
        )
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)


def _begin(
    tracker: str, study: str, name: str, folder: Path, args: "TrainingArguments", done: int
) -> Any:
    """Return transformers' callback of a tracker, of a training that has ``done`` steps."""
    from transformers.integrations import integration_utils

    prepare_environment(tracker, folder, study)
    args.run_name, args.project = name, project(study)
    if tracker == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter

        events = events_folder(folder, study, f"trainings/{name}")
        # What an earlier process logged after its last checkpoint is logged again.
        writer = SummaryWriter(str(events), purge_step=done + 1)
        return integration_utils.TensorBoardCallback(writer)
    if tracker == "trackio" and "TRACKIO_SPACE_ID" not in os.environ:
        args.trackio_static_space_id = False
    return integration_utils.INTEGRATION_TO_CALLBACK[tracker]()
