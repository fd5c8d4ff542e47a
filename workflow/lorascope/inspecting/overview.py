"""What a run would do, on one screen whatever the number of experiments."""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lorascope.errors import UserError, unknown
from lorascope.inspecting.estimate import expected_lines
from lorascope.models.finetuning.count import stored_parameters, trainable_parameters
from lorascope.planning.absent import absent_lines
from lorascope.planning.derive import DerivedAdapter, Part
from lorascope.planning.derive import made as made_adapters
from lorascope.planning.download import not_pinned
from lorascope.planning.finetune import TrainedAdapter
from lorascope.planning.finetune import message as training_message
from lorascope.planning.infer import PlannedExperiment
from lorascope.planning.made import PlannedAdapter
from lorascope.planning.plan import STAGES, Plan
from lorascope.planning.results import download_name
from lorascope.planning.stage import PlannedJob
from lorascope.planning.told import answers
from lorascope.storage.downloads import commit_of
from lorascope.storage.hub import cached_config
from lorascope.storage.journal import Journal

HARMLESS = "looks, and decides nothing"

ROWS = 16  # of the experiments to do; the rest is summed up, so that a plan fits on a screen


def chosen(plan: Plan, only: Sequence[str]) -> list[PlannedExperiment]:
    """Return the experiments with these IDs, all of them for none; UserError for an unknown ID."""
    for identifier in only:
        if identifier not in plan.experiments:
            raise UserError(
                unknown(
                    f"{plan.study.file}: no experiment has the ID", identifier, plan.experiments
                )
            )
    return [plan.experiments[i] for i in only] if only else list(plan.experiments.values())


def item_counts(plan: Plan) -> dict[str, int | None]:
    """Return dataset -> number of items, as published where it is not here, None if unknown."""
    counts = {name: dataset.counts(plan.study.limit) for name, dataset in plan.datasets.items()}
    return {name: None if of is None else sum(of.values()) for name, of in counts.items()}


def plan_lines(plan: Plan, only: Sequence[str]) -> Iterable[str]:
    """Yield what a run would do."""
    experiments = chosen(plan, only)
    targets = [path for planned in experiments for path in plan.results_of(planned.id)]
    jobs = plan.left(targets if only else None)
    reasons = {planned.id: plan.why(planned.id) for planned in experiments}
    dropped = [identifier for identifier in reasons if identifier in plan.dropped]
    left = {name: reason for name, reason in reasons.items() if reason and name not in dropped}
    yield from absent_lines(plan.context, jobs)
    yield f"study {plan.study.name} ({plan.study.file})"
    yield from not_pinned(plan.context)
    done = len(experiments) - len(left) - len(dropped)
    beside = f", dropped by a search {len(dropped)}" if dropped else ""
    yield f"experiments: {len(experiments)}, done {done}, to do {len(left)}{beside}"
    yield from (f"  {line}" for line in _summed_up(left))
    if not jobs:
        yield "nothing to do"
        return
    counts = Counter(job.stage.name for job in jobs)
    yield "jobs: " + ", ".join(f"{name} {counts[name]}" for name in STAGES if counts[name])
    yield f"model loads: {_loads(plan, jobs)}"
    yield from (f"to train: {line}" for line in _trainings(plan, jobs))
    yield from _inference(plan, experiments, jobs)
    yield from _judging(plan, jobs)
    to_come, free = _features(plan, jobs) + _derived(plan, jobs), shutil.disk_usage(".").free
    yield f"disk: {to_come}{size_text(free)} free"


def _summed_up(reasons: Mapping[str, str]) -> Iterable[str]:
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


def _loads(plan: Plan, jobs: Iterable[PlannedJob]) -> str:
    """Say how often models are loaded: to answer, once for each device at work, not once a job."""
    loading = [job for job in jobs if job.loads_model]
    answering = [job.wildcards["id"] for job in loading if job.stage.name == "infer"]
    models = {plan.experiments[str(identifier)].experiment.model for identifier in answering}
    least = len(loading) - len(answering) + len(models)
    more = f", on more devices {len(loading)} at most" if least < len(loading) else ""
    return f"{least}{more}"


