"""The scorer of an experiment as a study writes it: a name, or a mapping with keys of its own."""

import pytest
import yaml
from jsonschema import Draft202012Validator

from lorascope.errors import UserError
from lorascope.study.parsing import parse_study
from lorascope.study.reference import study_reference, study_schema
from lorascope.study.registry import SCORERS, default_scorer
from tests.support.basics import printed

STUDY = yaml.safe_load("""
study: example
models:
  llama: {family: hf_text, model: nowhere}
datasets:
  squad: {benchmark: squad, source: nowhere}
experiments:
  - {id: A, model: llama, dataset: squad}
baseline: A
""")


def written(scorer):
    return STUDY | {"experiments": [STUDY["experiments"][0] | {"scorer": scorer}]}


def parsed(scorer):
    return parse_study(written(scorer), "x.yaml").experiments["A"]


def refused(scorer) -> str:
    with pytest.raises(UserError) as told:
        parsed(scorer)
    return str(told.value).removeprefix("x.yaml: experiments[0].scorer")


@pytest.mark.parametrize(
    ("answers", "mode", "name"),
    [
        ("options", "generate", "choice"),
        ("texts", "generate", "official"),
        ("options", "choose", "likelihood"),
        ("texts", "loss", "perplexity"),
        ("nothing", "loss", "perplexity"),
        ("task", None, "lm_eval"),
    ],
)
def test_the_first_that_fits_and_needs_no_keys_is_the_default(answers, mode, name):
    assert default_scorer(answers, mode) == name


@pytest.mark.parametrize(
    ("scorer", "name", "keys"),
    [
        ("f1", "f1", {}),
        ({"name": "f1"}, "f1", {}),
        ("number", "number", {"extract": "last", "tolerance": 0, "relative_tolerance": 0}),
        ({"name": "number", "tolerance": "1e-2"}, "number",
         {"extract": "last", "tolerance": 0.01, "relative_tolerance": 0}),
        ({"name": "exact", "normalise": ["whitespace", "lower"]}, "exact",
         {"normalise": ["lower", "whitespace"]}),
        ({"name": "file", "file": "mine.py"}, "file", {"file": "mine.py"}),
        ({"file": "mine.py"}, "file", {"file": "mine.py"}),
    ],
)  # fmt: skip
def test_a_scorer_has_its_keys_with_every_default(scorer, name, keys):
    experiment = parsed(scorer)
    assert (experiment.scorer, experiment.scoring) == (name, keys)
    again = parse_study(parse_study(written(scorer), "x.yaml").resolved(), "x.yaml")
    assert again.experiments["A"].scoring == keys


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        ("nmber", ": 'nmber' is not one of choice, official,"),
        ({"name": "number", "tolerence": 1}, ": unknown key 'tolerence'; did you mean tolerance?"),
        ({"name": "f1", "tolerance": 1}, ": unknown key 'tolerance'; known keys: name"),
        ({"tolerance": 1}, ": key 'name' is missing"),
        ({"name": 3}, ": 3 is not one of choice"),
        ({"name": "number", "tolerance": -1}, ".tolerance: -1 is not valid here; it has to be at"),
        (
            {"name": "number", "tolerance": 1e10},
            ".tolerance: 10000000000 is not valid here; it has",
        ),
        ({"name": "number", "extract": "best"}, ".extract: 'best' is not one of last, first, str"),
        ({"name": "rouge", "kinds": []}, ".kinds: must not be empty"),
        ({"name": "rouge", "kinds": ["rouge9"]}, ".kinds[0]: 'rouge9' is not one of rouge1"),
        ({"name": "wer", "by": ["word", "word"]}, ".by: 'word' comes twice; remove one"),
        ({"name": "bleu", "tokenize": "ja"}, ".tokenize: 'ja' is not one of 13a"),
        ({"name": "chrf", "word_order": 3}, ".word_order: 3 is not valid here; it has to be"),
        ("regex", ": regex needs keys of its own; write {name: regex, pattern: ...}"),
        ("file", ": file needs keys of its own; write {name: file, file: ...}"),
        ({"name": "file"}, ": key 'file' is missing"),
        ({"file": ""}, ".file: must not be empty"),
        ({"file": 3}, ".file: 3 is not valid here; expected text"),
        ({"file": "mine.py", "fil": 1}, ": unknown key 'fil'; did you mean file?"),
        ({"regex": "a"}, ": key 'name' is missing"),
    ],
)
def test_what_is_no_scorer_names_the_key_and_the_remedy(scorer, message):
    assert refused(scorer).startswith(message)


