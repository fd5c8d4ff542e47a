"""What adapters cost elsewhere: their drift, beside what they gain and what is retained."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lorascope.reporting.baselines import Levels
from lorascope.reporting.measures import minus
from lorascope.reporting.scored import Scored
from lorascope.reporting.tables import DECIMALS, markdown
from lorascope.scoring.item_score import DRIFT
from lorascope.study.adapted import adapted
from lorascope.study.categories import scored_category

POINT = ("model", "adapter", "line", "label", "lora_scaling")
DRIFT_COLUMNS = (
    *("experiment", *POINT, "on", "items", "tokens", "kl", "kl_low", "kl_high", "reverse_kl"),
    *("loss", "base_loss", "changed"),
)
TRADEOFF_COLUMNS = (*POINT, "on", "kl", "experiment", "category", "value", "gain", "kept")
SWEPT = ("lora_scaling", "strength", "weights")
"""Keys of an experiment that make points of one line in the chart, and not other lines."""
_DIGITS = 4
_MEANING = (
    "How far adapters move the next-token distributions of their models on other data, by token: "
    "*kl* is KL(base || adapted) and *reverse_kl* KL(adapted || base), in nats, *loss* and "
    "*base_loss* the negative log-likelihood with and without the adapter, in nats, *changed* the "
    "share of tokens in percent at which another one is likeliest. 0 is the base model. The "
    "interval of kl is at 95 %. All of it is in drift.csv."
)
_TRADEOFF = (
    "Points are scalings, in order. A gain is a score less its baseline's, turned so that more is "
    "better; what is kept of a score is its part of the one that the study's key retain names. "
    "The axis of kl is of its square root, along which small scalings are evenly apart. The same "
    "numbers are in tradeoff.csv."
)
_NOTHING = "No other experiment has the models, adapters and scalings whose drift was read."


@dataclass(frozen=True)
class Point:
    """A model as it is adapted: what it stands for in tables and charts.

    ``key`` is the same for all experiments that it answers; ``line`` names the points that differ
    in a swept key alone, ``label`` one of them.
    """

    key: str
    model: str
    adapter: str | None
    line: str
    label: str
    lora_scaling: float

    @property
    def cells(self) -> dict[str, Any]:
        """What is said of it in a row of a table."""
        return {name: getattr(self, name) for name in POINT}


def points_of(
    scored: Sequence[Scored], settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, Point]:
    """Return experiment -> the adapted model that answers it; ``settings`` are the experiments'.

    An adapter's own scaling is the number that it is, where that is known.
    """
    known = {run.experiment: _known(run, settings[run.experiment]) for run in scored}
    texts = {name: {k: json.dumps(v) for k, v in of.items()} for name, of in known.items()}
    lines = {key for of in known.values() for key in of if key not in SWEPT}
    differing = [
        key
        for key in ("model", "adapter", *sorted(lines - {"model", "adapter"}))
        if key == "adapter" or len({of.get(key) for of in texts.values()}) > 1
    ]
    return {
        run.experiment: Point(
            key=adapted(known[run.experiment]),
            model=run.model,
            adapter=run.adapter,
            line=", ".join(_named(key, known[run.experiment]) for key in differing),
            label=_label(run, known[run.experiment]),
            lora_scaling=run.lora_scaling,
        )
        for run in scored
    }


def _known(run: Scored, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what says how a model is adapted; no adapter is as one at scaling 0, and has none."""
    found = {k: v for k, v in settings.items() if k in json.loads(adapted(settings))}
    if not math.isnan(run.lora_scaling):
        found["lora_scaling"] = run.lora_scaling
    return found


def _named(key: str, known: Mapping[str, Any]) -> str:
    value = known.get(key)
    if key == "adapter":
        return str(value) if value is not None else "no adapter"
    return f"{value}" if key == "model" else f"{key} {value}"


def _label(run: Scored, known: Mapping[str, Any]) -> str:
    """Return what tells a point of its line: its scaling, or what else is swept."""
    parts = [f"{run.lora_scaling:g}"] if not math.isnan(run.lora_scaling) else []
    given = {key: known.get(key) for key in SWEPT if not (parts and key == "lora_scaling")}
    parts += [_word(value) for value in given.values() if value is not None]
    return ", ".join(parts) or run.base


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_word(one)}" for key, one in value.items())
    return f"{value:g}" if isinstance(value, float | int) else str(value)


# --------------------------------------------------------------------------------- tables


def drift_table(scored: Sequence[Scored], points: Mapping[str, Point]) -> pd.DataFrame:
    """Return the drift of each run on each category of its dataset (DRIFT_COLUMNS)."""
    rows = [row for run in scored for row in _rows(run, points[run.experiment])]
    table = pd.DataFrame(rows, columns=list(DRIFT_COLUMNS))
    numbers = list(DRIFT_COLUMNS[DRIFT_COLUMNS.index("kl") :])
    table[numbers] = table[numbers].astype(float)
    return table


