"""What adapters do beside what their nulls do: the distribution, p-values, and the section."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lorascope.errors import listing
from lorascope.reporting.baselines import Levels
from lorascope.reporting.measures import Value, minus, rounded
from lorascope.reporting.scored import Scored, pooled
from lorascope.reporting.statistics import holm
from lorascope.reporting.tables import DECIMALS, markdown
from lorascope.scoring.item_score import Measure

NULL_COLUMNS = (
    *("experiment", "adapter", "nulls", "dataset", "category", "lora_scaling", "draws", "value"),
    *("delta", "null_mean", "null_low", "null_high", "rank", "p_better", "p_two_sided"),
    *("holm_p", "smallest_p"),
)
DRAW_COLUMNS = ("experiment", "nulls", "category", "draw", "value", "delta")
KINDS = {
    "random": "*random* has Gaussian A and B, scaled in each module to the norm of the real s B A",
    "shuffled": "*shuffled* has the real A and B exchanged between layers",
    "sign": "*sign* has B negated, as the scaling -s has; being one, it has no p-value",
}
_MEANING = (
    "A null adapter changes the model as strongly as the real one and has learned nothing: "
    "{kinds}. Each row sets what an adapter does ({effect}) against what its nulls do at the same "
    "settings: null_mean, and null_low to null_high, their smallest and largest. An effect within "
    "that range is what any change of that size does."
)
_TESTS = (
    "rank is the real one's among itself and its nulls, 1 the best. p_better is (1 + nulls at "
    "least as good) / (1 + draws), p_two_sided twice the smaller of the p-values of both sides "
    "(Phipson and Smyth 2010, doi:10.2202/1544-6115.1585); holm_p is p_two_sided adjusted for all "
    "rows (Holm). {least}"
)


@dataclass(frozen=True)
class Against:
    """The runs of an experiment, and those of its nulls of one ``kind``, each a draw's."""

    real: Sequence[Scored]
    kind: str
    draws: Sequence[Sequence[Scored]]


@dataclass(frozen=True)
class PValues:
    """Where a value stands among itself and its nulls: ``rank`` 1 is the best, ties behind them.

    The p-values are those of a permutation test, of which the value's own place is one: at most
    a share p of values that come from where their nulls do has one of p or below.
    """

    rank: int
    better: float
    two_sided: float


def p_values(real: Value, nulls: Sequence[Value], higher_is_better: bool = True) -> PValues:
    """Return the p-values of a value against nulls; see `_TESTS` for the formulae."""
    above = sum(null >= real for null in nulls)
    below = sum(null <= real for null in nulls)
    as_good, as_bad = (above, below) if higher_is_better else (below, above)
    one_sided = [(1 + count) / (1 + len(nulls)) for count in (as_good, as_bad)]
    return PValues(1 + as_good, one_sided[0], min(1.0, 2 * min(one_sided)))


def compared(scored: Sequence[Scored], planned: Sequence[Mapping[str, Any]]) -> list[Against]:
    """Return what is set against each other, as far as it is scored."""
    runs = {run.experiment: run for run in scored}
    found = []
    for one in planned:
        real = [runs[name] for name in one["real"] if name in runs]
        draws = [[runs[name] for name in draw if name in runs] for draw in one["draws"]]
        if real and any(draws):
            found.append(Against(real, one["kind"], [draw for draw in draws if draw]))
    return found


@dataclass(frozen=True)
class _Values:
    """The values of one category: of the adapter, of its nulls (by experiment), of its baseline."""

    against: Against
    category: str
    real: Value
    nulls: Mapping[str, Value]
    level: Value

    @property
    def run(self) -> Scored:
        return self.against.real[0]

    def delta(self, value: Value) -> Value:
        return minus(value, self.level)


def _values(against: Sequence[Against], levels: Levels) -> Iterator[_Values]:
    """Yield what is known of each category; without values, such as unjudged ones, nothing is."""
    for one in against:
        run = one.real[0]
        for category in run.rows:
            level = levels.get(run.experiment, {}).get(category)
            draws = {draw[0].base: pooled(draw, category).value for draw in one.draws}
            known = {name: value for name, value in draws.items() if not math.isnan(value)}
            real = pooled(one.real, category).value
            if known and not math.isnan(real):
                yield _Values(one, category, real, known, level.value if level else math.nan)