def _inference(
    plan: Plan, experiments: Sequence[PlannedExperiment], jobs: Iterable[PlannedJob]
) -> Iterable[str]:
    """Say how many questions are to be asked, how long that may take and on how many GPUs."""
    made = Counter(job.wildcards["id"] for job in jobs if job.stage.name == "infer")
    inferred = [planned for planned in experiments if planned.id in made]
    items = item_counts(plan)
    unanswered, unknown = {}, {}
    for planned in inferred:
        count = items[planned.experiment.dataset]
        if count is None:
            unknown[planned.experiment.dataset] = planned
        else:
            # Of one that is searched among, not all parts may be asked for yet.
            asked = -(-count * made[planned.id] // planned.shards)
            unanswered[planned.id] = min(count - _answered(planned), asked)
    beside = f", and those of {', '.join(unknown)} (not here yet)" if unknown else ""
    yield f"items to answer: {sum(unanswered.values()):,}{beside}"
    inferred = [planned for planned in inferred if planned.id in unanswered]
    yield from (f"expected: {line}" for line in expected_lines(plan, inferred, unanswered))
    models = dict.fromkeys(planned.experiment.model for planned in inferred)
    gpus = [f"{model} {plan.study.models[model].gpus_per_job}" for model in models]
    yield f"GPUs per job: {', '.join(gpus) or 'none'}"


def _judging(plan: Plan, jobs: Iterable[PlannedJob]) -> Iterable[str]:
    """Say how many responses each judge is asked about at most; it may know some of them."""
    made, items = {job.out for job in jobs}, item_counts(plan)
    most: dict[str, int] = {}
    for scores in plan.scores.values():
        for one in scores.verdicts:
            if one.path in made:
                count = items[one.experiment.experiment.dataset] or 0
                orders = 2 if one.rival else 1
                most[one.judge.words] = most.get(one.judge.words, 0) + orders * count
    for judge, count in most.items():
        yield f"to judge: at most {count:,} calls of {judge}"


def _answered(planned: PlannedExperiment) -> int:
    return len(Journal(answers(planned.folder), planned.digest, "plan").read())


def _trainings(plan: Plan, jobs: Iterable[PlannedJob]) -> Iterable[str]:
    """Say what each training is, and how many parameters it trains if config.json is here."""
    made = {job.out for job in jobs}
    for planned in plan.adapters.values():
        if planned.files["weights"] in made:
            train, count = planned.train, _trained_parameters(plan, planned)
            known = f"{count:,} parameters" if count else "as many parameters as its log will say"
            yield f"{training_message(planned)}: {known} (GPUs: {train.gpus})"


def _trained_parameters(plan: Plan, planned: TrainedAdapter) -> int | None:
    train, folder = planned.train, _model_folder(plan, planned)
    return trainable_parameters(folder, train.rank, train.target_modules) if folder else None


def _model_folder(plan: Plan, planned: TrainedAdapter) -> Path | None:
    """Return the folder of the language model that is adapted, None where it is not here."""
    source = getattr(plan.study.models[planned.model], planned.training.language_model)
    if isinstance(source, str):
        return Path(source)
    commit = commit_of(download_name(source.model_dump(), is_data=False))
    config = cached_config(source.hub, commit if isinstance(commit, str) else source.revision)
    return config and config.parent


def _features(plan: Plan, jobs: Iterable[PlannedJob]) -> str:
    encoded = {job.out.parent for job in jobs if job.stage.name == "encode"}
    size = 0
    for features in plan.features:
        if features.folder in encoded:
            model = plan.study.models[features.model]
            settings = {**vars(model), **features.fingerprint["settings"]}
            size += features.encoding.feature_bytes(settings) * features.dataset.clips(
                plan.study.limit
            )
    return f"at most {size_text(size)} of features, " if size else ""


def _derived(plan: Plan, jobs: Iterable[PlannedJob]) -> str:
    """Say how large the adapters are that are derived, in float32; "" where that is not known."""
    outs = {job.out for job in jobs if job.stage.name == "derive"}
    found = {one.digest: one for one in made_adapters(plan.context) if one.files["weights"] in outs}
    counts = [_parameters(plan, one) for one in found.values()]
    if not counts or None in counts:
        return ""
    return f"{size_text(4 * sum(filter(None, counts)))} of derived adapters, "


def _parameters(plan: Plan, adapter: PlannedAdapter | Part) -> int | None:
    """Return how many parameters an adapter has, or will have; None where that is not known."""
    if isinstance(adapter, Part):
        if adapter.made:
            return _parameters(plan, adapter.made)
        is_folder = isinstance(adapter.source, str) and not adapter.own
        return stored_parameters(Path(str(adapter.source))) if is_folder else None
    if (count := stored_parameters(adapter.folder)) is not None:
        return count
    if isinstance(adapter, TrainedAdapter):
        return _trained_parameters(plan, adapter)
    assert isinstance(adapter, DerivedAdapter)
    counts = [_parameters(plan, part) for part in adapter.parts]
    return None if None in counts else sum(filter(None, counts))


def size_text(count: float) -> str:
    """Return a number of bytes in words."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
