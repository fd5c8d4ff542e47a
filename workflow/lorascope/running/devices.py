"""GPUs, each leased to one job at a time.

Snakemake's local executor counts GPUs but hands none out, so every job would see them all. Here a
job takes an exclusive ``flock`` on one file per GPU and makes only those GPUs visible to itself.
The kernel frees a lock with the last descriptor of it, however the process dies; the descriptors
are inheritable, so a child that was given them keeps the GPU of a parent that died.

Locks lie in ``/tmp/lorascope-<uid>`` (not in $TMPDIR, which two workflows of one user may set
differently), or in the folder $LORASCOPE_LOCKS that several users share, and count among lorascope
jobs only. Inside a SLURM allocation they carry its ID: there GPU 0 may be another one in each job.
"""

# Whoever asks for no GPU needs no torch.
# ruff: noqa: PLC0415

import fcntl
import logging
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from lorascope.errors import UserError

HARMLESS = "says on which GPU a job runs, which is recorded"

log = logging.getLogger("lorascope")

POLL_SECONDS = 0.5
REMIND_SECONDS = 60.0
VISIBLE = "CUDA_VISIBLE_DEVICES"
LOCKS = "LORASCOPE_LOCKS"
TEMPORARY = Path("/tmp")


def compute_exactly() -> None:
    """Let a GPU multiply float32 in float32, as the CPU does, and by kernels that never change.

    By default torch has convolutions rounded to TF32, of 10 bits; cuDNN may choose kernels by what
    it measures, or such as add in any order. Its attention makes a plan for every new length, for
    tens of milliseconds each, and answers grow by one at each step: torch's own kernels attend.
    """
    import torch

    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.enable_cudnn_sdp(False)


@dataclass(frozen=True)
class Lease:
    """The GPUs that this process holds for its life, by the names that CUDA was given."""

    names: tuple[str, ...]

    @cached_property
    def device(self) -> str:
        """The device to compute on, "cuda" or "cpu"; imports torch if GPUs are held."""
        if not self.names:
            return "cpu"
        import torch

        if torch.cuda.is_available():
            compute_exactly()
            return "cuda"
        log.warning(
            "GPU %s is leased, but torch %s cannot use it: computing on the CPU. Install a torch "
            "for this machine's CUDA driver, or set gpus_per_job: 0",
            ", ".join(self.names),
            torch.__version__,
        )
        return "cpu"

    @property
    def device_name(self) -> str:
        """What the device is called, as "NVIDIA A100-SXM4-80GB"."""
        if self.device == "cpu":
            return "CPU"
        import torch

        return torch.cuda.get_device_name()

    @property
    def placement(self) -> str:
        """The ``device`` for a model that may be spread over several GPUs: "auto" with several."""
        return "auto" if len(self.names) > 1 and self.device == "cuda" else self.device


_held: Lease | None = None


def lease(count: int) -> Lease:
    """Return the lease of `lease_unless`, waiting as long as it takes."""
    found = lease_unless(count, lambda: False)
    assert found is not None
    return found


def lease_unless(count: int, is_needless: Callable[[], bool]) -> Lease | None:
    """Lease ``count`` GPUs until this process ends, waiting for them if others hold them.

    None where it ``is_needless`` after all, which is asked again and again while waiting.

    Sets CUDA_VISIBLE_DEVICES, which the driver reads at the first CUDA call of the process: lease
    before that. torch may be imported by then; importing it calls no CUDA. A machine without GPUs
    gives the CPU, and so does ``count`` 0. UserError when there are GPUs, but fewer than ``count``,
    or when the lock folder is not safe to use.
    """
    global _held
    if _held is not None:
        if len(_held.names) != count:
            raise ValueError(f"this process holds {len(_held.names)} GPUs and asks for {count}")
        return _held
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        raise RuntimeError("lease() must come before the first CUDA call")
    gpus = pool() if count else []
    if not gpus:
        log.info("computing on the CPU: %s", _why_none(count))
        os.environ[VISIBLE] = ""
        return Lease(())
    if len(gpus) < count:
        raise UserError(
            f"gpus_per_job: {count}, but {len(gpus)} can be used here ({', '.join(gpus)}); lower "
            f"gpus_per_job of the model in the study, or name more GPUs in {VISIBLE}"
        )
    taken = _wait_for(count, gpus, is_needless)
    if not taken:
        return None
    _held = Lease(taken)
    os.environ[VISIBLE] = ",".join(_held.names)
    log.info("leased GPU %s", ", ".join(_held.names))
    return _held


