"""The forms of a baseline, what they mean for each experiment, and what is refused."""

import copy
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from lorascope.errors import UserError
from lorascope.planning.plan import load_plan
from lorascope.study.baseline import references
from lorascope.study.parsing import parse_study, read_study
from lorascope.study.reference import study_schema
from tests.support.basics import ROOT

SALMONN = {"family": "salmonn", "llm": "l", "whisper": "w", "beats": "b", "checkpoint": "c"}
LLAMA = {"family": "hf_text", "model": "m"}
STUDY: dict[str, Any] = {
    "study": "several",
    "models": {"llama": LLAMA, "qwen": LLAMA},
    "adapters": {"l": {"model": "llama", "source": "l"}, "q": {"model": "qwen", "source": "q"}},
    "datasets": {"squad": {"benchmark": "squad", "source": "s"}},
    "experiments": [
        {"id": "L", "model": "llama", "dataset": "squad"},
        {"id": "Q", "model": "qwen", "dataset": "squad"},
        {"id": "L-2", "model": "llama", "dataset": "squad", "adapter": "l"},
        {"id": "Q-2", "model": "qwen", "dataset": "squad", "adapter": "q"},
    ],
    "baseline": "own",
}
TABLE = {"squad-f1": 60.5, "squad-em": 44}


def parsed(baseline: Any, change: Any = (), **more: Any):
    """Return the study; ``change`` is added to its last experiment."""
    config = copy.deepcopy(STUDY) | {"baseline": baseline} | more
    config["experiments"][-1] |= dict(change)
    return parse_study(config, "s.yaml")


def pairs(study) -> dict[str, Any]:
    """Return experiment -> what it is compared with."""
    return {
        run: list(group.experiments) or group.published.accuracies
        for group in references(study)
        for run in group.of
    }


def refused(baseline: Any, change: Any = (), **more: Any) -> str:
    with pytest.raises(UserError) as caught:
        parsed(baseline, change, **more)
    file, _, message = str(caught.value).partition(": ")
    assert file == "s.yaml"
    assert "\n" not in message
    return message


EACH = {"L": ["L"], "Q": ["Q"], "L-2": ["L"], "Q-2": ["Q"]}


