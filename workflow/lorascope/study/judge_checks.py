"""Whether the judges of a study, and the scorers that ask them, go with the rest of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lorascope.errors import UserError, listing, shown
from lorascope.study.registry import BENCHMARKS, FAMILIES, SCORERS

if TYPE_CHECKING:
    from lorascope.study.experiments import Experiment
    from lorascope.study.judges import JudgeSettings
    from lorascope.study.study import Study

HARMLESS = "settings that decide a result are in its fingerprint by their values"

PREFERENCE = "preference"
"""What a scorer asks, and the name of the protocol that asks it."""
BESIDE = ("agreement", "second")
"""Keys of scorers that ask judges more, and change no score."""


def judges_of(experiment: "Experiment") -> list[str]:
    """Return the judges that an experiment's scorer asks, the one that counts first."""
    if SCORERS[experiment.scorer].asks is None:
        return []
    keys = experiment.scoring
    return [keys["judge"], *([keys["second"]] if keys["second"] else [])]


def used_judges(study: "Study") -> list[str]:
    """Return the judges that experiments ask, each once."""
    found = (name for e in study.experiments.values() for name in judges_of(e))
    return list(dict.fromkeys(found))


def rival(study: "Study", experiment: "Experiment") -> str:
    """Return the ID of the experiment whose responses a preference compares with.

    UserError where there is none, or one of other items.
    """
    where = f"{study.file}: experiment {experiment.id}: scorer.against"
    named = experiment.scoring["against"]
    known = study.experiments
    if named is None:
        found = list(dict.fromkeys(_baselines(study, experiment)))
        if len(found) != 1:
            what = f"{listing(found)} are baselines" if found else "no experiment is the baseline"
            raise UserError(
                f"{where}: {what} of {experiment.id} on the dataset {experiment.dataset!r}; name "
                "the experiment to compare with"
            )
        return found[0]
    if named not in known:
        raise UserError(f"{where}: no experiment has the ID {shown(named)}; name one of the study")
    if known[named].dataset != experiment.dataset:
        raise UserError(
            f"{where}: {named} answers the dataset {known[named].dataset!r}, not "
            f"{experiment.dataset!r}; name an experiment on the same one"
        )
    if known[named].mode != experiment.mode:
        raise UserError(f"{where}: {named} is answered in another mode; name one in the same mode")
    return str(named)


def _baselines(study: "Study", experiment: "Experiment") -> Iterator[str]:
    for reference in study.references:
        if experiment.id in reference.of:
            for name in reference.experiments:
                other = study.experiments.get(name)
                if other and (other.dataset, other.mode) == (experiment.dataset, experiment.mode):
                    yield name


def check_judges(study: "Study") -> None:
    """Raise UserError, naming the study's file and key, for a judge that cannot judge."""
    for name, judge in study.judges.items():
        _check_judge(study, name, judge)
    for experiment in study.experiments.values():
        for key, name in zip(("judge", "second"), judges_of(experiment), strict=False):
            _check_asked(study, experiment, key, name)
        if SCORERS[experiment.scorer].asks == PREFERENCE:
            rival(study, experiment)
        if experiment.rules or "rules" in experiment.scoring:
            _check_rules(study, experiment)


def _check_judge(study: "Study", name: str, judge: "JudgeSettings") -> None:
    """Refuse a model that is not the study's or takes no text, and another model's adapter."""
    where = f"{study.file}: judges.{name}"
    if judge.model is None:
        return
    if judge.model not in study.models:
        known = listing(study.models, 20)
        raise UserError(f"{where}.model: {shown(judge.model)} is not defined; known: {known}")
    kind = study.models[judge.model].family
    family = FAMILIES[kind]
    if family.takes != "text" or "generate" not in family.modes or not family.takes_questions:
        raise UserError(
            f"{where}.model: {judge.model!r} is of family {kind}, which answers no questions of "
            "text; name a model that does"
        )
    if judge.adapter is None:
        if judge.lora_scaling and not family.own_adapter:
            raise UserError(
                f"{where}.lora_scaling: {judge.lora_scaling:g} touches no layer; name an adapter"
            )
        return
    if judge.adapter not in study.adapters:
        known = listing(study.adapters, 20) or "none"
        raise UserError(f"{where}.adapter: {shown(judge.adapter)} is not defined; known: {known}")
    if (own := study.adapters[judge.adapter].model) != judge.model:
        raise UserError(
            f"{where}.adapter: {judge.adapter!r} is for the model {own!r}, not {judge.model!r}"
        )


def _check_asked(study: "Study", experiment: "Experiment", key: str, name: str) -> None:
    """Refuse a judge that is not the study's, asked twice, or with a protocol of another kind."""
    where = f"{study.file}: experiment {experiment.id}: scorer.{key}"
    if name not in study.judges:
        known = listing(study.judges, 20) or "none (add it under judges)"
        raise UserError(f"{where}: judge {shown(name)} is not defined; known: {known}")
    if key == "second" and name == experiment.scoring["judge"]:
        raise UserError(f"{where}: {shown(name)} is the first judge, too; name another, or none")
    prompt, prefers = study.judges[name].prompt, SCORERS[experiment.scorer].asks == PREFERENCE
    if isinstance(prompt, str) and (prompt == PREFERENCE) != prefers:
        remedy = "use the scorer preference" if prompt == PREFERENCE else "leave prompt out"
        raise UserError(
            f"{where}: judges.{name}.prompt is {prompt}, which is not what the scorer "
            f"{experiment.scorer} asks; {remedy}, or give the judge another prompt"
        )


def _check_rules(study: "Study", experiment: "Experiment") -> None:
    """Refuse rules that are no scorer of right and wrong, or of other answers."""
    dataset = study.datasets[experiment.dataset]
    answers = BENCHMARKS[dataset.benchmark].answers_of(dataset.model_dump())
    fitting = [
        name
        for name in SCORERS
        if SCORERS[name].undecided is not None and SCORERS[name].fits(answers, experiment.mode)
    ]
    where = f"{study.file}: experiment {experiment.id}: scorer.rules"
    name, own = experiment.rules or ("none", {})
    if name not in fitting:
        raise UserError(
            f"{where}: {name} has no verdict of right or wrong on such answers that a judge could "
            f"complete; use {' or '.join(fitting) or 'the scorer judge'}"
        )
    metrics = SCORERS[name].metrics_of(own)
    if metrics is not None and len(metrics) != 1:
        raise UserError(
            f"{where}: {name} has {len(metrics)} metrics; a judge completes a single verdict, so "
            "give it one"
        )
