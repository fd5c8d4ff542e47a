"""Tasks of the harness that are not run here, and why."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lm_eval.api.registry import filter_registry
from lm_eval.api.task import ALL_OUTPUT_TYPES
from lm_eval.config.task import TaskConfig

from lorascope.benchmarks.lm_eval.generation import generation_of
from lorascope.benchmarks.lm_eval.measuring import kept_metrics
from lorascope.errors import UserError

OF_ALL = {
    "custom": "it sees the responses to all items at once, and here each is judged alone",
    "decontaminate": "it needs a list of what a model was trained on",
}
"""Filters that are not applied -> why."""
JUDGES = re.compile(r"^\s*(?:import|from)\s+(openai|anthropic|litellm|google\.genai)\b", re.M)
KEYS = {
    "class": "it is a Python class of its own, not a configuration",
    "custom_dataset": "its data are made by code of its own",
    "doc_to_image": "it shows images",
    "doc_to_audio": "it plays audio",
    "unsafe_code": "it runs the code that a model writes",
    "use_prompt": "its prompts come from the package promptsource",
}
"""Keys of a task's configuration -> why a task that has one is refused."""


def reasons(config: Mapping[str, Any], helpers: Iterable[Path], in_turns: bool) -> Iterator[str]:
    """Yield why a task is not run here, if anything is.

    helpers: the Python files with its functions. in_turns: whether it is to be asked in turns.
    """
    for path in helpers:
        if found := JUDGES.search(path.read_text(encoding="utf-8", errors="replace")):
            yield f"{path.name} asks a model by the package {found[1]}"
    output_type = config.get("output_type") or "generate_until"
    if output_type not in ALL_OUTPUT_TYPES:
        yield f"output_type {output_type} is none of {', '.join(ALL_OUTPUT_TYPES)}"
        return
    if (repeats := config.get("repeats", 1)) != 1:
        yield f"it asks each question {repeats} times (repeats), and here once a run"
    if not (config.get("test_split") or config.get("validation_split")):
        yield "it has neither test_split nor validation_split"
    if in_turns and (config.get("gen_prefix") or _mutual(config)):
        yield (
            "with apply_chat_template, gen_prefix and acc_mutual_info have no place in the turns"
        )
    yield from _of_filters(config)
    try:
        kept, left_out = kept_metrics(config)
        if not kept:
            yield "; ".join(f"metric {name}: {why}" for name, why in left_out.items())
        if output_type == "generate_until":
            generation_of(TaskConfig(**config).generation_kwargs)
    except UserError as error:
        yield str(error)


def _mutual(config: Mapping[str, Any]) -> bool:
    return "acc_mutual_info" in [entry.get("metric") for entry in config.get("metric_list") or ()]


def _of_filters(config: Mapping[str, Any]) -> Iterator[str]:
    for pipeline in config.get("filter_list") or ():
        for step in pipeline["filter"]:
            name = step["function"]
            if name in OF_ALL:
                yield f"filter {name}: {OF_ALL[name]}"
            elif name not in filter_registry:
                yield f"filter {name}: the harness has none of this name"