def _why_none(count: int) -> str:
    if not count:
        return "the job asks for no GPU"
    if VISIBLE in os.environ:
        return f"{VISIBLE}={os.environ[VISIBLE]} names no GPU"
    return f"nvidia-smi names no GPU, and {VISIBLE} is not set"


# ---------------------------------------------------------------------------------- pool


@dataclass(frozen=True)
class _Gpu:
    """A GPU as nvidia-smi lists it; ``instances`` are its MIG devices, where it has any."""

    index: str
    uuid: str
    instances: tuple[str, ...]

    @property
    def devices(self) -> tuple[str, ...]:
        return self.instances or (self.uuid,)


def pool() -> list[str]:
    """Return the names of the GPUs that jobs may lease.

    They are those of CUDA_VISIBLE_DEVICES if set, else all that nvidia-smi lists: a GPU in MIG mode
    as its instances. Names are UUIDs wherever nvidia-smi tells them, so that a GPU has one name in
    every workflow, and index 0 is nvidia-smi's (CUDA's own order may differ).
    """
    visible = os.environ.get(VISIBLE)
    if visible is not None and not visible.strip():
        return []
    gpus = _listed_gpus()
    if visible is None:
        return [name for gpu in gpus for name in gpu.devices]
    names: list[str] = []
    for token in visible.split(","):
        name = _resolve(token.strip(), gpus)
        if name is None:
            break  # as CUDA does: what follows an invalid name is not visible
        if name not in names:
            names.append(name)
    return names


def _resolve(token: str, gpus: Sequence[_Gpu]) -> str | None:
    """Return the one name of what CUDA_VISIBLE_DEVICES calls ``token``, None if it is no GPU."""
    if not re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", token):
        return None
    for gpu in gpus:
        # CUDA takes UUIDs cut short, and the first instance of a GPU in MIG mode.
        if token == gpu.index or gpu.uuid.startswith(token):
            return gpu.devices[0]
        for instance in gpu.instances:
            if instance.startswith(token):
                return instance
    return None if gpus and token.isdigit() else token


