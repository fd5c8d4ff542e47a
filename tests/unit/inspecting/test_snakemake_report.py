"""Which files Snakemake's report shows, and how; what its command line asks for."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils.core import publish_parts
from jinja2 import Environment
from snakemake.report import Category

from lorascope.inspecting import snakemake_report as shown
from lorascope.planning.report import FILES, LIKELIHOODS, LOSS, RETENTION
from tests.support.basics import ROOT

RULES = ROOT / "workflow/rules"
ACCURACY = """\
experiment,base,run_num,category,accuracy,accuracy_delta
S_1_,S_1_,0,`a|b`*,66.66666666666667,-3.3333
1.,1.,0,".. raw:: html, <b>",,
0.50,0.50,0,(a) - x,100.0,0.0
"""


@pytest.mark.parametrize(
    "name", [*FILES, RETENTION, LIKELIHOODS, *LOSS, "manifest-0123456789ab.json"]
)
def test_every_file_of_a_report_is_shown_or_said_not_to_be(name: str) -> None:
    found = shown.shown_as(Path("results/reports/x", name))
    assert (found is None) == (name in shown.UNSHOWN)


@pytest.mark.parametrize("found", [*shown.SHOWN.values(), shown.PAGE], ids=lambda found: found.name)
def test_every_caption_is_there_and_sound(found: shown.Shown) -> None:
    text = (RULES / found.caption).read_text()
    html = publish_parts(text, writer_name="html")["body"]
    assert "system-message" not in html
    assert len(html) > 80


def described(text: str, **config: str) -> str:
    """Return the description as Snakemake makes it of a report with one table."""
    path = SimpleNamespace(read_text=lambda encoding: text)
    file = SimpleNamespace(target="accuracy.csv", path=path)
    part = Category("zoo")
    template = (ROOT / "workflow/report/workflow.rst").read_text()
    env = Environment(trim_blocks=True, lstrip_blocks=True)
    found = env.from_string(template).render(
        snakemake=SimpleNamespace(config=config), categories={part: {part: [file]}}, files=[file]
    )
    html: str = publish_parts(found, writer_name="html")["html_body"]
    assert "system-message" not in html
    return html


def cells(html: str) -> list[str]:
    found = re.findall(r"<td>(.*?)</td>", html, re.DOTALL)
    return [re.sub("<.*?>|&nbsp;", "", cell) for cell in found]


def test_the_table_is_shown_as_it_is_whatever_its_names_mean_in_markup() -> None:
    html = described(ACCURACY, study="zoo", description="*x_ `y` </script> |z|")
    assert cells(html) == [
        *("S_1_", "S_1_", "0", "`a|b`*", "66.67", "-3.33"),
        *("1.", "1.", "0", ".. raw:: html, &lt;b&gt;", "", ""),
        *("0.50", "0.50", "0", "(a) - x", "100.0", "0.0"),
    ]
    assert "*x_ `y` &lt;/script&gt; |z|" in html
    assert "rows;" not in html


def test_a_long_table_says_how_much_of_it_is_shown() -> None:
    head, *rows = ACCURACY.splitlines()
    html = described("\n".join([head, *rows[:1] * 61]))
    assert len(cells(html)) == 60 * 6
    assert "The first 60 of 61 rows" in html


def test_a_report_without_a_table_is_described() -> None:
    assert "lorascope" in described("")


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["-n"], None),
        (["--report-stylesheet", "x.css"], None),
        (["--report", "x.zip"], "x.zip"),
        (["--report=x.html", "-n"], "x.html"),
        (["--report"], "report.html"),
        (["--report", "--cores", "1"], "report.html"),
        (["--report", "x.zip", "--report-after-run"], "x.zip"),
    ],
)
def test_what_is_asked_for_is_read_as_snakemake_reads_it(arguments, asked) -> None:
    assert shown.asked_report(["snakemake", *arguments]) == asked