@pytest.mark.parametrize(
    ("baseline", "meaning"),
    [
        ("L", {run: ["L"] for run in EACH}),
        (["Q"], {run: ["Q"] for run in EACH}),
        ({"qwen": "Q", "llama": ["L"]}, EACH),
        ("own", EACH),
        (TABLE, dict.fromkeys(EACH, TABLE)),
        ({"accuracies": TABLE}, dict.fromkeys(EACH, TABLE)),
        ({"accuracies": TABLE, "scorer": "x", "reproduction": "L"}, dict.fromkeys(EACH, TABLE)),
        ({"llama": "L", "qwen": TABLE}, {**EACH, "Q": TABLE, "Q-2": TABLE}),
        ({"llama": {"accuracies": TABLE}, "qwen": "Q"}, {**EACH, "L": TABLE, "L-2": TABLE}),
    ],
)
def test_every_form_means_something_for_each_experiment(baseline, meaning):
    study = parsed(baseline)
    assert pairs(study) == meaning
    assert pairs(parse_study(study.resolved(), "again.yaml")) == meaning
    written = yaml.safe_load(yaml.safe_dump(STUDY | {"baseline": baseline}))
    assert list(Draft202012Validator(study_schema()).iter_errors(written)) == []


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ({"llama": "L", "qwn": "Q"}, "baseline: no model is called 'qwn'; did you mean qwen?"),
        ({"llama": "L", "x": "Q"}, "baseline: no model is called 'x'; known: llama, qwen"),
        ({"llama": "L"},
         "baseline: has nothing for the model qwen of the experiment Q; add qwen: <ID of an "
         "experiment of that model>"),
        ({"llama": "L", "qwen": "L-2"},
         "baseline.qwen: L-2 is an experiment of the model llama; name one of qwen"),
        ({"llama": "L", "qwen": "Qq"}, "baseline.qwen: no experiment has the ID 'Qq'; did you "),
        ({"llama": "L", "qwen": ["Q", "Q-2"]},
         "baseline.qwen: Q and Q-2 both have the category squad-f1; name one of them"),
        ({"llama": "L", "qwen": ["Q", "Q"]}, "baseline.qwen: 'Q' comes twice; remove one"),
        ({"llama": "L", "qwen": []}, "baseline.qwen: must not be empty"),
        ({"llama": "L", "qwen": None}, "baseline.qwen: None is not valid here; expected an ID,"),
        ({"llama": "L", "qwen": 3}, "baseline.qwen: 3 is not valid here; expected an ID, a list"),
        ({"llama": 3, "qwen": 4}, "baseline.llama: is a model, and no category that has an acc"),
        ({"llama": "L", "qwen": {"squad-f1": 1}},
         "baseline.qwen: has nothing for squad-em of the experiment Q; give accuracies"),
        ({"llama": "L", "qwen": {"acuracies": TABLE}},
         "baseline.qwen: unknown key 'acuracies'; did you mean accuracies?"),
        ({"acuracies": TABLE, "scorer": "x"},
         "baseline: unknown key 'acuracies'; did you mean accuracies?"),
        ({"scorer": "x"}, "baseline: key 'accuracies' is missing"),
        ({"accuracies": {"squad-f1": 101}}, "baseline.accuracies.squad-f1: 101 is not valid here"),
        ({"accuracies": TABLE, "reproduction": "Z"}, "baseline.reproduction: no experiment has"),
        ({"llama": "L", "qwen": {"accuracies": TABLE, "reproduction": "L"}},
         "baseline.qwen.reproduction: L is an experiment of the model llama; name one of qwen"),
        (7, "baseline: 7 is not valid here; expected an ID, a list of IDs, or a table of acc"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_baseline_is_refused(baseline, message):
    assert refused(baseline).startswith(message)


def test_a_word_or_key_of_two_meanings_is_refused():
    named = [{"id": "own", "model": "llama", "dataset": "squad"}]
    assert refused("own", experiments=named) == (
        "baseline: own is the ID of an experiment, and the word for each experiment without its "
        "adapter; write [own] for the experiment, or rename it"
    )
    assert pairs(parsed(["own"], experiments=named)) == {"own": ["own"]}
    one = {"models": {"squad-em": LLAMA}, "adapters": {}}
    one["experiments"] = [{"id": "A", "model": "squad-em", "dataset": "squad"}]
    for baseline in ({"squad-em": "A"}, {"squad-em": 1, "squad-f1": 2}):
        assert refused(baseline, **one) == (
            "baseline.squad-em: is the name of a model and of a category; rename the model, which "
            "changes no answer"
        )


def test_an_experiment_that_no_table_shows_needs_no_baseline():
    hidden = [e | {"table": e["model"] == "llama"} for e in STUDY["experiments"]]
    assert pairs(parsed({"llama": "L"}, experiments=hidden)) == {"L": ["L"], "L-2": ["L"]}
    lonely = [*hidden[:1], *hidden[2:]]
    assert pairs(parsed("own", experiments=lonely)) == {"L": ["L"], "L-2": ["L"]}


# -------------------------------------------------------------------------------------- own


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        ({"generation": {"max_new_tokens": 5}}, "dataset, generation.max_new_tokens"),
        ({"batch_size": 3, "scorer": "mindformers"}, "dataset, scorer, batch_size"),
        ({"seed": 1}, "dataset, seed"),
    ],
)
def test_own_asks_for_equal_settings_and_says_what_differs(change, differing):
    squad = STUDY["datasets"]["squad"]
    datasets = {"squad": squad, "other": {**squad, "category": "other"}}
    assert refused("own", change | {"dataset": "other"}, datasets=datasets) == (
        f"baseline: own: no experiment is Q-2 without its adapter (Q differs in {differing}); add "
        "one that differs in lora_scaling (0) alone, or name the baselines by their IDs"
    )


def test_own_refuses_several_and_names_them():
    twin = {"id": "Q-10", "model": "qwen", "dataset": "squad", "lora_scaling": 0}
    assert refused("own", experiments=[*STUDY["experiments"], twin]) == (
        "baseline: own: Q and Q-10 are both Q without its adapter; remove one, or name the "
        "baselines by their IDs"
    )