def test_a_scorer_of_other_answers_is_refused_with_those_that_fit():
    told = refused({"name": "likelihood"})
    assert "scorer 'likelihood' does not judge what mode generate makes of 'squad'; use off" in told


def test_a_scorer_can_be_in_a_grid_and_name_experiments():
    """Here with f1 and rouge, whose categories differ; the baseline has to have both."""
    study = STUDY | {
        "experiments": [
            {"id": "A-{scorer}", "model": "llama", "dataset": "squad",
             "grid": {"scorer": ["f1", {"name": "rouge", "stemmer": True}]}},
        ],
        "baseline": ["A-f1", "A-rouge"],
    }  # fmt: skip
    assert [*parse_study(study, "x.yaml").experiments] == ["A-f1", "A-rouge"]


def test_one_category_judged_under_two_keys_is_refused_with_the_keys():
    entry = STUDY["experiments"][0] | {
        "id": "A-{tolerance}",
        "scorer": {"name": "number"},
        "grid": {"scorer.tolerance": [0, 0.5]},
    }
    with pytest.raises(UserError) as told:
        parse_study(STUDY | {"experiments": [entry], "baseline": "A-0"}, "x.yaml")
    assert "experiments A-0 and A-0.5: category 'squad' comes from" in str(told.value)
    assert '"tolerance": 0.5' in str(told.value)


def test_metrics_are_the_categories_that_a_study_knows():
    gate = {"of": "A", "metric": "squad-rouge2", "at_least": 0.9}
    assert parse_study(written("rouge") | {"retain": gate}, "x.yaml").retain
    with pytest.raises(UserError, match=r"A has no category 'squad-rouge2'; it has squad-rouge1"):
        parse_study(written({"name": "rouge", "kinds": ["rouge1"]}) | {"retain": gate}, "x.yaml")


def test_the_metrics_of_a_file_are_known_where_it_says_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gate = {"of": "A", "metric": "squad-style", "at_least": 0.9}
    study = written({"file": "mine.py"}) | {"retain": gate}
    code = "def score_item(response, item):\n    return {'style': 1}\n"
    for text in ("", "METRICS = ('style',)\n"):
        (tmp_path / "mine.py").write_text(text + code)
        assert parse_study(study, "x.yaml")
    (tmp_path / "mine.py").write_text("METRICS = ('length',)\n" + code)
    with pytest.raises(UserError, match="A has no category 'squad-style'; it has squad-length"):
        parse_study(study, "x.yaml")
    (tmp_path / "mine.py").write_text("def score_it(): pass")
    with pytest.raises(UserError, match=r"mine.py: defines no score_item\(response, item\)"):
        parse_study(study, "x.yaml")


# --------------------------------------------------------------------------- docs and editors


def test_every_key_of_a_scorer_stands_in_the_reference():
    text = study_reference()
    for name in SCORERS:
        keys = SCORERS[name].settings.model_fields if SCORERS[name].settings else {}
        assert (f"### scorer {name}\n" in text) == bool(keys)
        part = text.partition(f"### scorer {name}\n")[2].partition("\n### ")[0]
        assert all(f"| `{key}` |" in part for key in keys)


@pytest.mark.parametrize(
    ("scorer", "valid"),
    [
        ("f1", True),
        ({"name": "f1"}, True),
        ({"name": "number", "tolerance": 1}, True),
        ({"file": "mine.py"}, True),
        ({"name": "file", "file": "mine.py"}, True),
        (None, True),
        ("regex", False),
        ("nmber", False),
        ({"name": "number", "tolerence": 1}, False),
        ({"name": "f1", "tolerance": 1}, False),
        ({"tolerance": 1}, False),
        ({"name": "regex"}, False),
    ],
)
def test_editors_know_a_scorer_and_its_keys(scorer, valid):
    assert Draft202012Validator(study_schema()).is_valid(written(scorer)) == valid


def test_planning_a_study_with_any_scorer_loads_no_library_of_metrics():
    code = (
        "import sys; from lorascope.study.parsing import parse_study; from tests.unit.study import "
        "test_scorers as t; [parse_study(t.written(n), 'x') for n in "
        "('exact', 'number', 'f1', 'rouge', 'bleu', 'chrf', 'wer', 'cer')]; "
        "print([m for m in ('torch', 'transformers', 'jiwer', 'sacrebleu', 'rouge_score', 'nltk', "
        "'regex', 'rapidfuzz') if m in sys.modules])"
    )
    assert printed(code) == "[]\n"
