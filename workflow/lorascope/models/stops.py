"""Whether a model that ends its turn as its chat template does would be heard to end it.

Read off the small files of a model folder, while planning.
"""

# Most studies ask in no chat template.
# ruff: noqa: PLC0415

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorascope.storage.files import read_text, regular
from lorascope.storage.records import peek

HARMLESS = "refuses, and decides nothing else"

_SAID = "lorascope-answer"
_MARK = re.compile(r"</?\w[\w-]*>|<\|/?\w[\w-]*\|>")
"""What marks look like: </s>, <end_of_turn>, <|im_end|>."""
_HEAD = 4_000_000
"""Characters of tokenizer.json in which its added tokens stand: before its vocabulary."""


def unknown_stop(folder: Path, strict: bool = True) -> str:
    """Say in what way the chat template in ``folder`` ends an answer unheard; "" if it does not.

    That is where what follows the assistant's words looks like a special token and is none of the
    tokenizer's, or, if ``strict``, is one that is no eos token. Nothing is said where it cannot be
    told: no template, one that does not render here, or one that ends a turn in plain words.
    """
    settings = peek(folder / "tokenizer_config.json")
    template = _template(folder, settings)
    tail = _tail(template, settings) if template else ""
    tokens = _special_tokens(folder, settings)
    ends = _ends(folder, settings, tokens)
    if not tail or not tokens or any(end in tail for end in ends):
        return ""
    known = [token for token in tokens.values() if tail.startswith(token)]
    if known and not strict:
        return ""
    if known:
        return f"{max(known, key=len)}, which is no eos token"
    unknown = _MARK.match(tail)
    return f"{unknown[0]}, which its tokenizer does not know" if unknown else ""


def has_chat_template(folder: Path) -> bool:
    """Return whether the tokenizer in ``folder`` has a chat template."""
    return _template(folder, peek(folder / "tokenizer_config.json")) is not None


def _template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """Return the default chat template, as transformers looks for it."""
    try:
        return read_text(folder / "chat_template.jinja")
    except (OSError, ValueError):
        pass
    found = settings.get("chat_template") or peek(folder / "chat_template.json").get(
        "chat_template"
    )
    if isinstance(found, list):  # several, by name
        named = {t.get("name"): t.get("template") for t in found if isinstance(t, dict)}
        found = named.get("default")
    return found if isinstance(found, str) else None


def _tail(template: str, settings: Mapping[str, Any]) -> str:
    """Return what a template writes after the assistant's words; "" where it cannot be told."""
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # As transformers renders it.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.globals["strftime_now"] = lambda format: ""
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _SAID}]
    try:
        text = environment.from_string(template).render(
            messages=turns,
            add_generation_prompt=False,
            bos_token=_content(settings.get("bos_token")) or "",
            eos_token=_content(settings.get("eos_token")) or "",
        )
    except Exception:  # a template is code, which may raise anything; asking it will tell
        return ""
    return text.rpartition(_SAID)[2].strip() if _SAID in text else ""


def _special_tokens(folder: Path, settings: Mapping[str, Any]) -> dict[int, str]:
    """Return id -> text of the tokenizer's special tokens; {} where they cannot be read."""
    listed = settings.get("added_tokens_decoder")
    try:
        if isinstance(listed, dict):
            return {int(i): str(t["content"]) for i, t in listed.items() if t.get("special")}
        with regular(folder / "tokenizer.json").open(encoding="utf-8") as file:
            head = file.read(_HEAD)
        at = head.index("[", head.index('"added_tokens"'))
        tokens = json.JSONDecoder().raw_decode(head, at)[0]
        return {t["id"]: str(t["content"]) for t in tokens if t.get("special")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _ends(folder: Path, settings: Mapping[str, Any], tokens: Mapping[int, str]) -> set[str]:
    """Return the texts of the tokens that end an answer."""
    listed = peek(folder / "generation_config.json").get("eos_token_id")
    ids = listed if isinstance(listed, list) else [listed]
    found = {tokens.get(i) for i in ids if isinstance(i, int)}
    return {text for text in (_content(settings.get("eos_token")), *found) if text}


def _content(token: Any) -> str | None:
    """Return the text of a token as tokenizer_config.json has it, a string or a mapping."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None
