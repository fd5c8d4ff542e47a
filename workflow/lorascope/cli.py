"""Look at a study: what is planned, what is done and why the rest is not, what nothing needs."""

import argparse
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorascope.benchmarks import benchmark
from lorascope.errors import UserError
from lorascope.expected import expected_lines
from lorascope.finetuning.count import trainable_parameters
from lorascope.models import family
from lorascope.plan import Made, Plan, PlannedExperiment, load_plan
from lorascope.planned import RESULTS
from lorascope.reference import study_reference
from lorascope.status import status_lines
from lorascope.study import RULES, refuse_repeated_keys
from lorascope.todo import by_rule, jobs_left, why

ROWS = 16  # of the experiments to do; the rest is summed up, so that a plan fits on a screen


def read_study(file: Path) -> dict[str, Any]:
    """Return the content of a study file; UserError if it is not a mapping of keys."""
    import yaml

    try:
        study = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file}: not found; name a study file") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file}: not readable as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(study, dict):
        raise UserError(f"{file}: holds no study; see config.yaml for one")
    refuse_repeated_keys(file)
    return study


# ------------------------------------------------------------------------------------ plan


def print_plan(plan: Plan, only: Sequence[str]) -> None:
    """Print what a run would do, on one screen whatever the number of experiments."""
    chosen = _chosen(plan, only)
    targets = [path for p in chosen for path in (p.predictions, p.runtime, p.scores)]
    jobs = jobs_left(plan, targets if only else plan.targets())
    reasons = {p.experiment.id: why(plan, p) for p in chosen}
    left = {identifier: reason for identifier, reason in reasons.items() if reason}
    print(f"study {plan.study.name} ({plan.study.file})")
    print(f"experiments: {len(chosen)}, done {len(chosen) - len(left)}, to do {len(left)}")
    for line in _summed_up(left):
        print(f"  {line}")
    if not jobs:
        print("nothing to do")
        return
    for path, use in plan.absent().items():
        print(f"not here yet: {path} ({use})")
    counts = by_rule(jobs)
    print("jobs: " + ", ".join(f"{rule} {counts[rule]}" for rule in RULES if counts[rule]))
    print(f"model loads: {counts['finetune'] + counts['encode'] + counts['infer']}")
    for line in _trainings(plan, jobs):
        print(f"to train: {line}")
    made = {path for job in jobs for path in job.outputs}
    inferred = [p for p in chosen if made.intersection(plan.shards(p))]
    items = _item_counts(plan)
    unanswered = {p.experiment.id: items[p.experiment.dataset] - _answered(p) for p in inferred}
    print(f"items to answer: {sum(unanswered.values()):,}")
    for line in expected_lines(plan, inferred, unanswered):
        print(f"expected: {line}")
    print(f"GPUs per job: {', '.join(_gpus(plan, inferred)) or 'none'}")
    size = _features_size(plan, jobs, items)
    features = f"at most {_size(size)} of features, " if size else ""
    print(f"disk: {features}{_free()} free")


def _chosen(plan: Plan, only: Sequence[str]) -> list[PlannedExperiment]:
    for identifier in only:
        if identifier not in plan.experiments:
            raise UserError(f"{plan.study.file}: no experiment has the ID {identifier!r}")
    return [plan.experiments[i] for i in only] if only else list(plan.experiments.values())


def _summed_up(reasons: dict[str, str]) -> Iterable[str]:
    width = max(map(len, reasons), default=0)
    if len(reasons) <= ROWS:
        yield from (f"{identifier:{width}}  {reason}" for identifier, reason in reasons.items())
        return
    groups: dict[str, list[str]] = {}
    for identifier, reason in reasons.items():
        groups.setdefault(reason, []).append(identifier)
    for reason, members in list(groups.items())[:ROWS]:
        yield f"{len(members)} experiments, {members[0]} to {members[-1]}: {reason}"
    if len(groups) > ROWS:
        yield f"... and {len(groups) - ROWS} more reasons; make why ID=<ID> tells one"


def _item_counts(plan: Plan) -> dict[str, int]:
    """Return dataset -> number of items, as published where the dataset is not here."""
    counts = {}
    for name, dataset in plan.datasets.items():
        settings = plan.study.datasets[name]
        module = benchmark(settings["benchmark"])
        counts[name] = sum(module.count_items(dataset.root, settings, plan.study.limit).values())
    return counts


def _answered(planned: PlannedExperiment) -> int:
    from lorascope.journal import Journal

    return len(Journal(planned.folder / "answers", "plan").read())


def _trainings(plan: Plan, jobs: Iterable[Made]) -> Iterable[str]:
    """Say what each training is, and how many parameters it trains if config.json is here."""
    made = {path for job in jobs for path in job.outputs}
    for planned in plan.adapters.values():
        if made.isdisjoint(planned.files):
            continue
        train, folder = planned.recipe["train"], _model_folder(plan, planned.model)
        count = folder and trainable_parameters(folder, train["rank"], train["target_modules"])
        known = f"{count:,} parameters" if count else "as many parameters as its log will say"
        gpus = plan.study.adapters[planned.name]["train"]["gpus"]
        yield f"{plan.finetune_message(planned)}: {known} (GPUs: {gpus})"


