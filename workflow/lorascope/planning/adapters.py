"""Ready-made adapters that cannot be used are refused while a study is planned."""

from pathlib import Path

from lorascope.errors import UserError
from lorascope.models.adapter_config import CONFIG, check_folder, read_config
from lorascope.planning.context import PlanContext, download_name
from lorascope.storage.downloads import commit_of
from lorascope.storage.hub import cached_config
from lorascope.study.settings import HubFile

HARMLESS = "refuses early what the job that loads an adapter would refuse"


def check_adapters(context: PlanContext) -> None:
    """UserError for an adapter of the study that is here and is no LoRA that can be scaled."""
    for name in context.adapters:
        if (source := context.study.adapters[name].source) is not None:
            try:
                _check(source)
            except UserError as error:
                where = f"{context.study.file}: adapters.{name}.source"
                raise UserError(f"{where}: {error}") from error


def _check(source: str | HubFile) -> None:
    """Look at an adapter as far as it is here: of one from the hub, weights may still come."""
    if isinstance(source, str):
        if Path(source).exists():
            check_folder(Path(source))
        return
    commit = commit_of(download_name(source.model_dump(), is_data=False))
    revision = commit if isinstance(commit, str) else source.revision
    if config := cached_config(source.hub, revision, CONFIG):
        read_config(config.parent)
