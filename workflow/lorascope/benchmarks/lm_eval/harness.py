"""Tasks as the harness itself makes them: with their data, or for judging replies without any."""

import copy
import random
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from lm_eval.api.task import ConfigurableTask
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED
from lm_eval.tasks._yaml_loader import load_yaml

from lorascope.benchmarks.lm_eval.measuring import kept_metrics
from lorascope.benchmarks.lm_eval.tasks import FILES, Task, check_unchanged, matching, place

STRUCTURE = ("tag", "group", "task_list")
"""Keys of a task's file that say where it belongs, not what it is."""


def config_of(task: Task) -> dict[str, Any]:
    """Return a task's configuration with its functions, metrics that are no means left out."""
    config = written(task.yaml, task.inline, task.overrides)
    config["metric_list"], _ = kept_metrics(config)
    return config


def written(
    yaml: str | None, inline: dict[str, Any] | None, overrides: dict[str, Any]
) -> dict[str, Any]:
    """Return the configuration that a file, or a group, holds for a task."""
    own = copy.deepcopy(load_yaml(place(yaml)) if yaml else inline or {})
    config = {**own, **copy.deepcopy(overrides)}
    for key in STRUCTURE:
        config.pop(key, None)
    metadata = config.get("metadata")
    config["metadata"] = metadata if isinstance(metadata, dict) else {"_metadata": metadata}
    return config


class DataTask(ConfigurableTask):  # type: ignore[misc]
    """A task whose data come from files of this machine alone."""

    def __init__(self, task: Task, root: Path, folders: list[str], scratch: Path) -> None:
        self.place, self.scratch = (task.data, root, folders), scratch
        # As simple_evaluate does; for each task, so that it does not depend on the others.
        random.seed(DEFAULT_RANDOM_SEED)
        np.random.seed(DEFAULT_OTHER_SEED)
        super().__init__(config=config_of(task))

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Read the data set; datasets' own cache lasts as long as this process."""
        given = dict(dataset_kwargs or {})
        for key in ("trust_remote_code", "revision", "token", "cache_dir"):
            given.pop(key, None)
        data, root, folders = self.place
        if data["kind"] == "hub":
            path = str(Path(folders[data["repository"]], FILES))
        elif data["kind"] == "folder":
            path = str(root / data["path"])
        else:
            path = data["builder"]
            if given.get("data_dir"):
                given["data_dir"] = str(root / given["data_dir"])
            elif given.get("data_files"):
                given["data_files"] = rebased(given["data_files"], root)
        self.dataset = datasets.load_dataset(
            path, self.config.dataset_name, cache_dir=str(self.scratch), **given
        )


def rebased(files: Any, root: Path) -> Any:
    """Return paths of data files, as `datasets.load_dataset` takes them, below a folder."""
    if isinstance(files, dict):
        return {split: rebased(names, root) for split, names in files.items()}
    names = [files] if isinstance(files, str) else files
    return [str(path) for name in names for path in matching(root, name)]


class Rows(list[Any]):
    """Rows that know the names of their columns, as those of a data set do."""

    @property
    def features(self) -> dict[str, None]:
        """Name of a column -> nothing."""
        return dict.fromkeys(self[0])


class JudgingTask(ConfigurableTask):  # type: ignore[misc]
    """A task that judges replies to rows which were made before, and reads no data.

    row: one of them. inputs, targets: how many contexts and targets the first row of the data has,
    by which the harness takes all of them. UserError where the task's files changed.
    """

    def __init__(self, task: Task, row: dict[str, Any], inputs: int, targets: int) -> None:
        check_unchanged(task)
        self.row = row
        _, self.left_out = kept_metrics(written(task.yaml, task.inline, task.overrides))
        splits = {"test_split": "test", "training_split": None, "validation_split": None}
        nothing = {"fewshot_split": None, "fewshot_config": None, "process_docs": None}
        super().__init__(config={**config_of(task), **splits, **nothing, "num_fewshot": 0})
        self.multiple_input, self.multiple_target = inputs, targets

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Take the row for the data set: the harness tries a task on one."""
        self.dataset = {"test": Rows([self.row])}
