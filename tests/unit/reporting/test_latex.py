"""table.tex: what it says, and that it compiles where there is a LaTeX."""

import re
import shutil
import subprocess
from functools import cache

import pytest

from lorascope.reporting.escaping import escaped
from lorascope.reporting.latex import table
from tests.support.pivots import sources
from tests.support.runs import BITS, TOKENS, WORDS, flags, measured_run, run

TITLE = "100 % of {x} & ~y^2: \\n #1 $5_a <b> × − ä ß é 漢字 \u202e[*]"
ODD = ["a_b-x", "a_b-y", "[z]", "50% & more", "漢"]


@cache
def odd_study():
    """Return a sweep of categories with odd names, two runs of one scaling."""
    runs = [
        run(f"SF--{n}", {name: flags(right, 40) for name in ODD}, scaling=-float(n))
        for n, right in ((0, 10), (1, 30), (2, 39))
    ]
    again = run(
        "SF--2-1", {name: flags(20, 40) for name in ODD}, base="SF--2", run_num=1, scaling=-2.0
    )
    return sources([*runs, again], "SF--0")


@cache
def large_study():
    names = [f"task_{i}-{metric}" for i in range(6) for metric in ("acc", "norm")]
    runs = [run(f"E{n}", dict.fromkeys(names, flags(n, 50))) for n in range(45)]
    return sources(runs, published=dict.fromkeys(names, 50))


@cache
def measured_study():
    measures = {"speech-wer": WORDS, "text-ppl": TOKENS, "text-bits": BITS}
    runs = [
        measured_run(name, measures, {c: [(credit, 2.0)] * 9 for c in measures})
        for name, credit in (("A", 1.0), ("B", -0.5))
    ]
    return sources(runs, "A")


STUDIES = {"odd": odd_study, "large": large_study, "measured": measured_study}


@pytest.fixture(scope="module", params=STUDIES)
def made(request):
    return table(TITLE, "a.study", STUDIES[request.param]())


def rows(text):
    """Return the rows of each tabular, as the numbers of their cells, and of its columns."""
    found = []
    pattern = r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}"
    for sides, body in re.findall(pattern, text, re.DOTALL):
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        spans = [sum(int(n) - 1 for n in re.findall(r"multicolumn\{(\d+)\}", x)) for x in lines]
        cells = [len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines]
        found.append((len(sides), [a + b for a, b in zip(cells, spans, strict=True)]))
    return found


def test_every_row_has_a_cell_for_every_column(made):
    tabulars = rows(made)
    assert tabulars
    for columns, cells in tabulars:
        assert set(cells) == {columns}
        assert 2 < len(cells) <= 40 + 4


def test_environments_and_braces_are_balanced_and_nothing_is_left_to_be_escaped(made):
    assert made.isascii()
    body = made[made.index(r"\providecommand") :]
    assert re.findall(r"\\begin\{(.*?)\}", body) and (
        body.count(r"\begin{tabular}") == body.count(r"\end{tabular}")
    )
    assert body.count(r"\begin{\lorascopefloat}") == body.count(r"\end{\lorascopefloat}")
    plain = re.sub(r"\\[\\{}_%&#$]", "", body)
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    for line in plain.splitlines():
        assert "%" not in line
        assert "#" not in line or line.startswith(r"\providecommand{\lorascopechar}")
        outside = re.sub(r"\$[^$]*\$", "", line)
        assert "^" not in outside
        assert "_" not in outside
        assert not re.match(r"[\[*]", line)


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("SF--1", "SF-{}-1"),
        ("a\\b", r"a\textbackslash{}b"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("3 × −1", r"3 $\times$ $-$1"),
        ("ä ß ñ Å", r"\"{a} \ss{} \~{n} \r{A}"),
        ("a\u0308", r"\"{a}"),
        ("漢", r"\lorascopechar{6F22}{28450}"),
        ("[x] *", "{[}x{]} {*}"),
        ("two\n\tlines\u200b\x00", "two lines"),
    ],
)
def test_texts_are_escaped(text, latex):
    assert escaped(text) == latex


def test_it_says_what_is_best_marked_and_of_how_many_items():
    text = table("T", "s", odd_study())
    assert r"\providecommand{\lorascopelabel}{tab:s}" in text
    assert r"Accuracy in percent (higher is better, $\uparrow$)." in text
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert lines[2] == r"$n$ & 40 & 40 & 40 & 40 \\"
    assert lines[3].startswith("0 (baseline) & 25.0 & 25.0 ")
    # the mean of two runs: 39 and 20 of 40
    assert lines[4].startswith(r"$-$2 (2 runs) & 73.8\,$\pm$\,33.6\rlap{$^{*}$} & 73.8")
    assert lines[5].startswith(r"$-$1 & \textbf{75.0}\rlap{$^{*}$} & \textbf{75.0}")
    assert "$p < 0.05$ after Holm's correction" in text


def test_measures_have_their_direction_and_unit():
    text = table("T", "s", measured_study())
    assert r"word error rate in percent (lower is better, $\downarrow$)" in text
    assert r"\textbf{$-$25.0}" in text
    assert r"wer $\downarrow$" in text


def test_a_large_study_is_in_parts_of_one_number():
    text = table("T", "s", large_study())
    floats = text.count(r"\begin{\lorascopefloat}")
    assert floats == 4
    assert text.count(r"\thetable: \lorascopecaption{} (continued)") == floats - 1
    assert text.count(r"\label{") == text.count(r"\caption{") == 1
    assert "published (baseline) & 50.0" in text


# ------------------------------------------------------------------------------- a real LaTeX

ARTICLE = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
\newcommand{\lorascopecaption}{My own.}
\newcommand{\lorascopelabel}{tab:mine}
\input{one}
\input{two}
See Tables \ref{tab:mine} and \ref{tab:a.study}.
\end{document}
"""


def compiled(folder, name):
    """Compile a document in a folder; return what LaTeX said."""
    program = shutil.which("pdflatex") or shutil.which("tectonic")
    if program is None:
        pytest.skip("no pdflatex and no tectonic: Debian's texlive-latex-recommended has one")
    options = ["-interaction=nonstopmode", "-halt-on-error"] if "pdflatex" in program else []
    for _ in range(2 if options else 1):
        done = subprocess.run(
            [program, *options, name], cwd=folder, capture_output=True, check=False, timeout=100
        )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-2000:]
    assert (folder / name).with_suffix(".pdf").stat().st_size > 1000
    return said


def test_it_compiles_by_itself(made, tmp_path):
    (tmp_path / "one.tex").write_text(made)
    compiled(tmp_path, "one.tex")


def test_it_compiles_in_an_article_which_may_give_it_caption_and_label(tmp_path):
    (tmp_path / "article.tex").write_text(ARTICLE)
    (tmp_path / "one.tex").write_text(table(TITLE, "s", measured_study()))
    (tmp_path / "two.tex").write_text(table(TITLE, "a.study", odd_study()))
    said = compiled(tmp_path, "article.tex")
    assert "undefined" not in said
    assert "Overfull" not in said
    aux = (tmp_path / "article.aux").read_text()
    assert "newlabel{tab:mine}{{1}" in aux
    assert "newlabel{tab:a.study}{{2}" in aux
    assert "My own." in aux
