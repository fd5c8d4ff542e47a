"""Ready-made adapters that cannot be used are refused while a study is planned."""

# A study without adapters needs no numpy.
# ruff: noqa: PLC0415

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lorascope.errors import UserError, listing
from lorascope.models.adapter_config import (
    CONFIG,
    check_folder,
    check_summand,
    read_config,
    weights_file,
)
from lorascope.models.strength.kinds import (
    MODEL,
    Kind,
    check_alike,
    check_source,
    kind_of,
    no_drift,
    no_scaling,
    no_strength,
    read_model_config,
)
from lorascope.planning.context import PlanContext
from lorascope.planning.models import here
from lorascope.planning.results import download_name
from lorascope.storage.downloads import commit_of
from lorascope.storage.hub import cached_config
from lorascope.storage.records import peek
from lorascope.study.judge_checks import used_judges
from lorascope.study.scaling_words import in_words
from lorascope.study.settings import HubFile

if TYPE_CHECKING:
    from lorascope.models.auditing.base import Model

HARMLESS = "refuses early what the job that loads an adapter would refuse"


def check_adapters(context: PlanContext) -> None:
    """UserError for an adapter of the study that is here, and is none of its model's.

    So is a scaling of what has a strength, and a strength of what has a scaling.
    """
    derived = [context.study.adapters[name].derived for name in context.adapters]
    summed = {part for one in derived if one and not one.is_null for part in one.terms}
    for name in context.adapters:
        adapter = context.study.adapters[name]
        if adapter.source is not None:
            takes_more = context.family(adapter.model).takes_strength
            try:
                folder = _checked(adapter.source, takes_more)
                if folder and name in summed:
                    check_summand(read_config(folder), str(folder / CONFIG))
                if folder and _kind(folder) == "checkpoint":
                    _check_copy(_base(context, name), folder)
            except UserError as error:
                where = f"{context.study.file}: adapters.{name}.source"
                raise UserError(f"{where}: {error}") from error
            if folder:
                _check_amounts(context, name, folder, _kind(folder))
                _check_base(context, name, folder)
                _check_shuffles(context, name, folder)


def _check_shuffles(context: PlanContext, name: str, folder: Path) -> None:
    """UserError for more shuffles of an adapter that is here than there are."""
    adapters = [(n, context.study.adapters[n].derived) for n in context.adapters]
    shuffled = [(n, d.draw) for n, d in adapters if d and d.kind == "shuffled" and name in d.parts]
    if not shuffled:
        return
    from lorascope.models.auditing.adapters import read_adapter
    from lorascope.models.deriving.shuffling import orders, refusal

    try:
        ways = orders(read_adapter(folder).parts)
    except UserError:
        return  # the job that reads them says so
    for own, draw in shuffled:
        if problem := refusal(name, ways, draw + 1):
            raise UserError(f"{context.study.file}: adapters.{own}: {problem}")


def _checked(source: str | HubFile, takes_more: bool) -> Path | None:
    """Return an adapter's folder as far as it is here: of one from the hub, weights may come.

    ``takes_more`` is whether its model takes what is more than a LoRA.
    """
    if isinstance(source, str):
        if not Path(source).exists():
            return None
        (check_source if takes_more else check_folder)(Path(source))
        return Path(source)
    commit = commit_of(download_name(source.model_dump(), is_data=False))
    revision = commit if isinstance(commit, str) else source.revision
    if config := cached_config(source.hub, revision, CONFIG):
        read_config(config.parent, takes_more)
        return config.parent
    whole = cached_config(source.hub, revision, MODEL) if takes_more else None
    return whole.parent if whole else None


def _kind(folder: Path) -> Kind | None:
    """Return what a folder holds, None where that is not known before all of it is here."""
    try:
        return kind_of(folder)
    except UserError:
        return None


def _base(context: PlanContext, name: str) -> "Model":
    """Return the model that an adapter of the study is for, with its folder if it is here."""
    from lorascope.models.auditing.base import Model

    model = context.study.adapters[name].model
    key = context.family(model).language_model
    source = getattr(context.study.models[model], key)
    place = here(context, model, (key,)).get(key)
    return Model.at(source) if isinstance(source, str) else Model(source.hub, source.hub, place)


def _check_amounts(context: PlanContext, name: str, folder: Path, kind: Kind | None) -> None:
    """UserError for an experiment, or a judge, that gives an adapter what it does not have."""
    for where, message in _wrong_amounts(context, name, folder, kind):
        raise UserError(f"{context.study.file}: {where}: {message}")


def _wrong_amounts(
    context: PlanContext, name: str, folder: Path, kind: Kind | None
) -> Iterator[tuple[str, str]]:
    if kind is None:
        return
    for experiment in context.asked:
        settings = experiment.settings
        if experiment.adapter == name:
            where = f"experiment {experiment.id}"
            if kind == "lora" and settings.strength is not None:
                yield where, no_strength(folder, settings.strength)
            if kind != "lora" and settings.mode == "drift":
                yield where, no_drift(folder)
            if kind != "lora" and settings.lora_scaling is not None:
                yield where, no_scaling(folder, in_words(settings.lora_scaling))
    for judge in used_judges(context.study):
        scaling = context.study.judges[judge].lora_scaling
        if context.study.judges[judge].adapter == name and kind != "lora" and scaling is not None:
            message = f"{folder}: cannot scale what is more than W x + s B A x; leave it out"
            yield f"judges.{judge}.lora_scaling", message


def _check_copy(base: "Model", folder: Path) -> None:
    """UserError for a checkpoint that has no weights, or those of another model's shapes."""
    from lorascope.models.auditing.tensors import is_safe, read_model

    tuned = read_model(folder) if is_safe(folder) else {}
    if base.folder is None or not (base.folder / MODEL).exists():
        return
    check_alike(folder, read_model_config(base.folder), read_model_config(folder))
    own = read_model(base.folder) if is_safe(base.folder) else {}
    if odd := [name for name in own if name in tuned and own[name].shape != tuned[name].shape]:
        raise UserError(
            f"{folder}: the shapes of {listing(odd)} are not those of the model in {base.folder}. "
            "A strength needs a fine-tuned copy of the model; give this one a model of its own."
        )


def _check_base(context: PlanContext, name: str, folder: Path) -> None:
    """UserError for an adapter that was certainly made for another model than the study's."""
    from lorascope.models.auditing.adapters import read_adapter
    from lorascope.models.auditing.base import compare, refusal
    from lorascope.models.auditing.tensors import is_safe, read_model

    if _kind(folder) == "checkpoint":
        return
    model, parts, tensors = _base(context, name), [], None
    try:
        if weights_file(folder).suffix == ".safetensors":
            parts = read_adapter(folder, more=True).parts
            tensors = read_model(model.folder) if model.folder and is_safe(model.folder) else None
    except UserError:
        pass  # what reads them to compute says so
    base = peek(folder / CONFIG).get("base_model_name_or_path")
    named = base if isinstance(base, str) and base.strip() else None
    accepted = context.study.adapters[name].base_model
    verdict = compare(named, parts, model, tensors, accepted)
    if verdict.kind in ("other", "misfit"):
        raise UserError(refusal(f"{context.study.file}: adapters.{name}.source: {folder}", verdict))
