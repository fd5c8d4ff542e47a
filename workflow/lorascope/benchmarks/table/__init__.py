"""Tables of a user's own: rows of a file become items by a mapping of its columns."""

from lorascope.benchmarks.table.settings import TableData, TableDataset
from lorascope.benchmarks.table.sources import categories, clip_root, count_clips, count_items
from lorascope.study.declarations import Answers, Benchmark, DataFormat, Modality, Settings

HARMLESS = "declares; what decides a result lies in the functions that are named"


def gives(settings: Settings) -> Modality:
    """Return what the questions are about."""
    return "audio" if settings["clip"] else "text"


def answers(settings: Settings) -> Answers:
    """Return what the gold of the items is."""
    if settings["text"]:
        return "nothing"
    return "options" if settings["options"] else "texts"


def gives_dialogues(settings: Settings) -> bool:
    """Return whether items have a system's turn, or examples as turns."""
    few_shot = settings["few_shot"]
    return bool(settings["system"]) or bool(few_shot and few_shot["as"] == "turns")


BENCHMARK = Benchmark(
    settings=TableDataset,
    gives=gives,
    answers=answers,
    item_settings=(
        "files",
        "question",
        "options",
        "letters",
        "answer",
        "answer_by",
        "option_format",
        "option_separator",
        "continuation",
        "delimiter",
        "text",
        "clip",
        "clips",
        "audio",
        "category",
        "id",
        "items",
        "system",
        "few_shot",
    ),
    build_items="lorascope.benchmarks.table.items:build_items",
    source_files="lorascope.benchmarks.table.items:source_files",
    categories=categories,
    count_items=count_items,
    count_clips=count_clips,
    clip_root=clip_root,
    download="lorascope.benchmarks.table.download:fetch",
    gives_dialogues=gives_dialogues,
    asks=lambda settings: bool(settings["question"]),
    conditions=("audio", "encode_jobs"),
    training=DataFormat(
        settings=TableData,
        gives=gives,
        read="lorascope.benchmarks.table.items:read_examples",
        source_files="lorascope.benchmarks.table.items:training_files",
        clip_root=clip_root,
        download="lorascope.benchmarks.table.download:fetch",
    ),
)