def test_own_of_a_model_that_brings_its_adapter_is_scaling_0():
    clips = {"benchmark": "sakura", "source": "x", "tracks": ["animal"]}
    grid = {"lora_scaling": [0, 4], "second_per_window": [0.3, 0.5]}
    template = {"id": "S{lora_scaling}-W{second_per_window}", "model": "s", "dataset": "clips"}
    study = parsed(
        "own",
        models={"s": SALMONN},
        adapters={},
        datasets={"clips": clips},
        experiments=[{**template, "grid": grid}],
    )
    assert pairs(study) == {
        "S0-W0.3": ["S0-W0.3"],
        "S4-W0.3": ["S0-W0.3"],
        "S0-W0.5": ["S0-W0.5"],
        "S4-W0.5": ["S0-W0.5"],
    }


# ------------------------------------------------------------------------------ repeated runs


@pytest.mark.parametrize(
    ("generation", "reason"),
    [
        ({}, "generation.do_sample is false"),
        ({"num_beams": 4}, "generation.do_sample is false"),
        ({"do_sample": True, "top_k": 1}, "generation.top_k is 1"),
    ],
)
def test_runs_that_would_repeat_their_answers_are_refused(generation, reason):
    remedy = "sample (generation.do_sample: true, top_k other than 1), or ask for one"
    assert refused("own", {"runs": 3, "generation": generation}) == (
        f"experiments[3].runs: 3 runs of Q-2 would repeat the same answers, as {reason}; {remedy}"
    )
    grid = {"id": "Q-{seed}", "grid": {"seed": [1, 2]}, "generation": generation}
    assert refused("own", grid) == (
        f"experiments[3].grid.seed: Q-{{seed}} under the seeds 1, 2 would repeat the same "
        f"answers, as {reason}; {remedy}"
    )


def test_sampled_runs_and_seeds_are_as_many_experiments():
    sampled = {"generation": {"do_sample": True}}
    assert len(parsed("L", {"runs": 3, **sampled}).experiments) == 6
    grid = {"id": "Q-{seed}", "grid": {"seed": [1, 2]}, **sampled}
    assert len(parsed("L", grid).experiments) == 5
    assert len(parsed("L", {"id": "Q-{seed}", "grid": {"seed": [1]}}).experiments) == 4


# --------------------------------------------------------------------------- shipped studies

PUBLISHED = [path for path in (ROOT / "studies").glob("*.yaml") if "accuracies" in path.read_text()]


def test_the_studies_of_salmonn_have_published_baselines():
    assert {path.stem for path in PUBLISHED} == {
        path.stem for path in (ROOT / "studies").glob("salmonn*.yaml")
    }


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_study_with_a_published_baseline_runs_what_was_published(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = load_plan(read_study(path), str(path))
    (group,) = plan.report.fingerprint["compared"]
    assert group["published"]["scorer"]
    reproduction = plan.experiments[group["published"]["reproduction"]]
    assert reproduction.fingerprint["lora_scaling"] == 4
    assert reproduction.id in group["of"]
    assert plan.study.datasets[reproduction.experiment.dataset].audio.type == "source"
    assert sum(group["published"]["accuracies"].values()) == pytest.approx(310.4)


# ------------------------------------------------------------------------------------- counts


def test_published_counts_stand_in_every_form_of_a_table():
    table = {"squad-f1": 60.5, "squad-em": {"correct": 44, "total": 100}}
    for baseline in (
        table,
        {"accuracies": table},
        {"llama": table, "qwen": "Q"},
        {"llama": {"accuracies": table}, "qwen": "Q"},
    ):
        study = parsed(baseline)
        (group,) = (group for group in references(study) if group.published)
        assert group.published.model_dump()["accuracies"] == table
        assert pairs(parse_study(study.resolved(), "again.yaml")) == pairs(study)
    wrong = {"squad-f1": 60.5, "squad-em": {"correct": 101, "total": 100}}
    assert refused({"llama": "L", "qwen": wrong}) == (
        "baseline.qwen.squad-em: 101 correct of 100; correct is at most total"
    )
    counts = {"squad-f1": {"correct": 3, "of": 5}, "squad-em": {"correct": 3, "total": 5}}
    assert refused(counts).startswith("baseline.squad-f1: unknown key 'of'; known keys: ")
