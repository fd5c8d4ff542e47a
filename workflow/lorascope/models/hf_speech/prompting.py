"""The tokens with which a decoder starts, and those that it may not say, as its files have them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from lorascope.errors import UserError, shown
from lorascope.models.hf_speech.files import languages, tasks


@dataclass(frozen=True)
class Start:
    """The ids with which a decoder starts; None is the language, which each clip tells.

    ``languages`` are those among which it is detected, ``never`` the ids that are not said, and
    ``never_first`` those that no answer begins with.
    """

    ids: tuple[int | None, ...]
    languages: tuple[int, ...]
    never: tuple[int, ...]
    never_first: tuple[int, ...]


def read_start(
    config: Mapping[str, Any], generation: Mapping[str, Any], language: str | None, task: str | None
) -> Start:
    """Return how the decoder of a model starts, as transformers' Whisper has it.

    ``config`` and ``generation`` are its config.json and generation_config.json. A language and a
    task that are None are those of the files: by name, or as forced_decoder_ids. UserError where
    they do not make sense.
    """
    first = generation.get("decoder_start_token_id", config.get("decoder_start_token_id"))
    if type(first) is not int:
        raise UserError(
            "model: neither generation_config.json nor config.json says with which token its "
            "decoder starts (decoder_start_token_id)."
        )
    known = languages(generation)
    ids: list[int | None] = [first]
    if config.get("model_type") == "whisper":
        ids += _spoken(config, generation, language, task)
        no_timestamps = generation.get("no_timestamps_token_id")
        if no_timestamps is not None and ids[-1] != no_timestamps:
            ids.append(no_timestamps)
    start = Start(
        ids=tuple(ids),
        languages=tuple(known.values()),
        never=tuple(generation.get("suppress_tokens") or ()),
        never_first=tuple(generation.get("begin_suppress_tokens") or ()),
    )
    given = (*(i for i in ids if i is not None), *start.languages, *start.never, *start.never_first)
    if odd := [i for i in given if type(i) is not int]:
        raise UserError(
            f"model: generation_config.json has {shown(odd[0])} where the id of a token belongs. "
            "Download it again."
        )
    return start


def _spoken(
    config: Mapping[str, Any], generation: Mapping[str, Any], language: str | None, task: str | None
) -> list[int | None]:
    """Return the ids of language and task."""
    known, doing = languages(generation), tasks(generation)
    named = None
    if known and language is None and generation.get("language") is not None:
        named = _code(generation["language"], known)
    chosen = language or named
    task = task or (generation.get("task") if doing else None)
    forced = generation.get("forced_decoder_ids") or config.get("forced_decoder_ids") or []
    if chosen is None and task is None and forced and forced[0][0] == 1:
        ids: list[int | None] = [number for _, number in forced]
        return ids if known else [number for number in ids if number is not None]
    if not known:
        return []
    spoken: list[int | None] = [None if chosen is None else known[chosen]]
    if doing and (task or chosen is not None):
        spoken.append(doing[task or "transcribe"])
    return spoken


def _code(name: str, known: Mapping[str, int]) -> str:
    """Return the code of a language that generation_config.json names in one of its ways."""
    plain = str(name).lower().strip("<|>")
    code = TO_LANGUAGE_CODE.get(plain, plain)
    if code not in known:
        raise UserError(
            f"model: generation_config.json has the language {shown(name)}, which is none of its "
            "own lang_to_id. Set language of the model."
        )
    return code
