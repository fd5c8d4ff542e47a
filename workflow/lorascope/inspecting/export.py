"""Write the answers of a study in a format that other tools read, all of them or nothing."""

import argparse
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lorascope.errors import UserError
from lorascope.exchange.formats import FORMATS
from lorascope.inspecting.answered import check_done, read_answered
from lorascope.inspecting.overview import chosen
from lorascope.planning.plan import Plan

HARMLESS = "looks, and decides nothing"

FEW = 2
"""Files of an experiment that are named; of more, their number is told."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command.add_argument("id", nargs="*", help="experiment IDs; all if none is given")
    command.add_argument("--format", required=True, choices=FORMATS, help="which format")
    command.add_argument(
        "--out", required=True, type=Path, metavar="FOLDER", help="where to write the files"
    )
    command.add_argument(
        "--force",
        action="store_true",
        help="write into a folder that is not empty; other files in it stay",
    )


def export_lines(plan: Plan, asked: argparse.Namespace) -> Iterator[str]:
    """Write the files; yield what each experiment became, and what the format cannot hold.

    UserError, before anything lies in the folder, where an experiment is not done, does not fit the
    format, or the folder is not empty.
    """
    identifiers = [planned.id for planned in chosen(plan, list(dict.fromkeys(asked.id)))]
    _check_folder(asked.out, asked.force)
    check_done(plan, identifiers)
    chosen_format, lines = FORMATS[asked.format], []
    notes: dict[str, list[str]] = {}
    with _new_folder(asked.out) as folder:
        for identifier in identifiers:
            answered = read_answered(plan, identifier)
            names = _write(folder, chosen_format.files(answered))
            what = ", ".join(names) if len(names) <= FEW else f"{len(names)} files"
            lines.append(f"{identifier}: {len(answered.answers)} answers, {what}")
            for note in chosen_format.notes(answered):
                notes.setdefault(note, []).append(identifier)
    yield from lines
    for note, of in notes.items():
        yield f"not held: {note}{'' if len(of) == len(identifiers) else f' ({_some(of)})'}"
    yield f"{asked.out}: {len(identifiers)} experiments as {asked.format}"


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def _check_folder(out: Path, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is no folder; name one that is empty or not there yet")
    if not force and out.is_dir() and any(out.iterdir()):
        raise UserError(
            f"--out {out}: is not empty; name another folder, or write into this one by --force "
            "(FORCE=yes), which replaces files of the same names"
        )


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder beside ``out``; what is in it is moved there if the block succeeds.

    A folder that is new or empty is there with all files at once.
    """
    out = out.resolve()
    temporary = out.with_name(f".{uuid.uuid4().hex}.{out.name}")
    try:
        temporary.mkdir(parents=True)
        try:
            yield temporary
            if out.is_dir() and any(out.iterdir()):
                _move_into(temporary, out)
            else:
                temporary.replace(out)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        problem = error.strerror or error
        raise UserError(f"--out {out}: cannot be written: {problem}") from error


def _move_into(temporary: Path, out: Path) -> None:
    for path in sorted(temporary.rglob("*")):
        if path.is_file():
            target = out / path.relative_to(temporary)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)


def _write(folder: Path, files: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """Write files into a folder; return their names."""
    names = []
    for name, lines in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
        names.append(name)
    return names
