"""A thousand experiments can be planned; `make bench` says what it costs."""

from pathlib import Path

from tests.support.lab import Lab, copy_repository, write_track

EXPERIMENTS, SHARDS = 1000, 2


def test_a_thousand_experiments_are_planned(tmp_path: Path) -> None:
    """Sources are absent but for the metadata and clips; planning needs no more."""
    copy_repository(tmp_path)
    write_track(tmp_path / "sakura", "Animal", ["cat", "dog"])
    model = {key: f"absent/{key}" for key in ("llm", "whisper", "beats", "checkpoint")}
    study = {
        "study": "sweep",
        "models": {"tiny": {"family": "salmonn", **model}},
        "datasets": {"zoo": {"benchmark": "sakura", "source": "sakura", "tracks": ["animal"]}},
        "experiments": [
            {
                "id": "S-{lora_scaling}",
                "model": "tiny",
                "dataset": "zoo",
                "grid": {"lora_scaling": [place / 4 for place in range(EXPERIMENTS)]},
            }
        ],
        "baseline": "S-1",
        "shards": SHARDS,
    }
    lab = Lab(tmp_path, study)
    done = lab.snakemake("-n")
    assert done.returncode == 0, done.stdout[-2000:]
    # dataset, encode, report, page; infer, merge and score of each experiment
    assert len(lab.ran) == 4 + EXPERIMENTS * (SHARDS + 2)
    assert {(job.rule, job.outputs) for job in lab.ran} == {
        (rule, frozenset(outputs)) for rule, outputs in lab.left()
    }
