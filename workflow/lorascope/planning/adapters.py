"""Ready-made adapters that cannot be used are refused while a study is planned."""

# A study without adapters needs no numpy.
# ruff: noqa: PLC0415

from pathlib import Path

from lorascope.errors import UserError
from lorascope.models.adapter_config import (
    CONFIG,
    check_folder,
    check_summand,
    read_config,
    weights_file,
)
from lorascope.planning.context import PlanContext, download_name
from lorascope.planning.models import here
from lorascope.storage.downloads import commit_of
from lorascope.storage.hub import cached_config
from lorascope.storage.records import peek
from lorascope.study.settings import HubFile

HARMLESS = "refuses early what the job that loads an adapter would refuse"


def check_adapters(context: PlanContext) -> None:
    """UserError for an adapter of the study that is here, and is no LoRA of its model's."""
    derived = [context.study.adapters[name].derived for name in context.adapters]
    summed = {part for one in derived if one and not one.is_null for part in one.terms}
    for name in context.adapters:
        if (source := context.study.adapters[name].source) is not None:
            try:
                folder = _checked(source)
                if folder and name in summed:
                    check_summand(read_config(folder), str(folder / CONFIG))
            except UserError as error:
                where = f"{context.study.file}: adapters.{name}.source"
                raise UserError(f"{where}: {error}") from error
            if folder:
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


def _checked(source: str | HubFile) -> Path | None:
    """Return an adapter's folder as far as it is here: of one from the hub, weights may come."""
    if isinstance(source, str):
        if Path(source).exists():
            check_folder(Path(source))
            return Path(source)
        return None
    commit = commit_of(download_name(source.model_dump(), is_data=False))
    revision = commit if isinstance(commit, str) else source.revision
    if config := cached_config(source.hub, revision, CONFIG):
        read_config(config.parent)
        return config.parent
    return None


def _check_base(context: PlanContext, name: str, folder: Path) -> None:
    """UserError for an adapter that was certainly made for another model than the study's."""
    from lorascope.models.auditing.adapters import read_adapter
    from lorascope.models.auditing.base import Model, compare, refusal
    from lorascope.models.auditing.tensors import is_safe, read_model

    adapter = context.study.adapters[name]
    key = context.family(adapter.model).language_model
    source = getattr(context.study.models[adapter.model], key)
    place = here(context, adapter.model, (key,)).get(key)
    model = Model.at(source) if isinstance(source, str) else Model(source.hub, source.hub, place)
    parts, tensors = [], None
    try:
        if weights_file(folder).suffix == ".safetensors":
            parts = read_adapter(folder).parts
            tensors = read_model(model.folder) if model.folder and is_safe(model.folder) else None
    except UserError:
        pass  # what reads them to compute says so
    base = peek(folder / CONFIG).get("base_model_name_or_path")
    named = base if isinstance(base, str) and base.strip() else None
    verdict = compare(named, parts, model, tensors, adapter.base_model)
    if verdict.kind in ("other", "misfit"):
        raise UserError(refusal(f"{context.study.file}: adapters.{name}.source: {folder}", verdict))
