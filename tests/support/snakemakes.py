"""Snakemake in processes forked from one that has imported it: it is run often, and for a moment.

Run as a script, this is that process: it reads a request a line, and writes its exit code. Nothing
of lorascope is imported before the fork, so that each run imports the one that it is given.
"""

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path


def run(
    arguments: Sequence[object], folder: Path, environment: Mapping[str, str], output: Path
) -> int:
    """Run Snakemake in a folder, with its output in a file; return its exit code."""
    words = list(map(str, arguments))
    server = _server(environment["PYTHONPATH"].split(os.pathsep)[0])
    request = [words, str(folder), dict(environment), str(output)]
    print(json.dumps(request), file=server.stdin, flush=True)
    return int(server.stdout.readline())


@cache
def _server(plugins: str) -> subprocess.Popen:
    """Return the process, whose Snakemake finds its plug-ins in a folder."""
    server = subprocess.Popen(
        [sys.executable, "-B", __file__],
        env=os.environ | {"PYTHONPATH": plugins},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.communicate)
    return server


def _serve() -> None:
    import pydantic  # noqa: F401 - what a run imports
    import snakemake.cli
    import snakemake.scheduling.job_scheduler
    import snakemake.workflow  # noqa: F401

    assert "lorascope" not in sys.modules
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    with os.fdopen(requests) as lines:
        for line in lines:
            if (child := os.fork()) == 0:
                os.close(answers)
                return _snakemake(*json.loads(line))
            _, status = os.waitpid(child, 0)
            os.write(answers, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    return None


def _snakemake(words: list[str], folder: str, environment: dict[str, str], output: str) -> None:
    """Become a Snakemake that was started so."""
    from snakemake.cli import main

    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    paths = environment["PYTHONPATH"].split(os.pathsep)
    sys.path[:] = [*paths, *(path for path in sys.path[1:] if path not in paths)]
    sys.argv = [str(Path(sys.executable).with_name("snakemake")), *words]
    sys.exit(main(words))


if __name__ == "__main__":
    _serve()
