"""What a report says of its adapters: warnings, table, section and heat map."""

import hashlib
import math
import re
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from lorascope.reporting import heat_map as drawing
from lorascope.reporting.audits import (
    AUDIT_COLUMNS,
    Audited,
    audit_notes,
    audit_section,
    audits_table,
)
from lorascope.reporting.heat_map import heat_map
from tests.support.basics import ROOT


def row(module: str, layer: int | None, share: float | None, **own: Any) -> dict[str, Any]:
    kind = module.partition(f".{layer}.")[2] if layer is not None else module
    stack = module.partition(f".{layer}.")[0] if layer is not None else ""
    norm = own.get("norm", 2.0)
    return {
        "module": module,
        "stack": stack,
        "layer": layer,
        "kind": kind,
        **{"rank": 4, "alpha": 8.0, "scaling": 2.0, "inputs": 8, "outputs": 8, "parameters": 64},
        "norm": norm,
        "weight_norm": None if share is None else norm / share,
        "share": share,
        "stable_rank": 1.5,
        "used_rank": 4,
        "singular_values": [1.5, 0.5],
        "nonfinite": 0,
        "is_zero": False,
        "intruders": None,
        "probes": [float(ord(c)) for c in hashlib.sha256(module.encode()).hexdigest()[:8]],
        **own,
    }


def audited(name: str, rows: list[dict[str, Any]], kind: str = "same", **own: Any) -> Audited:
    found = {
        "base": {"named": "lab/base", "kind": kind, "words": f"names 'lab/base' ({kind})"},
        **{"modules": len(rows), "layers": 2, "parameters": 128, "ranks": [4], "scalings": [2.0]},
        **{"norm": 3.0, "share": 0.05, "of_known_weight": len(rows), "intruders": None, "odd": []},
        **own,
    }
    return Audited(name, found, pd.DataFrame(rows))


def layers(share: float = 0.1, **own: Any) -> list[dict[str, Any]]:
    names = [(f"model.layers.{n}.{kind}", n) for n in (0, 1) for kind in ("q_proj", "v_proj")]
    return [row(name, number, share * (1 + number), **own) for name, number in names]


def test_the_section_has_each_adapter_and_kind() -> None:
    page = audit_section([audited("mine", layers())])
    assert "## Adapters" in page
    whole, kinds = (part for part in page.split("\n\n") if part.startswith("|"))
    cells = [cell.strip() for cell in whole.splitlines()[2].split("|")[1:-1]]
    assert cells == ["mine", "4", "2", "4", "2", "128", "3", "5"]
    (q_proj, _) = kinds.splitlines()[2:]
    cells = [cell.strip() for cell in q_proj.split("|")[1:-1]]
    assert cells == ["mine", "q_proj", "2", "2", "15", "20 in layer 1", "1.5", "4"]
    assert "- mine names 'lab/base' (same)." in page
    assert "(audits.svg)" in page
    assert "ntruders" not in page
    assert audit_section([]) == ""


def test_intruders_and_unknown_weights_are_told() -> None:
    page = audit_section(
        [audited("mine", layers(intruders=1), intruders=4, of_known_weight=3, norm=math.nan)]
    )
    assert "arXiv:2410.21228" in page
    assert "W is known of 3 of its 4 modules" in page
    rows = [row(f"model.layers.{n}.q_proj", n, None) for n in (0, 1)]
    unknown = audit_section([audited("mine", rows, share=None)])
    assert "share" not in unknown.split("\n\n")[2]
    assert "2 in layer" in unknown


def test_warnings_name_odd_adapters_other_bases_and_copies() -> None:
    one = audited("one", layers(), odd=["changes nothing in 1 of 4 modules"])
    other = audited("other", layers(0.3), kind="doubtful")
    fine = audited("fine", [row("model.layers.0.o_proj", 0, 0.1)], kind="unknown")
    notes = [*audit_notes([one, other, fine])]
    assert notes == [
        "Adapter one: changes nothing in 1 of 4 modules.",
        "Adapter other names 'lab/base' (doubtful).",
        "Adapters one and other do the same to the weights.",
    ]
    assert [*audit_notes([fine])] == []


