"""Runs the function of a user's file, and turns what it returns into scores."""

import math
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from lorascope.benchmarks.items import Item
from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError, shown
from lorascope.scoring.file.reading import (
    FUNCTION,
    checked_metrics,
    local_modules,
    source_of,
)
from lorascope.scoring.item_score import ACCURACY, ItemScore, Measure

MODULE = "lorascope_user_scorer"
RETURNS = "return True or False, a number, a mapping of metrics to numbers, or a list of ItemScore"


def score_item(reply: str | Likelihoods, item: Item, file: str) -> list[ItemScore]:
    """Return what the file's function says of a reply.

    UserError, naming file and line, for an error in it, and for a value that is no score.
    """
    module = _loaded(file, Path(file).resolve())
    try:
        given = getattr(module, FUNCTION)(reply, item)
    except (Exception, SystemExit) as error:
        raise _told(error, file) from error
    return _scores(given, module, file)


# ------------------------------------------------------------------------------ the file


@cache
def _loaded(file: str, path: Path) -> ModuleType:
    """Return the module that a file is, run once; modules beside it can be imported by it."""
    module = ModuleType(MODULE)
    module.__file__ = str(path)
    sys.modules[MODULE] = module
    sys.path.insert(0, str(path.parent))
    try:
        exec(compile(source_of(path), str(path), "exec"), module.__dict__)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise _told(error, file) from error
    for name, other in local_modules(path).items():
        used = sys.modules.get(name)
        place = getattr(used, "__file__", None) or "a part of Python"
        if used and Path(place) != other:
            raise UserError(
                f"{file}: import {name} finds {place}, not {other.name} beside it; rename that file"
            )
    if not callable(getattr(module, FUNCTION, None)):
        raise UserError(f"{file}: defines no {FUNCTION}(response, item); write this function")
    return module


def _told(error: BaseException, file: str) -> UserError:
    """Return an error in the user's code as a message, with the last of its lines."""
    folder = Path(file).resolve().parent
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    place = file
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{_shorter(error.filename, file)}: line {error.lineno}"
    elif own:
        place = f"{_shorter(own[-1].filename, file)}: line {own[-1].lineno}"
    return UserError(f"{place}: {type(error).__name__}: {error}")


def _shorter(name: str, file: str) -> str:
    """Return a path below the scorer's folder as the study would have it."""
    folder = Path(file).resolve().parent
    inner = Path(name)
    return str(Path(file).parent / inner.relative_to(folder)) if inner.is_absolute() else name


# ---------------------------------------------------------------------- what it returned


def _scores(given: Any, module: ModuleType, file: str) -> list[ItemScore]:
    """Return what the function returned as scores, in the order of METRICS or of the alphabet."""
    if isinstance(given, list) and given and all(isinstance(one, ItemScore) for one in given):
        found = [_checked(one, file) for one in given]
    else:
        credits = given if isinstance(given, Mapping) else {_only(module, file): given}
        if not credits:
            raise UserError(f"{file}: {FUNCTION} returned an empty mapping; {RETURNS}")
        several = len(credits) > 1
        found = [
            _score(metric, value, _measure(metric, module, file, several), file)
            for metric, value in credits.items()
        ]
    metrics = [one.metric for one in found]
    _check_metrics(metrics, module, file)
    order = _declared(module, file) or sorted(metrics)
    return sorted(found, key=lambda score: order.index(score.metric))


def _checked(score: ItemScore, file: str) -> ItemScore:
    """Return a score with numbers as floats; UserError where a field is of another type."""
    texts = (score.status, score.reason, score.choice or "")
    if not all(isinstance(text, str) for text in texts) or not isinstance(score.measure, Measure):
        raise UserError(
            f"{file}: {FUNCTION} returned {shown(score)}, whose fields are not those of it"
        )
    margin = None if score.margin is None else _number(score.margin, file)
    credit, weight = _number(score.credit, file), _number(score.weight, file)
    return replace(score, credit=credit, weight=weight, margin=margin)


def _score(metric: str, value: Any, measure: Measure, file: str) -> ItemScore:
    credit = _number(value, file)
    if measure.bounded and not 0 <= credit <= 1:
        raise UserError(
            f"{file}: {FUNCTION} returned {shown(value)}; return 0 to 1, or say BOUNDED = False "
            "in the file"
        )
    return ItemScore(metric, credit, "scored", None, f"{credit:g}", measure=measure)


def _number(value: Any, file: str) -> float:
    """Return a finite number; numpy's and torch's single values are numbers, too."""
    try:
        plain = value.item() if callable(getattr(value, "item", None)) else value
    except (TypeError, ValueError, RuntimeError):
        plain = None  # an array of several
    if not isinstance(plain, bool | int | float):
        raise UserError(f"{file}: {FUNCTION} returned {shown(value)}; {RETURNS}")
    if not math.isfinite(plain):
        raise UserError(f"{file}: {FUNCTION} returned {shown(value)}; return a finite number")
    return float(plain)


def _only(module: ModuleType, file: str) -> str:
    """Return the name of a lone metric."""
    declared = _declared(module, file)
    if len(declared) > 1:
        raise UserError(
            f"{file}: {FUNCTION} returned one value for the METRICS {', '.join(declared)}; return "
            "a mapping of them to numbers"
        )
    return declared[0] if declared else ""


def _check_metrics(given: list[str], module: ModuleType, file: str) -> None:
    declared = _declared(module, file)
    if declared and {*given} != {*declared}:
        raise UserError(
            f"{file}: {FUNCTION} returned the metrics {shown(given)}, and METRICS names "
            f"{shown([*declared])}; make them the same"
        )
    if set(given) != {""}:
        checked_metrics(given, file)


def _declared(module: ModuleType, file: str) -> tuple[str, ...]:
    value = getattr(module, "METRICS", None)
    return () if value is None else checked_metrics(value, file)


def _measure(metric: str, module: ModuleType, file: str, several: bool) -> Measure:
    """Return what the file's constants say of a metric."""
    higher = _constant(module, "HIGHER_IS_BETTER", bool, file)
    bounded = _constant(module, "BOUNDED", bool, file)
    title = _constant(module, "TITLE", str, file)
    if higher is bounded is title is None:
        return ACCURACY
    named = f"{title}: {metric}" if title and several else title or metric or Path(file).stem
    if bounded is False:
        return Measure(named, "plain", higher is not False, bounded=False)
    return Measure(named, "percent", higher is not False)


def _constant(module: ModuleType, name: str, kind: type, file: str) -> Any:
    value = getattr(module, name, None)
    if value is not None and not isinstance(value, kind):
        words = "a text" if kind is str else "True or False"
        raise UserError(f"{file}: {name} is {shown(value)}; it has to be {words}")
    return value