def null_table(against: Sequence[Against], levels: Levels) -> pd.DataFrame:
    """Return a row for each adapter's experiment, category and kind of nulls (NULL_COLUMNS).

    null_mean, null_low and null_high are of their deltas; of their values, where there is nothing
    to take a difference from.
    """
    rows = [_row(one) for one in _values(against, levels)]
    table = pd.DataFrame(rows, columns=[*NULL_COLUMNS])
    tested = table["p_two_sided"].notna()
    table.loc[tested, "holm_p"] = holm(table.loc[tested, "p_two_sided"].tolist())
    numbers = ["p_better", "p_two_sided", "holm_p", "smallest_p"]
    table[numbers] = table[numbers].astype(float).map(lambda p: float(f"{p:.4g}"))
    return table.astype({"rank": "Int64"})


def _row(one: _Values) -> dict[str, Any]:
    run, nulls = one.run, [*one.nulls.values()]
    shown = [one.delta(null) for null in nulls] if not math.isnan(one.level) else nulls
    mean = sum(map(float, shown)) / len(shown)
    row = {
        "experiment": run.base,
        "adapter": run.adapter or f"{run.model} (its own)",
        "nulls": one.against.kind,
        "dataset": run.dataset,
        "category": one.category,
        "lora_scaling": run.lora_scaling,
        "draws": len(nulls),
        "value": rounded(one.real, DECIMALS),
        "delta": rounded(one.delta(one.real), DECIMALS),
        "null_mean": rounded(mean, DECIMALS),
        "null_low": rounded(min(shown), DECIMALS),
        "null_high": rounded(max(shown), DECIMALS),
    }
    if one.against.kind == "sign":
        return row
    found = p_values(one.real, nulls, run.measure(one.category).higher_is_better)
    tests = {"rank": found.rank, "p_better": found.better, "p_two_sided": found.two_sided}
    return row | tests | {"smallest_p": 1 / (1 + len(nulls))}


def draws_table(against: Sequence[Against], levels: Levels) -> pd.DataFrame:
    """Return a row for each null and category (DRAW_COLUMNS), and one for the real adapter.

    ``draw`` is the null's experiment, empty in the row of the adapter itself.
    """
    rows = [
        {
            "experiment": one.run.base,
            "nulls": one.against.kind,
            "category": one.category,
            "draw": draw,
            "value": rounded(value, DECIMALS),
            "delta": rounded(one.delta(value), DECIMALS),
        }
        for one in _values(against, levels)
        for draw, value in {"": one.real, **one.nulls}.items()
    ]
    return pd.DataFrame(rows, columns=[*DRAW_COLUMNS])


def null_section(table: pd.DataFrame, measures: Mapping[str, Measure]) -> str:
    """Return the section of nulls; nothing without a row."""
    if table.empty:
        return ""
    kinds = "; ".join(text for kind, text in KINDS.items() if kind in {*table["nulls"]})
    effect = "the delta against its baseline" if table["delta"].notna().any() else "its value"
    parts = ["## Against null adapters", _MEANING.format(kinds=kinds, effect=effect)]
    tested = table[table["rank"].notna()]
    if len(tested):
        parts.append(_TESTS.format(least=_least(tested)))
    hidden = ["adapter", "dataset", "lora_scaling", "value" if effect != "its value" else "delta"]
    lower = sorted(n for n in {*table["category"]} if not measures[n].higher_is_better)
    if lower:
        parts.append(f"Lower is better in {', '.join(lower)}.")
    shown = table.drop(columns=[*hidden, "smallest_p"]).dropna(axis="columns", how="all")
    chart = "![effects of adapters among those of their nulls](nulls.svg)"
    return "\n\n".join([*parts, chart, markdown(shown)])


def null_notes(unmatched: Sequence[str]) -> Iterator[str]:
    """Yield a warning where experiments with nulls have none with the real adapter beside them."""
    if unmatched:
        yield (
            f"{len(unmatched)} experiments with null adapters ({listing(unmatched)}) have none "
            "with the real adapter that differs in nothing else, so nothing is set against them."
        )


def _least(tested: pd.DataFrame) -> str:
    """Say which p-values so few draws allow."""
    draws, rows = int(tested["draws"].min()), len(tested)
    ends = [min(1.0, times / (1 + draws)) for times in (1, 2, 2 * rows)]
    one, two, adjusted = (f"{end:.2g}" for end in ends)
    return (
        f"With {draws} draws and {rows} row{'s' * (rows > 1)}, p_better is at least {one}, "
        f"p_two_sided {two} and holm_p {adjusted}: more draws can be surer."
    )