def _listed_gpus() -> list[_Gpu]:
    """Return what ``nvidia-smi -L`` lists: nothing where it is missing or fails."""
    command = ["nvidia-smi", "-L"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        return []
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("nvidia-smi does not work: %s", error)
        return []
    if answer.returncode:
        log.warning("nvidia-smi does not work: %s", (answer.stdout + answer.stderr).strip())
        return []
    gpus: list[_Gpu] = []
    for line in answer.stdout.splitlines():
        uuid = re.search(r"\(UUID: *([^)]+)\)", line)
        if uuid is None:
            continue
        if gpu := re.match(r"GPU (\d+):", line):
            gpus.append(_Gpu(gpu[1], uuid[1], ()))
        elif re.match(r"\s+MIG ", line) and gpus:
            parent = gpus[-1]
            gpus[-1] = _Gpu(parent.index, parent.uuid, (*parent.instances, uuid[1]))
    return gpus


# --------------------------------------------------------------------------------- locks


def _wait_for(count: int, gpus: Sequence[str], is_needless: Callable[[], bool]) -> tuple[str, ...]:
    """Lock ``count`` of ``gpus`` for this process; return their names, none if it is needless."""
    locks = _Locks()
    try:
        remind = time.monotonic()
        while not (taken := locks.take(gpus, count)) and not is_needless():
            if time.monotonic() >= remind:
                log.info("waiting for %d of the GPUs %s", count, locks.describe(gpus))
                remind = time.monotonic() + REMIND_SECONDS
            time.sleep(POLL_SECONDS)
    except OSError as error:
        raise UserError(
            f"{locks.path}: GPUs cannot be locked here: {error}; set {LOCKS} to a folder on a "
            "local disk where every user of the GPUs may write"
        ) from error
    finally:
        os.close(locks.folder)
    return taken


class _Locks:
    """The lock files of the GPUs. They stay: only the kernel's lock on one means anything."""

    def __init__(self) -> None:
        shared = os.environ.get(LOCKS)
        self.path = Path(shared) if shared else TEMPORARY / f"lorascope-{os.getuid()}"
        self.mode = 0o666 if shared else 0o600
        self.folder = _open_shared(self.path) if shared else _open_private(self.path)
        allocation = os.environ.get("SLURM_JOB_ID")
        self.prefix = f"slurm-{allocation}-" if allocation else ""

    def take(self, gpus: Sequence[str], count: int) -> tuple[str, ...]:
        """Lock the first ``count`` GPUs that are free and return them; () and none if too few.

        One process scans at a time: two that wait for two GPUs never hold one each.
        """
        taken: dict[str, int] = {}
        with self._scanning():
            for gpu in gpus:
                if len(taken) < count and (descriptor := self._try(gpu)) is not None:
                    taken[gpu] = descriptor
            if len(taken) < count:
                for descriptor in taken.values():
                    os.close(descriptor)
                return ()
        for descriptor in taken.values():
            # Never closed: the lease lasts as long as the process and the children it is given to.
            os.set_inheritable(descriptor, True)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return tuple(taken)

    def describe(self, gpus: Sequence[str]) -> str:
        """Return the GPUs with the processes that leased them last."""
        return ", ".join(f"{gpu} (process {self._last_process(gpu)})" for gpu in gpus)

    @contextmanager
    def _scanning(self) -> Iterator[None]:
        descriptor = self._open("scan")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _try(self, gpu: str) -> int | None:
        descriptor = self._open(gpu)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _last_process(self, gpu: str) -> str:
        descriptor = self._open(gpu)
        try:
            return os.pread(descriptor, 20, 0).decode(errors="replace") or "unknown"
        finally:
            os.close(descriptor)

    def _open(self, name: str) -> int:
        """Open a lock file, made at its first use. Links are refused, hard ones too."""
        file = f"{quote(self.prefix + name, safe='')}.lock"
        descriptor = self._descriptor(file)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            os.close(descriptor)
            raise UserError(f"{self.path / file} is not a lock file of lorascope; remove it")
        return descriptor

    def _descriptor(self, file: str) -> int:
        flags = os.O_RDWR | os.O_NOFOLLOW
        while True:
            # Opened before created: in a sticky folder Linux lets nobody open another user's file
            # with O_CREAT (fs.protected_regular).
            with suppress(FileNotFoundError):
                return os.open(file, flags, dir_fd=self.folder)
            mask = os.umask(0)
            try:
                new = flags | os.O_CREAT | os.O_EXCL
                return os.open(file, new, self.mode, dir_fd=self.folder)
            except FileExistsError:
                continue
            finally:
                os.umask(mask)


def _open_private(path: Path) -> int:
    """Open this user's own folder, made at its first use; UserError if others may write there."""
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise UserError(
            f"{path}: no folder for GPU locks ({error.strerror}); remove what is there, or set "
            f"{LOCKS} to a folder on a local disk"
        ) from error
    status = os.fstat(folder)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        os.close(folder)
        raise UserError(f"{path} must be yours alone (mode 0700), as it holds GPU locks; remove it")
    return folder


def _open_shared(path: Path) -> int:
    """Open the folder of several users. They make it: a mistyped path would exclude nobody."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UserError(
            f"{LOCKS}={path}: {error.strerror}; make the folder once for all users of the GPUs: "
            f"mkdir -m 1777 {path}"
        ) from error
