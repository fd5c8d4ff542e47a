"""A sweep on a real SLURM of two nodes on one machine, whose GPUs are mere device nodes.

A node sees the locks of GPUs of its own alone, and both see those of the results.
"""

import re
from pathlib import Path

import pytest

from tests.workflow.test_slurm import SNAKEMAKE, answers, cluster_of, run, working_copy

pytestmark = pytest.mark.slow
SMALL = ("--config", "limit=4", "shards=2")


@pytest.fixture(scope="module")
def environment():
    yield from cluster_of(FAKE_NODES="2")


def test_two_nodes_answer_a_sweep_once(tmp_path: Path, environment) -> None:
    local, cluster = (working_copy(tmp_path / name) for name in ("local", "cluster"))
    run(("snakemake", "--nocolor", "--cores=2", *SMALL), local, environment)
    run((*SNAKEMAKE, *SMALL), cluster, environment)
    assert answers(cluster) == answers(local)
    logs = [log.read_text() for log in (cluster / "results/logs/infer").rglob("*.log")]
    now = [re.findall(r"(\d+) of them answered now", log) for log in logs]
    helped = [re.findall(r": (\d+) items answered for its own job", log) for log in logs]
    asked = sum(map(len, answers(cluster).values()))
    assert sum(int(n) for found in (*now, *helped) for n in found) == asked
