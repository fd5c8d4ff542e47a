"""How long a run will take, from what earlier runs of the same models took for an item."""

# Most plans are made before there is a table to read.
# ruff: noqa: PLC0415

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lorascope.planning.infer import PlannedExperiment
from lorascope.planning.plan import Plan
from lorascope.planning.reasons import FINGERPRINT
from lorascope.planning.told import RUNTIME, Fingerprint

HARMLESS = "looks, and decides nothing"

# What makes an item take as long as another one: beside the model, how much is generated.
ALIKE = ("family", "sources", "dtype", "mode", "generation")


@dataclass(frozen=True)
class Rate:
    """Mean seconds that an item took, and the device it was measured on."""

    seconds: float
    device: str


def expected_lines(
    plan: Plan, inferred: Iterable[PlannedExperiment], left: Mapping[str, int]
) -> list[str]:
    """Return for each model how long its answers will take; ``left`` is ID -> items to answer."""
    by_model: dict[str, list[PlannedExperiment]] = {}
    for planned in inferred:
        by_model.setdefault(planned.experiment.model, []).append(planned)
    earlier = _earlier_runs()
    lines = []
    for model, experiments in by_model.items():
        rate = _rate(earlier, experiments[0].fingerprint)
        if rate is None:
            lines.append(f"{model}: not known before a first run")
            continue
        gpus = 0 if rate.device == "CPU" else plan.study.models[model].gpus_per_job
        seconds = rate.seconds * sum(left[p.id] for p in experiments)
        unit = "GPU-hours" if gpus else "hours on the CPU"
        lines.append(
            f"{model}: {seconds * max(gpus, 1) / 3600:.2g} {unit} at {rate.seconds:.2g} s an item "
            f"(measured on {rate.device})"
        )
    return lines


def _earlier_runs() -> list[Path]:
    """Return the sidecars of earlier runs, the newest first."""
    found = Path().glob(RUNTIME.format(id="*", digest="*"))
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _rate(earlier: Iterable[Path], fingerprint: Fingerprint) -> Rate | None:
    """Return the rate of the newest run of the same model, by preference with its settings."""
    runs = [(path, made) for path in earlier if (made := _fingerprint(path.parent / FINGERPRINT))]
    for keys in (ALIKE, ALIKE[:-1]):
        for path, made in runs:
            if all(made.get(key) == fingerprint.get(key) for key in keys):
                return _measured(path)
    return None


def _fingerprint(path: Path) -> Fingerprint | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _measured(path: Path) -> Rate | None:
    """Return what a sidecar says. A damaged one is left where it is: a plan moves nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(
            path, columns=["seconds", "environment"], page_checksum_verification=True
        )
        seconds = table["seconds"].to_pylist()
        environment = json.loads(table["environment"][0].as_py())
        return Rate(sum(seconds) / len(seconds), environment["device_name"])
    except (pa.ArrowException, OSError, ValueError, KeyError, IndexError, TypeError):
        return None
