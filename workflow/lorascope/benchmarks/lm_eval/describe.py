"""What tasks of lm-evaluation-harness are made of: python -m lorascope.benchmarks.lm_eval.describe.

Reads what is asked as JSON from the standard input and writes the answer as a line of JSON. Run by
planning, which imports none of what stands behind this.
"""

import contextlib
import difflib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lm_eval.config.task import TaskConfig
from lm_eval.tasks import _factory
from lm_eval.tasks._index import Entry, Kind, TaskIndex
from lm_eval.tasks._yaml_loader import load_yaml

from lorascope.benchmarks.lm_eval.harness import written
from lorascope.benchmarks.lm_eval.measuring import kept_metrics, metric_name
from lorascope.benchmarks.lm_eval.refusing import KEYS, reasons
from lorascope.benchmarks.lm_eval.tasks import place, portable
from lorascope.benchmarks.lm_eval.whereabouts import data_of
from lorascope.errors import UserError, listing
from lorascope.storage.records import checked_document, file_sha256, write_document

KIND = "names of tasks"
TASKS = Path(_factory.__file__).parent
FUNCTION = re.compile(r"!function\s+[\"']?([\w./]+)\.\w+")


def describe(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return tasks, repositories, notes and the files looked at; UserError for what is refused."""
    names = [asked["task"]] if isinstance(asked["task"], str) else asked["task"]
    index = _Index(Path(asked["index"]), asked["include_path"])
    members = _Members()
    for name in names:
        _add(members, name, index, asked["include_path"])
    _refuse_twins([found["name"] for found in members.found])
    repositories: list[dict[str, Any]] = []
    tasks, notes, reported = [], _Notes(), {}
    for found in members.found:
        try:
            task, config = _task(found, asked)
            task["data"] = data_of(config, Path(asked["source"]), repositories)
        except UserError as error:
            others = "; name the others without it" if len(members.found) > 1 else ""
            words = f"task: {found['name']} is not run here: {error}{others}"
            raise UserError(words) from error
        reported[task["name"]] = _reported(config)
        notes.add(task["name"], config, asked["num_fewshot"])
        tasks.append(task)
    files = {path: sha for task in tasks for path, sha in task["files"].items()}
    return {
        "tasks": tasks,
        "repositories": repositories,
        "reported": reported,
        "notes": notes.lines,
        "files": files,
    }


# ---------------------------------------------------------------------------- by their names


class _Members(_factory.TaskFactory):  # type: ignore[misc]
    """Builds groups and tags as the harness does, but notes tasks instead of making them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []

    def take(self, entry: Entry, index: dict[str, Entry]) -> None:
        """Note the tasks that an entry stands for."""
        made = _factory.ConfigurableTask
        # A group makes the tasks that it writes out itself by this name.
        _factory.ConfigurableTask = self._inline
        try:
            self.build(entry, overrides=None, registry=index)
        finally:
            _factory.ConfigurableTask = made

    def _build_task(self, entry: Entry, overrides: dict[str, Any] | None) -> Any:
        name = (overrides or {}).get("task", entry.name)
        return self._noted(name, portable(entry.yaml_path), None, overrides or {})

    def _inline(self, config: dict[str, Any]) -> Any:
        return self._noted(config["task"], None, config, {})

    def _noted(self, name: str, yaml: str | None, inline: Any, overrides: Any) -> Any:
        self.found.append({"name": name, "yaml": yaml, "inline": inline, "overrides": overrides})
        return _Named(name)


class _Named:
    def __init__(self, task_name: str) -> None:
        self.task_name = task_name


class _Index(dict[str, Entry]):
    """Every name that is known: the user's own, and then, once asked for, the harness's.

    Those stand in some ten thousand files, and are kept in one.
    """

    def __init__(self, kept: Path, include_path: str | None) -> None:
        super().__init__(TaskIndex.build([Path(include_path)]) if include_path else {})
        self.kept, self.whole = kept, False

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (self._complete() and super().__contains__(name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return the entry of a name, ``default`` where there is none."""
        return super().get(name, default) if name in self else default

    def _complete(self) -> bool:
        """Add the harness's names; return whether they were lacking."""
        if self.whole:
            return False
        self.whole = True
        for name, entry in _of_harness(self.kept).items():
            self.setdefault(name, entry)
        return True


def _of_harness(kept: Path) -> dict[str, Entry]:
    try:
        known = checked_document(kept, KIND, kept.stem)["names"]
        return {name: _entry(name, *of) for name, of in known.items()}
    except (OSError, ValueError, UserError):  # only a cache
        index: dict[str, Entry] = TaskIndex.build([TASKS])
    with contextlib.suppress(UserError):
        names = {name: _plain(entry) for name, entry in index.items()}
        write_document(kept, KIND, kept.stem, {"names": names})
    return index


def _plain(entry: Entry) -> list[Any]:
    yaml = entry.yaml_path and str(entry.yaml_path.relative_to(TASKS))
    return [entry.kind.name, yaml, sorted(entry.tags)]


def _entry(name: str, kind: str, yaml: str | None, tags: list[str]) -> Entry:
    return Entry(name, Kind[kind], TASKS / yaml if yaml else None, None, set(tags))


def _add(members: _Members, name: str, index: _Index, include_path: str | None) -> None:
    """Note the tasks that a name or a path stands for; UserError where it stands for none."""
    try:
        is_path = name.endswith((".yaml", ".yml"))
        entry = TaskIndex.entry_from_path(Path(name)) if is_path else index.get(name)
        before = len(members.found)
        if entry:
            members.take(entry, index)
    except Exception as error:  # whatever a user's YAML leads to
        raise UserError(f"task: {name} cannot be read: {_words(error)}") from error
    if entry is None:
        raise UserError(f"task: {_unknown(name, index, include_path)}")
    if len(members.found) == before:
        raise UserError(f"task: {name} holds no task; correct the file")


def _unknown(name: str, index: Mapping[str, Entry], include_path: str | None) -> str:
    if name.endswith((".yaml", ".yml")):
        return f"{name}: no such file, or one without a task; correct the path"
    for path in sorted(Path(include_path).rglob("*.yaml")) if include_path else ():
        try:
            load_yaml(path, resolve_func=False)
        except Exception as error:  # as above
            return f"no task is called {name!r}, but {path} cannot be read: {_words(error)}"
    close = difflib.get_close_matches(name, index, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "lm_eval ls tasks lists them"
    return f"no task, group or tag is called {name!r}; {hint}"


def _refuse_twins(names: list[str]) -> None:
    twins = {name for name in names if names.count(name) > 1}
    if twins:
        raise UserError(
            f"task: {listing(sorted(twins))} comes twice, by itself or in a group; name it once"
        )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


# --------------------------------------------------------------------------------- one by one


def _task(found: dict[str, Any], asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a task, without its data, and its configuration; UserError for one not run here."""
    yaml = found["yaml"]
    try:
        json.dumps([found["inline"], found["overrides"]])
    except TypeError:
        raise UserError("its group gives it a function; write a task of your own") from None
    files = list(_files(place(yaml))) if yaml else []
    raw = load_yaml(place(yaml), resolve_func=False) if yaml else found["inline"]
    # Before its functions are imported, which may fail for the very reason.
    for key, reason in KEYS.items():
        if {**raw, **found["overrides"]}.get(key):
            raise UserError(reason)
    try:
        config = written(yaml, found["inline"], found["overrides"])
        checked = TaskConfig(**config)
    except ImportError as error:
        raise UserError(f"its functions cannot be imported: {_words(error)}") from error
    except Exception as error:  # its file, and the code it names, may hold anything
        raise UserError(f"its configuration cannot be read: {_words(error)}") from error
    helpers = [path for path in files if path.suffix == ".py"]
    for reason in reasons(config, helpers, asked["apply_chat_template"]):
        raise UserError(reason)
    config["num_fewshot"] = checked.num_fewshot
    return {**found, "files": {portable(path): file_sha256(path) for path in files}}, config


def _files(yaml: Path) -> Iterator[Path]:
    """Yield a task's YAML file, those it includes, and the Python files with their functions."""
    yield yaml
    text = yaml.read_text(encoding="utf-8")
    for name in sorted(set(FUNCTION.findall(text))):
        yield from _helpers(yaml.parent, name)
    includes = load_yaml(yaml, resolve_func=False, recursive=False).get("include", [])
    for name in includes if isinstance(includes, list) else [includes]:
        yield from _files(yaml.parent / name)


def _helpers(folder: Path, module: str) -> Iterator[Path]:
    """Yield the file of a module of functions and, of the user's own, those beside it."""
    path = folder / f"{module.replace('.', '/')}.py"
    if path.exists():
        yield path
        if not path.resolve().is_relative_to(TASKS.resolve()):
            yield from (other for other in sorted(path.parent.glob("*.py")) if other != path)
        return
    with contextlib.suppress(ImportError, ValueError):
        spec = find_spec(module)
        if spec and spec.origin:
            yield Path(spec.origin)


def _reported(config: Mapping[str, Any]) -> list[str]:
    """Return a task's metrics under each of its filters, as far as its file tells them."""
    kept, _ = kept_metrics(config)
    filters = [pipeline["name"] for pipeline in config.get("filter_list") or ()] or ["none"]
    return [f"{metric_name(entry)} ({name})" for entry in kept for name in filters]


class _Notes:
    """What is said about tasks in the log, once for all that it is true of."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, name: str, config: Mapping[str, Any], num_fewshot: int | None) -> None:
        _, left_out = kept_metrics(config)
        for metric, why in left_out.items():
            self.found.setdefault(f"metric {metric} is left out, as {why}", []).append(name)
        if num_fewshot is not None and config["num_fewshot"] == 0 != num_fewshot:
            self.found.setdefault("num_fewshot stays 0, as the task says so itself", []).append(
                name
            )

    @property
    def lines(self) -> list[str]:
        return [f"{listing(names)}: {what}" for what, names in self.found.items()]


def main() -> int:
    """Answer what is asked."""
    asked = json.load(sys.stdin)
    # Tasks and libraries may print.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer = describe(asked)
        except UserError as error:
            answer = {"refused": str(error)}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