def _rows(run: Scored, point: Point) -> Iterator[dict[str, Any]]:
    for on, metrics in _metrics(run).items():
        values = {name: float(run.measured[c].value) for name, c in metrics.items()}
        places = run.rows[next(iter(metrics.values()))]
        kl = run.measured[metrics["kl"]] if "kl" in metrics else None
        yield {
            "experiment": run.experiment,
            **point.cells,
            "on": on,
            "items": len(places),
            "tokens": int(run.weights[places].sum()),
            **values,
            **({"kl_low": kl.low, "kl_high": kl.high} if kl else {}),
        }


def _metrics(run: Scored) -> dict[str, dict[str, str]]:
    """Return what drift was read on -> metric -> its category, of a run in the mode drift."""
    found: dict[str, dict[str, str]] = {}
    for category in run.rows:
        for metric, measure in DRIFT.items():
            end = scored_category("", metric)
            if run.measure(category) == measure and category.endswith(end):
                found.setdefault(category.removesuffix(end), {})[metric] = category
    return found


def beside_kl(scored: Iterable[Scored]) -> set[str]:
    """Return the categories of drift that stand beside kl: the chart of values shows that alone."""
    several = (metrics for run in scored for metrics in _metrics(run).values() if "kl" in metrics)
    return {c for metrics in several for metric, c in metrics.items() if metric != "kl"}


def without_drift(outcomes: pd.DataFrame, scored: Iterable[Scored]) -> pd.DataFrame:
    """Return what the replies were, where they are more than texts that were read for drift.

    Numbers that are not finite stay.
    """
    read = {c for run in scored for of in _metrics(run).values() for c in of.values()}
    return outcomes[~outcomes["category"].isin(read) | (outcomes["nonfinite"] > 0)]


def tradeoff_table(
    scored: Sequence[Scored],
    points: Mapping[str, Point],
    drift: pd.DataFrame,
    levels: Levels,
    retain: Sequence[Mapping[str, Any]],
) -> pd.DataFrame:
    """Return the scores of each adapted model beside its drift (TRADEOFF_COLUMNS).

    ``gain`` is the value less its baseline's, or the other way round where lower is better;
    ``kept`` its part of the score that an entry of ``retain`` names. Repeated runs are one: the
    first.
    """
    runs = [run for run in scored if run.run_num == 0 and not _metrics(run)]
    first = {run.experiment: run for run in runs}
    rows = [
        {**at.cells, "on": on, "kl": kl, **cells}
        for name, on, kl in zip(drift["experiment"], drift["on"], drift["kl"], strict=True)
        for at in (points[name],)
        for run in runs
        if points[run.experiment].key == at.key
        for cells in _scores(run, levels, retain, first)
    ]
    return pd.DataFrame(rows, columns=list(TRADEOFF_COLUMNS))


def _scores(
    run: Scored,
    levels: Levels,
    retain: Sequence[Mapping[str, Any]],
    first: Mapping[str, Scored],
) -> Iterator[dict[str, Any]]:
    for category, measured in run.measured.items():
        level = levels.get(run.experiment, {}).get(category)
        sign = 1 if run.measure(category).higher_is_better else -1
        gain = math.nan if level is None else sign * float(minus(measured.value, level.value))
        of = next((e["of"] for e in retain if e["metric"] == category and e["of"] in first), None)
        kept = math.nan
        if of is not None and category in first[of].measured:
            whole, own = float(first[of].measured[category].value), float(measured.value)
            over, under = (own, whole) if sign > 0 else (whole, own)
            kept = 100 * over / under if under else math.nan
        yield {
            "experiment": run.experiment,
            "category": category,
            "value": round(float(measured.value), DECIMALS),
            "gain": gain,
            "kept": kept,
        }


# -------------------------------------------------------------------------------- section


def drift_section(drift: pd.DataFrame, tradeoff: pd.DataFrame) -> str:
    """Return the section with its table and its chart; nothing without a row."""
    if drift.empty:
        return ""
    numbers = DRIFT_COLUMNS[DRIFT_COLUMNS.index("kl") :]
    short = drift.drop(columns=["line", "label"]).copy()
    for name in numbers:
        short[name] = [_short(value) for value in short[name]]
    short["adapter"] = short["adapter"].fillna("")
    chart = "![gain against drift and retention](drift.svg)"
    return "\n\n".join(
        [
            "## Drift",
            _MEANING,
            markdown(short.dropna(axis="columns", how="all")),
            _NOTHING if tradeoff.empty else f"{_TRADEOFF}\n\n{chart}",
        ]
    )


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
