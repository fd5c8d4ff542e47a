"""The command line: look at a study before, while and after it runs."""

# A command imports what it needs when it is asked for: most need little of all there is.
# ruff: noqa: PLC0415

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from lorascope.errors import UserError, unreadable

if TYPE_CHECKING:
    from lorascope.planning.plan import Plan

HARMLESS = "looks, and decides nothing"


@dataclass(frozen=True)
class Command:
    """A command: what it is for, what yields its lines, what adds its options."""

    purpose: str
    lines: Callable[[argparse.Namespace], Iterable[str]]
    add_options: Callable[[argparse.ArgumentParser], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 after a message for what the user can fix."""
    words = sys.argv[1:] if arguments is None else arguments
    asked = _options(words).parse_args(words)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Of a response, not every character is in every terminal's encoding.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        for line in COMMANDS[asked.command].lines(asked):
            print(line, flush=True)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Who reads has seen enough (`| head`); Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(unreadable(error, asked.command), file=sys.stderr)
        return 1
    return 0


def _options(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser that knows every command, and the options of the one in ``words``."""
    options = argparse.ArgumentParser(prog="lorascope", description=__doc__)
    commands = options.add_subparsers(dest="command", required=True, metavar="COMMAND")
    asked = next((word for word in words if not word.startswith("-")), None)
    for name, known in COMMANDS.items():
        command = commands.add_parser(name, help=known.purpose, description=known.purpose)
        if name == asked:
            known.add_options(command)
    return options


# --------------------------------------------------------------------------------- options


def _study_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--configfile",
        type=Path,
        action="append",
        metavar="FILE",
        help="the study, config.yaml if none is given; of several, each changes keys of those "
        "before it, as snakemake --configfile STUDY CHANGES does",
    )


def _study_and_ids(command: argparse.ArgumentParser) -> None:
    _study_option(command)
    command.add_argument("id", nargs="*", help="experiment IDs; all if none is given")


def _studies(command: argparse.ArgumentParser) -> None:
    command.add_argument("--remove", action="store_true", help="remove what is listed")
    command.add_argument(
        "studies", nargs="+", type=Path, help="every study file whose results are to be kept"
    )


def _no_options(_command: argparse.ArgumentParser) -> None:
    pass


# -------------------------------------------------------------------------------- commands


def _plan(asked: argparse.Namespace) -> Iterable[str]:
    from lorascope.inspecting.overview import plan_lines

    return plan_lines(_planned(asked), asked.id)


def _status(asked: argparse.Namespace) -> Iterable[str]:
    from lorascope.inspecting.overview import chosen
    from lorascope.inspecting.status import status_lines

    plan = _planned(asked)
    return status_lines(plan, chosen(plan, asked.id))


def _why(asked: argparse.Namespace) -> Iterable[str]:
    from lorascope.inspecting.overview import chosen

    plan = _planned(asked)
    for planned in chosen(plan, asked.id):
        yield f"{planned.id}: {plan.why(planned.id) or 'done, nothing changed'}"


def _study(asked: argparse.Namespace) -> Iterable[str]:
    from lorascope.inspecting.overview import chosen
    from lorascope.study.reference import as_yaml

    plan = _planned(asked)
    kept = {planned.id for planned in chosen(plan, asked.id)}
    resolved = plan.study.resolved()
    resolved["experiments"] = [e for e in resolved["experiments"] if e["id"] in kept]
    yield as_yaml(resolved).rstrip()


def _report(asked: argparse.Namespace) -> Iterable[str]:
    from lorascope.inspecting.partial import report_lines

    return report_lines(_planned(asked))


def _prune(asked: argparse.Namespace) -> Iterable[str]:
    from lorascope.inspecting.prune import prune_lines

    return prune_lines([_plan_of(file) for file in asked.studies], asked.remove)


def _reference(_asked: argparse.Namespace) -> Iterable[str]:
    from lorascope.study.reference import study_reference

    yield study_reference().rstrip()


def _schema(_asked: argparse.Namespace) -> Iterable[str]:
    from lorascope.study.reference import schema_text

    yield schema_text().rstrip()


def _own(purpose: str, module: str, lines: str, has_study: bool = True) -> Command:
    """Return a command whose options stand in its module; ``lines`` is the function there."""
    module = f"lorascope.inspecting.{module}"

    def add(command: argparse.ArgumentParser) -> None:
        if has_study:
            _study_option(command)
        resolve_name(f"{module}:add_options")(command)

    def said(asked: argparse.Namespace) -> Iterable[str]:
        given = (_planned(asked), asked) if has_study else (asked,)
        found: Iterable[str] = resolve_name(f"{module}:{lines}")(*given)
        return found

    return Command(purpose, said, add)


COMMANDS = {
    "plan": Command("sum up what a run would do", _plan, _study_and_ids),
    "status": Command("tell for each experiment how far it is", _status, _study_and_ids),
    "why": Command("tell what changed since an experiment was last made", _why, _study_and_ids),
    "study": Command("print the study with all defaults and IDs", _study, _study_and_ids),
    "report": Command(
        "make the report of the experiments that are done, naming those that are not",
        _report,
        _study_option,
    ),
    "prune": Command(
        "list what no study plans, with sizes; remove it only when told to", _prune, _studies
    ),
    "items": _own(
        "print the items behind an experiment's numbers, alone or against another experiment",
        "items",
        "items_lines",
    ),
    "path": _own(
        "tell where the files of an experiment lie, and which of them are there",
        "whereabouts",
        "path_lines",
    ),
    "export": _own(
        "write the answers of experiments in a format of other tools, all of them or nothing",
        "export",
        "export_lines",
    ),
    "crate": _own(
        "describe where a report came from, as a Workflow Run RO-Crate in its folder",
        "crate",
        "crate_lines",
    ),
    "new": _own(
        "begin a study: look into a model, an adapter and a table, guess, and say what is guessed",
        "new",
        "new_lines",
        has_study=False,
    ),
    "audit": _own(
        "tell what an adapter does to its model's weights, by its files alone",
        "audit",
        "audit_lines",
        has_study=False,
    ),
    "reference": Command(
        "print the reference of the study file (docs/study.md)", _reference, _no_options
    ),
    "schema": Command("print the JSON schema of the study file, for editors", _schema, _no_options),
}


# ----------------------------------------------------------------------------------- plans


def _planned(asked: argparse.Namespace) -> "Plan":
    return _plan_of(*(asked.configfile or [Path("config.yaml")]))


def _plan_of(*files: Path) -> "Plan":
    from lorascope.planning.plan import load_plan
    from lorascope.study.parsing import read_study

    study: dict[str, Any] = {}
    for file in files:
        study = _changed(study, read_study(file))
    return load_plan(study, ", ".join(map(str, files)))


def _changed(study: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study with the keys of another file, group by group, as Snakemake merges them."""
    found = dict(study)
    for key, value in changes.items():
        group = found.get(key)
        if isinstance(value, Mapping) and isinstance(group, Mapping):
            found[key] = _changed(group, value)
        else:
            found[key] = value
    return found


if __name__ == "__main__":
    sys.exit(main())
