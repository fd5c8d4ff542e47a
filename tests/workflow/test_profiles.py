"""The dry-run of the eight-GPU study under both profiles, without weights, audio or GPUs."""

import re
import subprocess

import pytest

from tests.support.basics import ROOT
from tests.support.lab import BIN, ENVIRONMENT

EXPERIMENTS = [f"SKR-LoRA-SF-{scaling}-B5" for scaling in range(5)]


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_the_plan_for_eight_gpus_shows_shards_and_gpu_requests(profile, tmp_path):
    study = "studies/salmonn-7b-lora-scaling.yaml"
    run = subprocess.run(
        [BIN / "snakemake", "-n", "--snakefile", ROOT / "Snakefile", "--directory", tmp_path,
         "--workflow-profile", ROOT / "profiles" / profile, "--configfile", ROOT / study,
         "--config", "shards=8"],
        env=ENVIRONMENT, cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    output = run.stdout + run.stderr
    for identifier in EXPERIMENTS:
        shards = re.findall(rf"{identifier}, shard (\d) of 8: new \(GPUs: 1\)", output)
        assert sorted(shards) == list("01234567")
    assert re.search(r"^infer +40$", output, re.MULTILINE)
