"""Training on several GPUs: one process each, started by ``accelerate launch``.

A job that leases several GPUs becomes ``accelerate launch`` with a process for each. A job that
finds itself in a launch, as when it was started so on every node of several, is one process of it:
the launcher has handed out the GPUs, and only the first process holds locks and writes results.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from lorascope.running.devices import VISIBLE, Lease, lease
from lorascope.storage.locks import exclusive

log = logging.getLogger("lorascope")

CONFIGURATION = "ACCELERATE_CONFIG_FILE"


def launched() -> bool:
    """Return whether this process is one of a distributed launch."""
    return {"RANK", "LOCAL_RANK", "WORLD_SIZE"} <= os.environ.keys()


def processes() -> int:
    """Return how many processes train together."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def is_main() -> bool:
    """Return whether this process is the one that writes results."""
    return not launched() or os.environ["RANK"] == "0"


def lease_or_launch(count: int, module: str) -> Lease:
    """Return the GPUs of this process; with several, become a launch of ``module`` on them."""
    if launched():
        return Lease(tuple(name for name in os.environ.get(VISIBLE, "").split(",") if name))
    held = lease(count)
    if len(held.names) > 1 and held.device == "cuda":
        command = launch_command(len(held.names), module, sys.argv[1:])
        log.info("starting %d processes, one for each GPU", len(held.names))
        for handler in log.handlers:
            handler.flush()
        # The leases go with the descriptors, which stay open.
        os.execv(command[0], command)
    return held


def launch_command(processes: int, module: str, arguments: list[str]) -> list[str]:
    """Return the command that runs ``module`` in several processes on this machine.

    The file that $ACCELERATE_CONFIG_FILE names, or else accelerate's default one, may configure
    the rest, as FSDP.
    """
    configuration = os.environ.get(CONFIGURATION)
    return [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *(("--config_file", configuration) if configuration else ()),
        *("--num_processes", str(processes), "--num_machines", "1", "--main_process_port", "0"),
        # The study says what the precision is; see TrainingArguments in trainer.py.
        *("--mixed_precision", "no", "--dynamo_backend", "no"),
        # Without the two dashes the launcher takes --log for an abbreviation of its own options.
        *("--module", "--", module, *arguments),
    ]


@contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock against other jobs; the other processes of this one follow its holder."""
    with exclusive(lock, what) if is_main() else nullcontext():
        yield
