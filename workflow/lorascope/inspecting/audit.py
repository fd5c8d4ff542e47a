"""Look into an adapter's folder alone, without a study."""

# Other commands need no numpy, and --help nothing of what it is about.
# ruff: noqa: PLC0415

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.errors import UserError

if TYPE_CHECKING:
    from lorascope.models.auditing.base import Verdict

HARMLESS = "looks, and decides nothing"

TOP, COSINE = 10, 0.5
"""How many singular vectors are looked at for intruders, and what they are below, as in a study."""
COLUMNS = ("norm", "share_%", "stable_rank", "used_rank", "largest", "intruders")


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command.add_argument("adapter", help="the LoRA's folder (peft's), or its repository on the hub")
    command.add_argument(
        "--base", help="the model's folder or repository: is it the adapter's, and shares of W"
    )
    command.add_argument(
        "--intruders",
        nargs="?",
        type=int,
        const=TOP,
        metavar="N",
        help=f"count intruder dimensions (arXiv:2410.21228) among the N largest singular vectors "
        f"({TOP} if not given) of each W; hours for a 7B model, and needs --base",
    )
    command.add_argument("--json", action="store_true", help="print all of it as JSON")


def audit_lines(asked: argparse.Namespace) -> Iterator[str]:
    """Yield what an adapter does to each module, and what is odd in it.

    UserError for what is no adapter, no model, or nothing that can be counted.
    """
    from lorascope.models.adapter_config import CONFIG, check_folder
    from lorascope.models.auditing.adapters import read_adapter
    from lorascope.models.auditing.audit import Intruders, audit_rows, summary_of
    from lorascope.models.auditing.base import Model, compare
    from lorascope.models.auditing.oddities import oddities
    from lorascope.models.auditing.tensors import read_model

    _check(asked)
    _, folder = _place(asked.adapter, "FOLDER", CONFIG)
    check_folder(folder, more=True)
    adapter = read_adapter(folder, more=True)
    tensors, verdict = None, None
    if asked.base:
        hub, place = _place(asked.base, "--base", "config.json")
        tensors = read_model(place)
        model = Model(asked.base, hub or Model.named(asked.base).hub, place)
        verdict = compare(adapter.base, adapter.parts, model, tensors)
    _show_progress()
    rows = audit_rows(
        adapter, tensors, Intruders(asked.intruders, COSINE) if asked.intruders else None
    )
    whole, odd = summary_of(rows), [*oddities(rows)]
    if asked.json:
        base = {"named": adapter.base, **(vars(verdict) if verdict else {})}
        found = {**whole, "base": base, "odd": odd, "beyond": adapter.beyond, "rows": rows}
        yield json.dumps(found, indent=1)
        return
    yield from _table(rows)
    yield _summary(folder, whole)
    yield _said(adapter.base, verdict)
    yield from [f"the adapter {adapter.beyond}"] if adapter.beyond else []
    yield from (f"warning: {line}" for line in odd)


def _check(asked: argparse.Namespace) -> None:
    if asked.intruders is not None and asked.intruders < 1:
        raise UserError(f"--intruders {asked.intruders}: give a number from 1 on")
    if asked.intruders and not asked.base:
        raise UserError("--intruders: needs the model's weights; name its folder by --base")


def _place(name: str, option: str, file: str) -> tuple[str | None, Path]:
    """Return the repository, if it is one, and the folder of what the user named."""
    from lorascope.inspecting.new.model import find_place

    place = find_place(name, option, file)
    if place.folder is None:
        raise UserError(
            f"{option} {name}: no folder of this name, and nothing of such a repository in the "
            "hub's cache; name a folder, or download it first (hf download)"
        )
    return (name if place.is_hub else None), place.folder


def _show_progress() -> None:
    """Tell how long it takes on the terminal's own channel."""
    log = logging.getLogger("lorascope")
    log.handlers[:] = [logging.StreamHandler(sys.stderr)]
    log.setLevel(logging.INFO)


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the table of modules, numbers to the right."""
    given = [name for name in COLUMNS if any(_cell(row, name) for row in rows)]
    cells = [["module", "rank", "scaling", *given]]
    cells += [
        [row["module"], str(row["rank"]), f"{row['scaling']:.4g}", *(_cell(row, n) for n in given)]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for first, *others in cells:
        numbers = (f"{c:>{w}}" for c, w in zip(others, widths[1:], strict=True))
        yield "  ".join([f"{first:{widths[0]}}", *numbers])


def _cell(row: Mapping[str, Any], name: str) -> str:
    values = row["singular_values"]
    own = {"largest": values[0] if values else None}
    own["share_%"] = None if row["share"] is None else 100 * row["share"]
    value = own[name] if name in own else row[name]
    if name == "norm" and row["nonfinite"]:
        return "not finite"
    return "" if value is None else f"{value:.4g}"


def _summary(folder: Path, whole: Mapping[str, Any]) -> str:
    share = "" if whole["share"] is None else f", {100 * whole['share']:.3g} % of W's"
    counted = whole["intruders"]
    found = "" if counted is None else f", {counted} intruder dimensions"
    return (
        f"{folder}: {whole['modules']} modules in {whole['layers']} layers, "
        f"{whole['parameters']:,} parameters, norm {whole['norm']:.4g}{share}{found}"
    )


def _said(base: str | None, verdict: "Verdict | None") -> str:
    """Return what is known of the adapter's base model."""
    if verdict:
        alarm = "" if verdict.kind in ("same", "unknown") else "warning: "
        return f"{alarm}the adapter {verdict.words}"
    return f"base model named in the adapter: {base or 'none'}"
