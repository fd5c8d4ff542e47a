"""The command line: look at a study before, while and after it runs."""

import argparse
import io
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorascope.errors import UserError, unreadable
from lorascope.inspecting import audit, crate, export, items, new, whereabouts
from lorascope.inspecting.overview import chosen, plan_lines
from lorascope.inspecting.partial import report_lines
from lorascope.inspecting.prune import prune_lines
from lorascope.inspecting.status import status_lines
from lorascope.planning.plan import Plan, load_plan
from lorascope.study.parsing import read_study
from lorascope.study.reference import as_yaml, schema_text, study_reference

HARMLESS = "looks, and decides nothing"


def _status(plan: Plan, only: Sequence[str]) -> Iterable[str]:
    return status_lines(plan, chosen(plan, only))


def _why(plan: Plan, only: Sequence[str]) -> Iterable[str]:
    for planned in chosen(plan, only):
        yield f"{planned.id}: {plan.why(planned.id) or 'done, nothing changed'}"


def _study(plan: Plan, only: Sequence[str]) -> Iterable[str]:
    kept = {planned.id for planned in chosen(plan, only)}
    resolved = plan.study.resolved()
    resolved["experiments"] = [e for e in resolved["experiments"] if e["id"] in kept]
    yield as_yaml(resolved).rstrip()


COMMANDS = {
    "plan": (plan_lines, "sum up what a run would do"),
    "status": (_status, "tell for each experiment how far it is"),
    "why": (_why, "tell what changed since an experiment was last made"),
    "study": (_study, "print the study with all defaults and IDs"),
}
OWN = {
    "items": (items.items_lines, items.PURPOSE, items.add_options),
    "path": (whereabouts.path_lines, whereabouts.PURPOSE, whereabouts.add_options),
    "export": (export.export_lines, export.PURPOSE, export.add_options),
    "crate": (crate.crate_lines, crate.PURPOSE, crate.add_options),
}
"""Commands on a study that have options of their own."""
PAGES = {
    "reference": "print the reference of the study file (docs/study.md)",
    "schema": "print the JSON schema of the study file, for editors",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 after a message for what the user can fix."""
    asked = _options().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Of a response, not every character is in every terminal's encoding.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        for line in _lines(asked):
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


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="lorascope", description=__doc__)
    commands = options.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        _study_option(command)
        command.add_argument("id", nargs="*", help="experiment IDs; all if none is given")
    reporting = "make the report of the experiments that are done, naming those that are not"
    _study_option(commands.add_parser("report", help=reporting, description=reporting))
    pruning = "list what no study plans, with sizes; remove it only when told to"
    command = commands.add_parser("prune", help=pruning, description=pruning)
    command.add_argument("--remove", action="store_true", help="remove what is listed")
    command.add_argument(
        "studies", nargs="+", type=Path, help="every study file whose results are to be kept"
    )
    for name, (_, purpose, add) in OWN.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        _study_option(command)
        add(command)
    new.add_options(commands.add_parser("new", help=new.PURPOSE, description=new.PURPOSE))
    audit.add_options(commands.add_parser("audit", help=audit.PURPOSE, description=audit.PURPOSE))
    for name, purpose in PAGES.items():
        commands.add_parser(name, help=purpose, description=purpose)
    return options


def _study_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--configfile",
        type=Path,
        action="append",
        metavar="FILE",
        help="the study, config.yaml if none is given; of several, each changes keys of those "
        "before it, as snakemake --configfile STUDY CHANGES does",
    )


def _lines(asked: argparse.Namespace) -> Iterable[str]:
    if asked.command in PAGES:
        yield (study_reference() if asked.command == "reference" else schema_text()).rstrip()
    elif asked.command == "new":
        yield from new.new_lines(asked)
    elif asked.command == "audit":
        yield from audit.audit_lines(asked)
    elif asked.command == "report":
        yield from report_lines(_plan(*_files(asked)))
    elif asked.command == "prune":
        yield from prune_lines([_plan(file) for file in asked.studies], asked.remove)
    elif asked.command in OWN:
        yield from OWN[asked.command][0](_plan(*_files(asked)), asked)
    else:
        yield from COMMANDS[asked.command][0](_plan(*_files(asked)), asked.id)


def _files(asked: argparse.Namespace) -> list[Path]:
    return asked.configfile or [Path("config.yaml")]


def _plan(*files: Path) -> Plan:
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
