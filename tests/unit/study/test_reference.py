import pytest
import yaml
from jsonschema import Draft202012Validator

from lorascope.study.reference import schema_text, study_reference
from tests.support.basics import ROOT

SCHEMA = ROOT / "workflow/schemas/study.schema.yaml"
STUDIES = [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))]


def test_the_study_reference_in_the_docs_is_the_one_the_schema_gives():
    assert (ROOT / "docs/study.md").read_text() == study_reference(), "run make docs"


def test_the_schema_for_editors_is_the_one_the_code_gives():
    assert SCHEMA.read_text() == schema_text(), "run make docs"


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_editors_find_nothing_wrong_with_a_study_and_something_with_a_wrong_one(study):
    validator = Draft202012Validator(yaml.safe_load(SCHEMA.read_text()))
    content = yaml.safe_load(study.read_text())
    assert [error.message for error in validator.iter_errors(content)] == []
    for wrong in ({"shards": 0}, {"shardss": 2}, {"models": {"a/b": {}}}, {"experiments": []}):
        assert not validator.is_valid(content | wrong)