def _model_folder(plan: Plan, model: str) -> Path | None:
    """Return the folder of a text model's files, None where it is not here."""
    source = plan.study.models[model].get("model")
    if not isinstance(source, Mapping):
        return source and Path(source)
    from lorascope.hub import cached_config

    config = cached_config(source["hub"], source["revision"])
    return config and config.parent


def _gpus(plan: Plan, inferred: Iterable[PlannedExperiment]) -> list[str]:
    models = dict.fromkeys(p.experiment.model for p in inferred)
    return [f"{model} {plan.gpus(model)}" for model in models]


def _features_size(plan: Plan, jobs: Iterable[Made], items: dict[str, int]) -> float:
    encoded = {job.outputs[0].parent for job in jobs if job.rule == "encode"}
    size = 0
    heard = {p.features.folder: p for p in plan.experiments.values() if p.features}
    for planned in heard.values():
        if planned.features.folder in encoded:
            model = plan.study.models[planned.experiment.model]
            settings = {**model, **planned.experiment.settings}
            per_clip = family(model["family"]).feature_bytes(settings)
            hops = len(plan.study.datasets[planned.experiment.dataset]["hops"])
            size += per_clip * (items[planned.experiment.dataset] // hops)
    return size


def _free() -> str:
    return _size(shutil.disk_usage(".").free)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


# ---------------------------------------------------------------------------------- status


def print_status(plan: Plan, only: Sequence[str]) -> None:
    """Print a row per experiment: which stages are done, running, failed or missing."""
    for line in status_lines(plan, _chosen(plan, only), _item_counts(plan)):
        print(line)


def print_why(plan: Plan, only: Sequence[str]) -> None:
    """Print for each experiment why it is not done."""
    for planned in _chosen(plan, only):
        print(f"{planned.experiment.id}: {why(plan, planned) or 'done, nothing changed'}")


def print_study(plan: Plan, only: Sequence[str]) -> None:
    """Print the study with every default filled in and every grid expanded, as YAML."""
    import yaml

    resolved = {**plan.study.resolved}
    if only:
        chosen = {p.experiment.id for p in _chosen(plan, only)}
        resolved["experiments"] = [e for e in resolved["experiments"] if e["id"] in chosen]
    yaml.safe_dump(resolved, sys.stdout, sort_keys=False, allow_unicode=True)


# ----------------------------------------------------------------------------------- prune


def unplanned(plans: Iterable[Plan]) -> list[Path]:
    """Return the folders and scores under results that none of the studies plans."""
    planned: set[Path] = set()
    for plan in plans:
        for path in plan.made:
            planned |= {path, *path.parents}
        planned |= {p.folder for p in plan.experiments.values()}
        planned |= {p.features.folder for p in plan.experiments.values() if p.features}
    depth = {"datasets": 2, "adapters": 2, "features": 3, "experiments": 2}
    found = [
        folder
        for kind, levels in depth.items()
        for folder in sorted((RESULTS / kind).glob("/".join("*" * levels)))
        if folder not in planned
    ]
    scores = sorted((RESULTS / "experiments").glob("*/*/scores-*.parquet"))
    return found + [path for path in scores if path not in planned and path.parent in planned]


def prune(plans: Sequence[Plan], remove: bool) -> None:
    """List what no study plans, with sizes; remove it only if ``remove``."""
    total = 0
    for path in unplanned(plans):
        size = _bytes(path)
        total += size
        print(f"{_size(size):>8}  {path}")
        if remove:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if remove:
        print(f"{_size(total)} removed")
    else:
        print(f"{_size(total)} in all; nothing was removed (make prune REMOVE=yes removes it)")


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


# ------------------------------------------------------------------------------------ main

COMMANDS = {
    "plan": (print_plan, "sum up what a run would do"),
    "status": (print_status, "tell for each experiment how far it is"),
    "why": (print_why, "tell what changed since an experiment was last made"),
    "study": (print_study, "print the study with all defaults and IDs"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 after a message for what the user can mend."""
    options = argparse.ArgumentParser(prog="python -m lorascope", description=__doc__)
    commands = options.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("--configfile", type=Path, default=Path("config.yaml"))
        command.add_argument("id", nargs="*", help="experiment IDs; all if none is given")
    pruning = "list what no study plans, with sizes; remove it only when told to"
    command = commands.add_parser("prune", help=pruning, description=pruning)
    command.add_argument("--remove", action="store_true", help="remove what is listed")
    command.add_argument(
        "studies", nargs="+", type=Path, help="every study file whose results are to be kept"
    )
    purpose = "print the reference of the study file, generated from its schema"
    commands.add_parser("reference", help=purpose, description=purpose)
    chosen = options.parse_args(arguments)
    try:
        if chosen.command == "reference":
            print(study_reference(), end="")
        elif chosen.command == "prune":
            prune([load_plan(read_study(f), str(f)) for f in chosen.studies], chosen.remove)
        else:
            plan = load_plan(read_study(chosen.configfile), str(chosen.configfile))
            COMMANDS[chosen.command][0](plan, chosen.id)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
