import json

from lorascope.reporting.page import (
    generation_section,
    page,
    retention_section,
    sources_notes,
    sources_section,
    values_section,
)
from lorascope.reporting.tables import accuracy_table
from lorascope.reporting.verdicts import retention_table
from tests.support.runs import flags, run, text_run

SETTINGS = {"max_length": 227, "max_new_tokens": 20, "min_new_tokens": None, "do_sample": False}
TEXT = json.dumps(SETTINGS)


def test_settings_print_in_the_form_of_the_published_log():
    scored = [text_run("BASE", flags(913, 2067), flags(913, 2067))]
    assert (
        generation_section({"BASE": TEXT}, scored)
        == """\
## Generation settings

max_length is that of the last prompt.

BASE

```
Generation Config is: {
  'max_length': 227,
  'max_new_tokens': 20,
  'min_new_tokens': None,
  'do_sample': False
}
```

- BASE: F1 score: 44.17029511369134, Em score: 44.17029511369134, total_count: 2067"""
    )


def test_sets_that_differ_in_the_length_of_prompts_only_are_one():
    scored = [text_run(name, [0.5, 1], [0, 1]) for name in "ABC"]
    generation = {
        "A": TEXT,
        "B": json.dumps({**SETTINGS, "do_sample": True}),
        "C": json.dumps({**SETTINGS, "max_length": 9}),
    }
    text = generation_section(generation, scored)
    assert text.count("Generation Config is") == 2
    assert "A, C\n" in text
    assert "'max_length': 9," not in text
    line = "F1 score: 75.0, Em score: 50.0, total_count: 2"
    assert [text.count(f"- {name}: {line}") for name in "ABC"] == [1, 1, 1]


def test_settings_of_a_benchmark_without_f1_are_folded():
    scored = [run(name, {"x-single": [True]}) for name in "AB"]
    text = generation_section({"A": TEXT, "B": TEXT}, scored)
    assert "<details><summary>all experiments</summary>\n\n```\nGeneration" in text
    assert text.endswith("```\n\n</details>")
    assert "F1 score" not in text


def test_retention_says_what_the_point_estimate_would_have_let_pass():
    entry = {"of": "BASE", "metric": "squad-em", "at_least": 0.9, "confidence": 0.95}
    base = text_run("BASE", [1] * 100, flags(60, 100))
    runs = [base, text_run("A", [1] * 100, flags(55, 100)), text_run("B", [1] * 100, [0] * 100)]
    text = retention_section(retention_table(runs, [entry]))
    assert (
        "- squad-em of BASE, at least 0.9 at 95 % confidence: 0 pass, 1 fail, 1 undecided; "
        "of 2, 0 would pass if each were the only one, and 1 by the point estimate alone.\n"
    ) in text
    assert "| undecided | undecided | pass " in " ".join(text.split())


def test_retention_of_nothing_says_so():
    entry = {"of": "BASE", "metric": "squad-em", "at_least": 0.9, "confidence": 0.95}
    runs = [text_run("BASE", [0], [0]), text_run("A", [1], [1])]
    text = retention_section(retention_table(runs, [entry]))
    assert "- squad-em of BASE: its score is 0, so there is nothing to retain." in text


def test_warnings_and_values_begin_the_page_and_the_chart_is_below_the_replies():
    planned = {"description": "What it asks.", "baseline": ["A", "B"]}
    table = accuracy_table([run("A", {"x": flags(1, 2)})], {"x": 50})
    values = values_section(planned, table, ["Beside."], ["| table |", "A mark."])
    text = page(
        planned, "A\nTitle", ["Rows differ."], [values, "## Replies", "## One", "", "## Two"]
    )
    marks = ["# A Title\n", "What it asks.", "**Warning.** Rows differ.", "## Accuracy"]
    marks += ["points against A, B.", "Beside.", "| table |", "A mark.", "*macro average*"]
    marks += ["## Replies", "](accuracy.svg)", "## One\n\n## Two\n"]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_sources_are_named_below_and_warned_of_above_where_they_differ():
    commits = {"lab/a@main": ["a1"], "lab/b@main": ["b1", "b2"]}
    said = "Sources: lab/a@main at commit a1; lab/b@main at commit b1 and b2."
    assert sources_section(commits) == said
    assert [*sources_notes(commits)] == ["Rows were made of different commits of lab/b@main."]
    assert sources_section({}) == ""
