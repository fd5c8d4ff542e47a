"""The plan of a search: what is known of it before, between and after its decisions."""

from typing import Any

import pytest

from lorascope.planning.plan import Plan, load_plan
from lorascope.planning.search import KIND, plan_searches
from lorascope.storage.records import write_document
from tests.support.studies import STUDY, make

SCALINGS = [0, 1, 2, 3, 4, 5]
SEARCHED: dict[str, Any] = {
    **STUDY,
    "experiments": [{**STUDY["experiments"][0], "grid": {"lora_scaling": SCALINGS}}],
    "baseline": "SF-5",
    "search": {"among": "SF-{lora_scaling}", "parts": 8},
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def plan(study=SEARCHED) -> Plan:
    return load_plan(study, "study.yaml")


def decide(rung: int, left: list[int], study=SEARCHED) -> None:
    """Write the decision of a rung."""
    (search,) = plan_searches(plan(study).context)
    rows = [{"name": n, "score": 10.0 * i, "items": 6} for i, n in enumerate(search.alive(rung))]
    names = [f"lora_scaling {scaling}" for scaling in left]
    found = {"rung": rung, "parts": search.rungs[rung], "of": 8, "candidates": rows, "left": names}
    write_document(search.path(rung), KIND, search.digest, found)


def asked(found: Plan) -> dict[str, list[str]]:
    """Return ID -> the shards that are left to answer."""
    shards: dict[str, list[str]] = {}
    for job in found.left():
        if job.stage.name == "infer":
            shards.setdefault(str(job.wildcards["id"]), []).append(str(job.wildcards["shard"]))
    return {name: sorted(own) for name, own in sorted(shards.items())}


def stages(found: Plan) -> set[str]:
    return {job.stage.name for job in found.left()}


def test_before_a_decision_all_are_asked_the_first_part_and_nobody_more():
    found = plan()
    assert asked(found) == {f"SF-{s}": ["0"] for s in SCALINGS}
    assert not {"merge", "score"} & stages(found)
    assert {"search", "report", "page"} <= stages(found)
    rungs = [job.message() for job in found.of_stage("search")]
    assert rungs[0].startswith("search by mean: 6 candidates by 1 of 8 parts")
    assert rungs[2].startswith("search by mean: about 2 candidates by 4 of 8 parts")
    assert not [path for path in found.targets() if "experiments" in path.parts]


def test_what_goes_on_is_asked_more_and_the_last_ones_everything():
    decide(0, [2, 3, 5])
    found = plan()
    assert asked(found) == {f"SF-{s}": ["0", "1"] for s in (2, 3, 5)}
    assert found.why("SF-0") == "dropped by the search at 0, on 6 items (1 of 8 parts)"
    decide(1, [2, 5])
    decide(2, [3, 5], {**SEARCHED, "baseline": "SF-4"})  # another search
    assert {*asked(plan())} == {"SF-2", "SF-5"}
    decide(2, [2, 5])
    found = plan()
    every = [str(shard) for shard in range(8)]
    assert asked(found) == {"SF-2": every, "SF-5": every}
    assert {"merge", "score", "report"} <= stages(found)
    assert "search" not in stages(found)
    assert {row.id for row in found.find("report", {}).told().rows} == {"SF-2", "SF-5"}
    assert {one.id for one in found.find("page", {}).told().experiments} == {"SF-2", "SF-5"}
    assert {*found.dropped} == {"SF-0", "SF-1", "SF-3", "SF-4"}


def test_one_plan_sees_decisions_as_they_are_made():
    found = plan()
    assert len(asked(found)) == 6
    decide(0, [2, 3, 5])
    assert len(asked(found)) == 3


def test_an_experiment_that_is_asked_for_by_its_id_is_made_whole():
    decide(0, [2, 3, 5])
    found = plan()
    jobs = found.left(found.results_of("SF-0"))
    assert sum(job.stage.name == "infer" for job in jobs) == 8


def test_a_candidate_that_is_answered_already_is_not_asked_again():
    found = plan()
    planned = found.experiments["SF-1"]
    make(planned.predictions, planned.runtime)
    assert "SF-1" not in asked(plan())
    (rung, *_) = plan().of_stage("search")
    assert planned.predictions in [*rung.inputs]


def test_a_search_decides_no_answer_and_other_candidates_make_another_one():
    plain = plan({**SEARCHED, "search": []})
    found = plan()
    assert {n: e.digest for n, e in plain.experiments.items()} == {
        n: e.digest for n, e in found.experiments.items()
    }
    assert {e.shards for e in found.experiments.values()} == {8}
    assert {e.shards for e in plain.experiments.values()} == {2}
    assert "search" not in plain.report.fingerprint
    assert plain.report.digest != found.report.digest
    digests = {plan_searches(found.context)[0].digest}
    fewer = [{**SEARCHED["experiments"][0], "grid": {"lora_scaling": [1, 2, 3, 4, 5]}}]
    for changed in (
        {"experiments": fewer},
        {"baseline": "SF-4"},
        {"search": {"among": "SF-{lora_scaling}", "parts": 16}},
        {"search": {"among": "SF-{lora_scaling}", "by": "animal-multi"}},
    ):
        digests.add(plan_searches(plan({**SEARCHED, **changed}).context)[0].digest)
    assert len(digests) == 5


def test_a_damaged_decision_is_made_again():
    decide(0, [2, 3, 5])
    (search,) = plan_searches(plan().context)
    search.path(0).write_text("{}")
    assert len(asked(plan())) == 6
