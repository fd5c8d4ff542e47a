"""What the small files of a model folder say: its kind, its languages, its chunk; no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorascope.errors import listing, shown
from lorascope.storage.records import peek

SECONDS = 30
KINDS = ("whisper", "moonshine")
"""The model types that are served; a test runs each of them against transformers' own."""


def chunk_of(folder: Path) -> float | None:
    """Return the seconds of a clip that a model's feature extractor takes; None for no limit."""
    if peek(folder / "config.json").get("model_type") != "whisper":
        return None
    processor = peek(folder / "processor_config.json")
    extractor = processor.get("feature_extractor") or peek(folder / "preprocessor_config.json")
    chunk = extractor.get("chunk_length", SECONDS) if isinstance(extractor, dict) else None
    return float(chunk) if isinstance(chunk, int | float) else None


def languages(generation: Mapping[str, Any]) -> dict[str, int]:
    """Return code -> token of the languages that generation_config.json has; {} for none."""
    listed = generation.get("lang_to_id")
    if generation.get("is_multilingual") is False or not isinstance(listed, dict):
        return {}
    return {str(token).strip("<|>"): number for token, number in listed.items()}


def tasks(generation: Mapping[str, Any]) -> dict[str, int]:
    """Return name -> token of a multilingual model's tasks; {} for none."""
    listed = generation.get("task_to_id")
    return dict(listed) if languages(generation) and isinstance(listed, dict) else {}


def refusal(
    folder: Path,
    config: Mapping[str, Any],
    generation: Mapping[str, Any],
    language: str | None,
    task: str | None,
) -> str:
    """Return why a model cannot be asked in a language and task; "" if it can.

    ``config`` and ``generation`` are the folder's config.json and generation_config.json.
    """
    if (kind := config.get("model_type")) not in KINDS:
        return (
            f"model: {folder} is a {kind} model; the family hf_speech serves {' and '.join(KINDS)}"
        )
    known = {"language": languages(generation), "task": tasks(generation)}
    for key, value in (("language", language), ("task", task)):
        if value is None or value in known[key]:
            continue
        if not known[key]:
            what = "is an English-only Whisper" if kind == "whisper" else f"is a {kind} model"
            missing = "languages" if key == "language" else "tasks"
            if kind == "whisper" and generation.get("is_multilingual") is not False:
                what = "says nothing of languages and tasks in its generation_config.json"
            return f"{key}: {folder} {what}, which has no {missing} to choose from; leave {key} out"
        return f"{key}: {shown(value)} is none of the model's: {listing(known[key], 120)}"
    return ""
