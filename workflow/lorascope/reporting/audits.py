"""What adapters do to their models' weights: warnings, a table, and the section of the page."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lorascope.models.auditing.copies import same_changes
from lorascope.reporting.tables import markdown

AUDIT_COLUMNS = (
    *("adapter", "module", "stack", "layer", "kind", "rank", "alpha", "scaling", "inputs"),
    *("outputs", "parameters", "norm", "weight_norm", "share", "stable_rank", "used_rank"),
    *("largest_singular_value", "nonfinite", "is_zero", "intruders"),
)
_MEANING = (
    "What each adapter does to the weights, told from the files at its own scaling: the norm is "
    "that of s B A (Frobenius), the share that norm in percent of W's, the stable rank the square "
    "of the norm divided by that of the largest singular value: 1 is a single direction. Another "
    "lora_scaling multiplies norm and share; the stable rank stays. Every module is in audits.csv."
)
_INTRUDERS = (
    "Intruders are singular vectors of the adapted weights that the model's have nothing like "
    "(arXiv:2410.21228)."
)
_DIGITS = 4


@dataclass(frozen=True)
class Audited:
    """An adapter's audit: its name in the report, the document and the rows of its modules."""

    name: str
    found: Mapping[str, Any]
    modules: pd.DataFrame

    @property
    def beyond(self) -> str:
        """What it is more than an s B A, "" for nothing."""
        return str(self.found.get("beyond", ""))

    @property
    def lines(self) -> pd.Series:
        """The kind of each module as it is told apart: with its stack, where there are several.

        Numbers within a kind, such as those of experts, are one line.
        """
        kinds = self.modules["kind"].map(lambda kind: re.sub(r"\.\d+(?=\.|$)", ".*", kind))
        stacks = self.modules.loc[self.modules["layer"].notna(), "stack"]
        if stacks.nunique() < 2:
            return kinds
        named = self.modules["stack"] + "." + kinds
        return named.where(self.modules["layer"].notna(), kinds)


def audit_notes(audits: Sequence[Audited]) -> Iterator[str]:
    """Yield what has to be known of adapters before any number is believed."""
    for one in audits:
        if one.found["base"]["kind"] == "doubtful":
            yield f"Adapter {one.name} {one.found['base']['words']}."
        yield from (f"Adapter {one.name}: {line}." for line in one.found["odd"])
    plain = [one for one in audits if not one.beyond]
    rows = {one.name: one.modules.to_dict("records") for one in plain}
    for line in same_changes({name: _plain(of) for name, of in rows.items()}):
        yield f"{line[0].upper()}{line[1:]}."


def audits_table(audits: Sequence[Audited]) -> pd.DataFrame:
    """Return a row for each module of each adapter (AUDIT_COLUMNS)."""
    tables = [
        one.modules.assign(
            adapter=one.name,
            largest_singular_value=one.modules["singular_values"].map(_first),
        )
        for one in audits
    ]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    counted = ["layer", "used_rank", "intruders"]
    table = table.reindex(columns=list(AUDIT_COLUMNS))
    return table.astype(dict.fromkeys(counted, "Int64"))


def audit_section(audits: Sequence[Audited]) -> str:
    """Return the section of adapters; nothing without one."""
    if not audits:
        return ""
    remarks = [f"- {one.name} {_base(one)}." for one in audits]
    remarks += [f"- {one.name} {one.beyond}." for one in audits if one.beyond]
    parts = ["## Adapters", *_tables(with_modules(audits)), "\n".join(remarks)]
    return "\n\n".join(parts)


def with_modules(audits: Sequence[Audited]) -> list[Audited]:
    """Return the audits of adapters that have an s B A to look into."""
    return [one for one in audits if len(one.modules)]


def _tables(audits: Sequence[Audited]) -> Iterator[str]:
    """Yield what the numbers mean, and the tables; nothing without a module."""
    if not audits:
        return
    whole = pd.DataFrame([_whole(one) for one in audits])
    kinds = pd.DataFrame([row for one in audits for row in _kinds(one)])
    yield f"{_MEANING} {_INTRUDERS}" if whole["intruders"].notna().any() else _MEANING
    yield markdown(_filled(whole))
    yield "![share of the weights' norm and stable rank, by layer and module](audits.svg)"
    yield markdown(_filled(kinds))


def _whole(one: Audited) -> dict[str, Any]:
    found = one.found
    return {
        "adapter": one.name,
        "rank": _range(found["ranks"]),
        "own_scaling": _range(found["scalings"]),
        "modules": found["modules"],
        "layers": found["layers"],
        "parameters": found["parameters"],
        "norm": _short(found["norm"]),
        "share %": _percent(found["share"]),
        "intruders": found["intruders"],
    }


def _kinds(one: Audited) -> Iterator[dict[str, Any]]:
    """Yield a row for each kind of module: medians, and the largest change with its layer."""
    for kind, rows in one.modules.groupby(one.lines, sort=True):
        measure = "share" if rows["share"].notna().all() else "norm"
        known = rows[rows[measure].notna()].sort_values(measure)
        top = known.iloc[-1] if len(known) else None
        yield {
            "adapter": one.name,
            "kind": kind,
            "modules": len(rows),
            "norm": _short(rows["norm"].median()),
            "share %": _percent(rows["share"].median()),
            "largest": None if top is None else _largest(top, measure),
            "stable_rank": _short(rows["stable_rank"].median()),
            "used_rank": _short(rows["used_rank"].median()),
        }


def _largest(row: pd.Series, measure: str) -> str:
    value = f"{_percent(row[measure]):g}" if measure == "share" else f"{_short(row[measure]):g}"
    return value if pd.isna(row["layer"]) else f"{value} in layer {int(row['layer'])}"


def _base(one: Audited) -> str:
    words = str(one.found["base"]["words"])
    known, modules = one.found["of_known_weight"], one.found["modules"]
    if known == modules:
        return words
    return f"{words}; W is known of {known} of its {modules} modules"


def _filled(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without columns of which nothing is known."""
    return table.dropna(axis="columns", how="all")


def _range(values: Sequence[float]) -> str:
    ends = dict.fromkeys(f"{value:.4g}" for value in (values[0], values[-1]))
    return " to ".join(ends)


def _short(value: float | None) -> float | None:
    return None if value is None or pd.isna(value) else float(f"{value:.{_DIGITS}g}")


def _percent(value: float | None) -> float | None:
    return None if value is None or pd.isna(value) else float(f"{100 * value:.{_DIGITS}g}")


def _first(values: Sequence[float]) -> float | None:
    return values[0] if len(values) else None


def _plain(rows: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    return [{"module": row["module"], "probes": [*row["probes"]]} for row in rows]
