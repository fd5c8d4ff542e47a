"""How much time a job has: what SLURM says of its limit."""

import math
import os
import re
import subprocess
import time
from functools import cache

HARMLESS = "says when a job stops helping others"

END_TIME, JOB = "SLURM_JOB_END_TIME", "SLURM_JOB_ID"
LEFT = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")
"""Days, hours, minutes and seconds, as squeue writes them."""


def seconds_left() -> float | None:
    """Return the seconds until SLURM ends this job; None outside of SLURM, inf without a limit.

    -inf where SLURM does not say.
    """
    job = os.environ.get(JOB)
    return None if job is None else _end(job) - time.time()


def _end(job: str) -> float:
    """Return when a job ends: as its environment says, which 22.05 does not fill in, or squeue."""
    try:
        return float(os.environ[END_TIME])
    except (KeyError, ValueError):
        return _asked(job)


@cache
def _asked(job: str) -> float:
    """Return when a job ends as squeue says; -inf where it does not.

    Asked once: a limit that is changed later is not seen.
    """
    command = ["squeue", "--noheader", f"--job={job}", "--format=%L"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return -math.inf
    said = told.stdout.strip()
    if said == "UNLIMITED":
        return math.inf
    if not (found := LEFT.fullmatch(said)):
        return -math.inf
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return time.time() + ((days * 24 + hours) * 60 + minutes) * 60 + seconds
