"""The item page's own files: what is vendored, what may not be in them, and what they reckon."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.page_cases import APP, files_of
from tests.support.page_studies import ERRORS, Made

VENDOR = APP / "vendor"
OWN = sorted(APP.glob("*.js"))


def test_vendored_files_are_those_of_their_packages() -> None:
    lines = (VENDOR / "VERSIONS").read_text(encoding="utf-8").splitlines()
    listed = [line.split() for line in lines if not line.startswith("#")]
    assert {name for _, name, _, _ in listed} == {
        path.name for path in VENDOR.iterdir() if path.name != "VERSIONS"
    }
    for digest, name, package, licence in listed:
        data = (VENDOR / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest, name
        assert re.fullmatch(r"[\w-]+@\d+\.\d+\.\d+", package)
        assert licence in ("MIT", "BSD-3-Clause")
    assert {package for *_, package, _ in listed} == {
        package for _, name, package, _ in listed if name.startswith("LICENSE")
    }


def test_the_page_names_its_files_and_nothing_else() -> None:
    html = (APP / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'(?:src|href)="app/([^"]+)"', html)
    there = [path for path in APP.rglob("*") if path.suffix in (".js", ".css")]
    assert sorted(named) == sorted(str(path.relative_to(APP)) for path in there)
    assert "default-src 'none'" in html and html.count("<head>") == 1


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_texts_never_become_markup_and_nothing_is_fetched(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    markup = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    network = r"\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|\bimport\b"
    assert not re.findall(f"{markup}|{network}", text)
    assert re.findall(r"https?://[^\"']+", text) in ([], ["http://www.w3.org/2000/svg"])


def test_scripts_can_be_read_by_a_browser_of_today() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in OWN}
    compiled = f"Object.entries({json.dumps(texts)}).map(([, one]) => Boolean(new Function(one)))"
    assert reckoned(compiled) == [True] * len(OWN)


def reckoned(expression: str, made: Made | None = None) -> Any:
    """Return what an expression of the page's scripts is; skip the test where there is no node.

    With a made-up study, ``study`` is it and ``index`` its first dataset.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    names = ("vendor/diff.min", "dom", "data", "study", "filters", "state", "tables", "replies")
    scripts = [(APP / f"{name}.js").read_text(encoding="utf-8") for name in names]
    values = files_of(made) if made else {}
    code = """
        const { scripts, values, expression } = JSON.parse(require("fs").readFileSync(0, "utf8"));
        const run = require("vm").runInThisContext;
        // Libraries are to find a browser, not a module.
        delete globalThis.module;
        delete globalThis.exports;
        scripts.forEach((script) => run(script));
        const app = globalThis.lorascope;
        if (values.study) {
            globalThis.study = new app.Study(values.study);
            globalThis.index = new app.filters.ItemIndex(values["index-0"], "index-0", 200);
        }
        process.stdout.write(JSON.stringify(run(`(() => ${expression})()`)));
    """
    done = subprocess.run(
        [node, "-e", code],
        input=json.dumps({"scripts": scripts, "values": values, "expression": expression}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SELECTED = """["gained", "lost", "both"].map((flip) => {
    const ours = index.side("%s", "%s");
    const pairing = new lorascope.filters.Pairing(study, ours, index.side("SF-8", "%s"));
    const { rows, facets } = lorascope.filters.select(pairing, { flip, category: "%s" });
    return [rows.map((row) => index.ids[row]), facets.flip.get(flip) || 0];
})"""


@pytest.mark.parametrize(
    ("made", "metric"),
    [
        (Made(unjudged=True), ""),
        (Made(metrics=("f1", "em"), categories=("original", "new")), "f1"),
        (Made(measure=ERRORS), ""),
    ],
    ids=["accuracy", "f1", "errors"],
)
def test_flips_are_the_items_that_the_comparison_counts(made: Made, metric: str) -> None:
    category = made.scored(1, metric)
    changes = {
        made.ids[i]: made.change("SF-2", metric, i)
        for i in range(made.items)
        if made.scored(i, metric) == category
    }
    known = [
        [name for name, change in changes.items() if change in of] for of in ([1], [-1], [1, -1])
    ]
    assert all(known)
    found = reckoned(SELECTED % ("SF-2", metric, metric, category), made)
    assert found == [[names, len(names)] for names in known]


def test_what_is_unjudged_turned_neither_right_nor_wrong() -> None:
    made = Made(unjudged=True)
    pairs = list(zip(made.credits[("SF-0", "")], made.credits[("SF-1", "")], strict=True))
    found = reckoned(
        "lorascope.filters.flow(index.side('SF-0', ''), index.side('SF-1', ''), '')", made
    )
    assert sum(found["open"].values()) == sum(before is None for before, _ in pairs)
    assert found["right"]["right"] == pairs.count((1.0, 1.0))
    assert found["right"]["open"] == pairs.count((1.0, None))
    assert found["wrong"]["right"] + found["silent"]["right"] == pairs.count((0.0, 1.0))
    assert sum(sum(to.values()) for to in found.values()) == made.items


def test_a_side_by_side_difference_is_made_of_words() -> None:
    parts = reckoned("lorascope.replies.compared('the small cat sat', 'the big cat sat down')")
    assert "".join(text for kind, text in parts if kind != "removed") == "the small cat sat"
    assert [text.strip() for kind, text in parts if kind == "added"] == ["small"]
    assert [text.strip() for kind, text in parts if kind == "removed"] == ["big", "down"]
    unlike = reckoned("lorascope.replies.compared('a b', 'quite another long answer')")
    assert "removed" not in {kind for kind, _ in unlike}
    chinese = reckoned("lorascope.replies.compared('这是一只猫', '这是一只狗')")
    assert [text for kind, text in chinese if kind == "added"] == ["猫"]
    long = reckoned("lorascope.replies.compared('a '.repeat(9000), 'b '.repeat(9000))")
    assert [kind for kind, _ in long] == ["added"]


FILTERED = (
    ("> 50", 50.1, True),
    ("> 50", 50, False),
    ("<= 0.05", 0.05, True),
    ("=3", 3, True),
    ("< −2", -2.5, True),
    ("> 1e-3", 0.002, True),
    ("> 50", None, False),
    ("7", 72.5, True),
    ("-7", -7.25, True),
)


def test_numbers_are_filtered_by_limits_or_digits() -> None:
    asked = json.dumps([[typed, value] for typed, value, _ in FILTERED])
    found = reckoned(f"{asked}.map((pair) => lorascope.tables.passes(...pair))")
    assert found == [passes for *_, passes in FILTERED]


def test_rows_are_sorted_by_value_or_naturally_and_what_is_empty_comes_last() -> None:
    for direction, sign in (("asc", 1), ("desc", -1)):
        ordered = (
            "[3, null, -1, 10].sort((a, b) => %d * lorascope.tables.order(a, b, 0, 0, 0, '%s'))"
        )
        found = reckoned(ordered % (sign, direction))
        assert found == ([-1, 3, 10, None] if sign == 1 else [10, 3, -1, None])
    names = "['SF-10', 'SF-2', 'SF-0'].sort((a, b) => lorascope.tables.order(a, b))"
    assert reckoned(names) == ["SF-0", "SF-2", "SF-10"]


def test_a_state_survives_its_address() -> None:
    state = {"view": "items", "category": "a & b=c#d", "text": "100 %?", "item": "x/ü"}
    there_and_back = f"lorascope.state.parse(lorascope.state.format({json.dumps(state)}))"
    assert reckoned(there_and_back) == state
    assert reckoned("lorascope.state.parse('#nowhere?x=1').view") == "summary"


def test_numbers_are_written_with_a_real_minus_and_no_negative_nothing() -> None:
    written = "[-1.25, -0.001, 0, Infinity, null, NaN].map((x) => lorascope.dom.fixed(x, 1))"
    assert reckoned(written) in (
        ["−1.3", "0.0", "0.0", "∞", "", ""],
        ["−1.2", "0.0", "0.0", "∞", "", ""],
    )
    signs = "[2, -2, 0.01].map((x) => lorascope.dom.signed({ scale: 'percent' }, x))"
    assert reckoned(signs) == ["+2.0", "−2.0", "0.0"]


def test_the_baseline_is_the_one_that_the_comparison_names() -> None:
    made = Made(scalings=(0, 1, 2))
    assert reckoned("study.baselineOf('SF-0', 'animal-multi').id", made) == "SF-2"
    named = """(() => {
        const raw = structuredClone(study.raw);
        const { columns, rows } = raw.tables.comparison;
        columns.push("baseline");
        rows.forEach((row) => row.push(row[1] === "animal-multi" ? "SF-1" : "published"));
        const other = new lorascope.Study(raw);
        return ["animal-multi", "emotion-multi"].map((c) => (other.baselineOf("SF-0", c) || {}).id);
    })()"""
    assert reckoned(named, made) == ["SF-1", None]


def test_an_item_that_was_not_asked_is_neither_shown_nor_counted() -> None:
    made = Made()
    asked = """(() => {
        const own = index.raw.experiments["SF-0"][""];
        own.status.codes = own.status.codes.map((code, row) => (row < 5 ? -1 : code));
        const sides = ["SF-1", "SF-0"].map((id) => index.side(id, ""));
        const { select, flow, Pairing } = lorascope.filters;
        const steps = flow(sides[1], sides[0], "");
        return [
            select(new Pairing(study, sides[1], sides[0]), {}).rows.length,
            Object.values(steps).flatMap((to) => Object.values(to)).reduce((a, b) => a + b),
        ];
    })()"""
    assert reckoned(asked, made) == [made.items - 5] * 2
