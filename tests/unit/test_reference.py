from conftest import ROOT

from lorascope.reference import study_reference


def test_the_study_reference_in_the_docs_is_the_one_the_schema_gives():
    assert (ROOT / "docs/study.md").read_text() == study_reference(), "run make docs"