def test_the_table_has_a_row_for_each_module() -> None:
    broken = row("lm_head", None, None, norm=None, stable_rank=None, singular_values=[])
    table = audits_table([audited("a", layers()), audited("b", [broken])])
    assert tuple(table) == AUDIT_COLUMNS
    assert table["adapter"].tolist() == ["a"] * 4 + ["b"]
    assert table["largest_singular_value"].isna().tolist() == [False] * 4 + [True]
    assert table["layer"].tolist()[:4] == [0, 0, 1, 1]
    assert tuple(audits_table([])) == AUDIT_COLUMNS


def test_every_column_is_documented() -> None:
    part = (ROOT / "docs/adapter.md").read_text().partition("\n## Nulls")[0]
    rows = [line for line in part.splitlines() if "| `" in line]
    named = [name for line in rows for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert sorted(named) == sorted(AUDIT_COLUMNS)


def drawn(monkeypatch: pytest.MonkeyPatch, audits: list[Audited], folder: Path) -> list[Any]:
    """Draw; return the grids, as (title, rows, columns, values), and check the picture."""
    grids = []
    inner = drawing._draw

    def noting(figure, axes, grid, ends, name) -> None:
        grids.append((name, [*grid.index], [*grid.columns], grid.to_numpy(dtype=float)))
        inner(figure, axes, grid, ends, name)

    monkeypatch.setattr(drawing, "_draw", noting)
    heat_map(audits, "a $title", folder / "a.svg", folder / "a.png")
    pixels = matplotlib.image.imread(folder / "a.png")
    assert pixels.shape[1] == 2000
    assert np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0).shape[0] > 20
    return grids


def test_the_heat_map_has_every_layer_and_what_is_no_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = layers()
    rows[0] |= {"norm": None, "share": None, "stable_rank": None, "nonfinite": 3}
    rows += [row("model.layers.3.q_proj", 3, 0.5), row("lm_head", None, 0.25)]
    share, rank = drawn(monkeypatch, [audited("mine", rows)], tmp_path)
    assert share[:3] == (
        "mine: share of the weights' norm, %",
        ["lm_head", "q_proj", "v_proj"],
        ["0", "1", "2", "3", drawing.NO_LAYER],
    )
    nan, inf = math.nan, math.inf
    expected = [[nan] * 4 + [25], [inf, 20, nan, 50, nan], [10, 20, nan, nan, nan]]
    assert share[3] == pytest.approx(np.array(expected), nan_ok=True)
    assert rank[3][1] == pytest.approx([inf, 1.5, nan, 1.5, nan], nan_ok=True)
    first = (tmp_path / "a.svg").read_bytes()
    drawn(monkeypatch, [audited("mine", rows)], tmp_path)
    assert (tmp_path / "a.svg").read_bytes() == first


def test_experts_are_one_line_and_stacks_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ["encoder.layers.0.mlp.experts.0.w1", "encoder.layers.0.mlp.experts.1.w1"]
    rows = [row(name, 0, 0.3, norm=3.0 + n) for n, name in enumerate(names)]
    rows += [row("decoder.layers.0.q_proj", 0, None)]
    norms, _ = drawn(monkeypatch, [audited("mine", rows)], tmp_path)
    assert norms[:2] == (
        "mine: norm of the change",
        ["decoder.layers.q_proj", "encoder.layers.mlp.experts.*.w1"],
    )
    assert norms[3].ravel() == pytest.approx([2, 5])


def test_many_adapters_and_many_layers_are_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [row(f"model.layers.{n}.q_proj", n, 0.01 * (n + 1)) for n in range(48)]
    monkeypatch.setattr(drawing, "MOST_DRAWN", 2)
    audits = [audited(f"a{n}", rows) for n in range(3)]
    assert len(drawn(monkeypatch, audits, tmp_path)) == 2 * 2
