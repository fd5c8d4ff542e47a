"""Two IDs of one fingerprint: one of them is the source of the others, whatever a run remakes."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.small_study import Small


def twins(small: Small, *names: str) -> Small:
    """Let the small study have one experiment under several IDs, in one shard."""
    (template,) = small.study["experiments"]
    one = {key: value for key, value in template.items() if key != "grid"}
    small.study["experiments"] = [one | {"id": name, "lora_scaling": 1} for name in names]
    small.study |= {"baseline": names[0], "shards": 1}
    return small


def folder(small: Small, name: str) -> Path:
    return small.planned().experiments[name].folder


def left(small: Small) -> list[str]:
    """Return what is left of inferring and merging, as "merge A"."""
    jobs = [job for job in small.planned().left() if job.stage.name in ("infer", "merge")]
    return sorted(f"{job.stage.name} {job.wildcards['id']}" for job in jobs)


def finish(small: Small) -> dict[str, bytes]:
    """Score all that is left, the copies after what they are copied from; return the outcome."""
    assert small.run(until="score") == {}
    assert small.run(until="score") == {}
    return small.outcome(until="score")


def merged_from(small: Small) -> dict[str, tuple[str | None, set[str]]]:
    """Return ID -> the ID it is copied from, and those whose files its merge waits for."""
    found = {}
    for job in small.planned().of_stage("merge"):
        twin = job.told().twin
        waits = {path.parts[2] for path in job.inputs if path.suffix == ".parquet"}
        found[str(job.wildcards["id"])] = (twin and Path(twin).parent.name, waits - {"zoo"})
    return found


def pretend(small: Small, names: Iterable[str]) -> None:
    """Create, empty, the merged files of experiments."""
    for name in names:
        planned = small.planned().experiments[name]
        planned.folder.mkdir(parents=True)
        planned.predictions.touch()
        planned.runtime.touch()


@pytest.fixture
def study(tmp_path: Path, new: Small) -> Small:
    return twins(new, "A", "B", "C")


@pytest.mark.parametrize(
    ("there", "source"),
    [("", "A"), ("A", "A"), ("B", "B"), ("C", "C"), ("AB", "A"), ("BC", "B"), ("ABC", "A")],
)
def test_one_is_the_source_and_waits_for_none_of_the_others(
    study: Small, there: str, source: str
) -> None:
    pretend(study, there)
    expected = {name: (source, {source}) for name in "ABC"}
    assert merged_from(study) == expected | {source: (None, {source})}


def test_a_folder_that_is_not_planned_is_copied_only_where_there_is_no_other(study: Small) -> None:
    pretend(study, "B")
    folder(study, "B").parent.rename("results/experiments/OLD")
    assert merged_from(study) == {name: ("OLD", set()) for name in "ABC"}
    assert left(study) == ["merge A", "merge B", "merge C"]
    # Once one of them is there, an unplanned one may be made again by its own study meanwhile.
    pretend(study, "C")
    assert merged_from(study)["C"] == (None, {"C"})
    assert merged_from(study)["A"] == ("C", {"C"})


def test_half_a_folder_is_no_source(study: Small) -> None:
    pretend(study, "AB")
    study.planned().experiments["A"].runtime.unlink()
    assert left(study) == ["merge A", "merge C"]
    assert merged_from(study)["A"] == ("B", {"B"})
    assert merged_from(study)["B"] == (None, {"B"})


def test_the_source_is_kept_while_a_run_removes_what_it_makes_again(study: Small) -> None:
    pretend(study, "ABC")
    plan = study.planned()
    plan.experiments["A"].predictions.unlink()
    told = {job.wildcards["id"]: job.told().twin for job in plan.of_stage("merge")}
    source = str(plan.experiments["A"].folder)
    assert told == {"A": None, "B": source, "C": source}


def test_a_deleted_one_comes_back_from_the_others(encoded: Small) -> None:
    twins(encoded, "A", "B")
    before = finish(encoded)
    for name in "AB":
        shutil.rmtree(folder(encoded, name))
        assert left(encoded) == [f"merge {name}"]
        assert finish(encoded) == before


def test_a_damaged_source_is_answered_again(encoded: Small) -> None:
    twins(encoded, "A", "B")
    before = finish(encoded)
    shutil.rmtree(folder(encoded, "B"))
    (folder(encoded, "A") / "predictions.parquet").write_bytes(b"")
    (message,) = encoded.run(until="score").values()
    assert "A/" in message and "moved aside" in message
    assert left(encoded) == ["infer A", "merge A", "merge B"]
    assert finish(encoded) == before


@pytest.mark.thorough
def test_a_run_that_makes_all_of_them_again_loses_none(encoded: Small) -> None:
    twins(encoded, "A", "B", "C")
    before = finish(encoded)
    for dry, force in (("-n", "-R infer"), ("-n", "--forceall"), ("", "-R merge")):
        done = encoded.snakemake(*dry.split(), "--cores", "2", "--rerun-incomplete", *force.split())
        assert done.returncode == 0, done.stdout
        # One of them is answered again, the others are copied from it.
        ran = [job.name for job in encoded.ran]
        assert [name for name in ran if name.startswith("infer")] == ["infer A 0-of-1"]
        assert {f"merge {name}" for name in "ABC"} < {*ran}
    assert encoded.outcome(until="score") == before
