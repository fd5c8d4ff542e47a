"""Sending a study's tables and charts to an experiment tracker, by the tracker's own client.

No tracker is a dependency: a client is imported where it is used.
"""

# The stage starts light, and a training needs no tables.
# ruff: noqa: PLC0415

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.storage.hub import redacted

if TYPE_CHECKING:
    import pandas as pd

HARMLESS = "shows elsewhere what is made"

TENSORBOARD_DIR = "TENSORBOARD_LOGGING_DIR"
"""The variable by which transformers, too, is told where event files go."""
MOST_METRICS = 500
"""That mlflow is sent at once; its servers take up to 1,000."""
LOCAL = {
    "wandb": ("WANDB_DIR", "{folder}"),
    "mlflow": ("MLFLOW_TRACKING_URI", "sqlite:///{folder}/mlflow.db"),
    "trackio": ("TRACKIO_DIR", "{folder}"),
}
"""Tracker -> the variable that says where it writes, and what it is set to where it is not."""
IMPATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""So that a server which is down does not hold up a run for minutes."""


@dataclass(frozen=True)
class Tables:
    """What is sent of a study: ``values`` by name, the CSV files, the text and the charts."""

    study: str
    digest: str
    values: Mapping[str, float]
    tables: "Mapping[str, pd.DataFrame]"
    files: tuple[Path, ...]

    @property
    def run(self) -> str:
        """The name of the tracker's run."""
        return f"tables-{self.digest}"

    def of_kind(self, suffix: str) -> list[Path]:
        """Return the files with a suffix."""
        return [file for file in self.files if file.suffix == suffix]


def read_tables(study: str, digest: str, files: Iterable[Path]) -> Tables:
    """Return what is sent of a report that consists of ``files``."""
    files = tuple(file for file in files if file.exists())
    tables = {file.stem: _read(file) for file in files if file.suffix == ".csv"}
    return Tables(study, digest, _values(tables["accuracy"]), tables, files)


def _read(file: Path) -> "pd.DataFrame":
    """Return a table, in which a name such as NA or 1.0 stays a name."""
    import pandas as pd

    names = dict.fromkeys(("experiment", "base", "category", "of", "metric"), str)
    return pd.read_csv(file, dtype=names, keep_default_na=False, na_values=[""])


def _values(accuracy: "pd.DataFrame") -> dict[str, float]:
    """Return the score and the delta of each experiment and category, by a name for both."""
    values = {}
    for row in accuracy.to_dict("records"):
        name = f"{row['category']}/{row['experiment']}"
        for column, own in (("accuracy", name), ("accuracy_delta", f"{name}/delta")):
            value = row.get(column)
            if isinstance(value, int | float) and not isnan(value):
                values[own] = float(value)
    return values


def prepare_environment(tracker: str, folder: Path, study: str) -> None:
    """Let a tracker write below ``folder``, under the study's name, where nothing else is set."""
    folder.mkdir(parents=True, exist_ok=True)
    defaults = {"WANDB_PROJECT": project(study), "MLFLOW_EXPERIMENT_NAME": project(study)}
    if tracker in LOCAL:
        variable, value = LOCAL[tracker]
        defaults[variable] = value.format(folder=folder.absolute())
    ours = tracker == "mlflow" and LOCAL["mlflow"][0] not in os.environ
    for variable, value in {**defaults, **IMPATIENCE}.items():
        os.environ.setdefault(variable, value)
    if ours:
        _keep_files_of_mlflow(folder)


def _keep_files_of_mlflow(folder: Path) -> None:
    """Have what is sent to our own database lie beside it, not in the folder of the run."""
    mlflow: Any = import_module("mlflow")
    name = os.environ["MLFLOW_EXPERIMENT_NAME"]
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    if mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=(folder / "files").absolute().as_uri())


def project(study: str) -> str:
    """Return the name of a study, or of its smoke run, as the trackers take it."""
    return study.replace("/", "-")


def events_folder(folder: Path, study: str, run: str) -> Path:
    """Return where the event files of a run lie, for tensorboard."""
    return Path(os.environ.get(TENSORBOARD_DIR) or folder, study, run)


def send(tracker: str, tables: Tables, folder: Path) -> str:
    """Send ``tables`` and return where they are to be seen; whatever a client raises."""
    prepare_environment(tracker, folder, tables.study)
    return SENDERS[tracker](tables, folder)


def _to_tensorboard(tables: Tables, folder: Path) -> str:
    from_file = import_module("matplotlib.image").imread
    events = events_folder(folder, tables.study, "tables")
    for older in events.glob("events.out.tfevents.*"):
        older.unlink()
    with import_module("torch.utils.tensorboard").SummaryWriter(str(events)) as writer:
        for name, value in tables.values.items():
            writer.add_scalar(name, value, 0)
        for file in tables.of_kind(".md"):
            writer.add_text(file.stem, file.read_text(encoding="utf-8"), 0)
        for file in tables.of_kind(".png"):
            writer.add_image(file.stem, from_file(file), 0, dataformats="HWC")
    return str(events)


def _to_wandb(tables: Tables, folder: Path) -> str:
    wandb: Any = import_module("wandb")
    with wandb.init(name=tables.run, job_type="report") as run:
        run.summary.update(dict(tables.values))
        sent = {name: wandb.Table(dataframe=table) for name, table in tables.tables.items()}
        charts = {f"{f.stem} chart": wandb.Image(str(f)) for f in tables.of_kind(".png")}
        run.log({**sent, **charts})
        return str(run.url or run.dir)


def _to_mlflow(tables: Tables, folder: Path) -> str:
    mlflow: Any = import_module("mlflow")
    mlflow.set_experiment(os.environ["MLFLOW_EXPERIMENT_NAME"])
    named = [(re.sub(r"[^\w.\- :/]", "_", name), value) for name, value in tables.values.items()]
    with mlflow.start_run(run_name=tables.run):
        for start in range(0, len(named), MOST_METRICS):
            mlflow.log_metrics(dict(named[start : start + MOST_METRICS]))
        for file in tables.files:
            mlflow.log_artifact(str(file))
        return str(mlflow.get_tracking_uri())


def _to_trackio(tables: Tables, folder: Path) -> str:
    trackio: Any = import_module("trackio")
    trackio.init(project=project(tables.study), name=tables.run)
    try:
        sent = {name: trackio.Table(dataframe=table) for name, table in tables.tables.items()}
        charts = {f"{f.stem} chart": trackio.Image(str(f)) for f in tables.of_kind(".png")}
        trackio.log({**tables.values, **sent, **charts})
    finally:
        trackio.finish()
    return os.environ["TRACKIO_DIR"]


SENDERS: Mapping[str, Callable[[Tables, Path], str]] = {
    "tensorboard": _to_tensorboard,
    "wandb": _to_wandb,
    "mlflow": _to_mlflow,
    "trackio": _to_trackio,
}


def reason(error: Exception) -> str:
    """Return the first line of what went wrong, without what the environment keeps secret."""
    text = next(iter(str(error).strip().splitlines()), "")
    for variable, value in os.environ.items():
        if re.search("KEY|TOKEN|PASSWORD|SECRET", variable.upper()) and len(value) > 3:
            text = text.replace(value, "***")
    return redacted(text) or type(error).__name__
