"""Tasks of lm-evaluation-harness (https://github.com/EleutherAI/lm-evaluation-harness).

Prompts, examples, filters and metrics are the harness's own code; what a model answers is asked,
kept and compared as for any other benchmark. The harness is an extra: ``lorascope[lm-eval]``.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from lorascope.benchmarks.lm_eval.looking import look
from lorascope.study.declarations import Benchmark
from lorascope.study.settings import (
    DATA_SET,
    REVISION,
    Count,
    DatasetSettings,
    FilePath,
    Integer,
    Name,
    Natural,
    Text,
    unique,
)

HARMLESS = "declares; what decides a result lies in the functions that are named"

Tasks = Annotated[list[Text], Field(min_length=1, max_length=1000), AfterValidator(unique)]


class LmEvalDataset(DatasetSettings):
    """Tasks or groups of lm-evaluation-harness, with the harness's prompts and metrics."""

    task: Text | Tasks = Field(
        description="Name of a task, a group or a tag of the harness, path of a task's YAML file, "
        "or a list of these. Each task is a category, and so is each of its metrics, "
        "<task>-<metric> or <task>-<metric>-<filter>."
    )
    include_path: FilePath | None = Field(
        None,
        description="Folder of tasks of your own, whose names come before the harness's. Functions "
        "that they name (!function) are run, also when a plan is made.",
    )
    source: FilePath = Field(
        ".",
        description="Folder to which paths of data files in the tasks are relative; . is the "
        "folder in which snakemake runs, as in the harness.",
    )
    revisions: dict[
        Annotated[str, Field(pattern=DATA_SET, max_length=200)],
        Annotated[str, Field(pattern=REVISION, max_length=100)],
    ] = Field(
        {},
        max_length=1000,
        description="Repository of a task's data on the hub -> commit, tag or branch; where none "
        "is given, the one of the task, or main.",
    )
    num_fewshot: Natural | None = Field(
        None,
        description="Examples in the prompt. Null is the task's own number; as in the harness, a "
        "task that says 0 itself keeps it.",
    )
    fewshot_seed: Integer = Field(
        1234, description="Seed by which examples are drawn, the harness's unless given."
    )
    items: Count | None = Field(
        None,
        description="Keep only the first so many of each task, as the harness's --limit. Null "
        "keeps all.",
    )
    category: Name | None = Field(
        None,
        description="A name under which all tasks are counted together, each item once, as the "
        "harness weights groups by size. Null counts each task apart.",
    )
    apply_chat_template: bool = Field(
        False,
        description="Ask in turns, as the harness's --apply_chat_template: a task's description is "
        "the system's turn. Needs a model that takes turns (chat_template: true).",
    )
    fewshot_as_multiturn: bool = Field(
        True,
        description="With apply_chat_template: examples are turns; false is one turn for all.",
    )


BENCHMARK = Benchmark(
    settings=LmEvalDataset,
    gives="text",
    answers="task",
    item_settings=(
        *("num_fewshot", "fewshot_seed", "items", "category"),
        *("apply_chat_template", "fewshot_as_multiturn"),
    ),
    build_items="lorascope.benchmarks.lm_eval.items:build_items",
    source_files="lorascope.benchmarks.lm_eval.tasks:source_files",
    categories=lambda settings: None,
    count_items=lambda root, settings, limit: None,
    download="lorascope.benchmarks.lm_eval.download:fetch",
    look=look,
    gives_dialogues=lambda settings: bool(settings["apply_chat_template"]),
)
