"""What is done to values, texts and bytes to make them odd."""

import json
from random import Random
from typing import Any

import yaml

ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 7, 10**6, 5_000_000, 2**31, -(2**63), 2**64, 10**30,
    16**5000,
    0.0, -0.0, 0.5, 1.5, -2.5, 1e-308, 1e-9, 1e38, 1e308, float("nan"), float("inf"), -float("inf"),
    "", " ", "0", "1e-4", "1e999", "nan", "null", "true", "~", "x" * 300, "a" * 5000, "a" * 40,
    "a/b", "../..", "/", "/proc", "/dev/zero", "/sys", ".", "{", "}", "{}", "{x}", "{0}",
    "{a.b[0]}",
    "{lora_scaling:1000000}", "{id}", "{{}}", "\n", "a\n", "a\0b", "\ud800", "é", "ｅ", "\u202e",
    "😀",
    "%s", "$HOME", "*", "?", "[a]", "-1", "--help", "none", "all", "merge", "main", "o/n",
    [], [[]], [None], [1, 2], ["a", "a"], {}, {"": ""}, {"a": 1}, {"hub": "o/n"}, {"hub": "o/n{x}"},
    [[[[[[[[[[]]]]]]]]]], b"bytes", (1, 2),
]  # fmt: skip


def mutated(value: Any, random: Random, times: int = 1) -> Any:
    """Return a deep copy of nested dicts and lists after some random changes."""
    value = _copy(value)
    for _ in range(times):
        holders = [value, *_holders(value)]
        holder = random.choice(holders)
        if isinstance(holder, dict) and holder:
            _change_dict(holder, random)
        elif isinstance(holder, list) and holder:
            _change_list(holder, random)
        else:
            value = odd(random)
            if not isinstance(value, dict | list):
                return value
    return value


def odd(random: Random) -> Any:
    """Return an odd value, a copy of its own."""
    return _copy(random.choice(ODD))


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def _holders(value: Any) -> list[Any]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    inner = [part for part in parts if isinstance(part, dict | list)]
    return inner + [deeper for part in inner for deeper in _holders(part)]


def _change_dict(holder: dict[Any, Any], random: Random) -> None:
    key = random.choice([*holder])
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1:
            holder[_key(random)] = holder.pop(key)
        case 2:
            holder[_key(random)] = odd(random)
        case 3:
            holder[key] = _other_kind(holder[key], random)
        case 4:
            holder[key] = holder[random.choice([*holder])]
        case _:
            holder[key] = odd(random)


def _change_list(holder: list[Any], random: Random) -> None:
    place = random.randrange(len(holder))
    match random.randrange(6):
        case 0:
            del holder[place]
        case 1:
            holder.insert(place, holder[place])
        case 2:
            holder.append(odd(random))
        case 3:
            holder[place] = _other_kind(holder[place], random)
        case 4:
            holder *= random.choice([2, 3, 50])
        case _:
            holder[place] = odd(random)


def _key(random: Random) -> Any:
    key = odd(random)
    return key if isinstance(key, str | int | float | None) else "odd"


def _other_kind(value: Any, random: Random) -> Any:
    kinds = [lambda v: [v], lambda v: {"a": v}, str, lambda v: [v] * 3, lambda v: not v]
    try:
        return random.choice(kinds)(value)
    except (ValueError, RuntimeError):  # a number of too many digits, a tensor
        return "9"


# ------------------------------------------------------------------------------------- texts


def as_json(value: Any) -> str:
    """Return a value as JSON, an unfinished list for what JSON cannot hold."""
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return "[" * 3000


def as_text(value: Any, random: Random) -> str:
    """Return a value as YAML or JSON, the text itself changed at times."""
    try:
        text = json.dumps(value) if random.random() < 0.3 else yaml.dump(value, allow_unicode=True)
    except (TypeError, ValueError, UnicodeError):
        text = "{a: 1}"
    return damaged_text(text, random) if random.random() < 0.5 else text


SNIPPETS = [
    "&a ", "*a", "<<: *a\n", "? [a]\n: 1\n", "!!python/name:os.system ", "!!int ''", "!!bool x",
    "\t",
    "---\n", "...\n", "%YAML 1.2\n", ": ", "- ", "#", "'", '"', '"\\ud800"', "\x00", "\ufeff", "{",
    "]",
    "&r [*r, *r]\n", "a: &a [1]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n", "1_000", "0x" + "f" * 4000,
    "2020-01-01", "1:30:00", "~", "|\n", ">\n", "!!binary x", "!!set {a}", "\u2028", "9" * 5000,
    "[" * 500, "NaN", "-Infinity",
]  # fmt: skip


def damaged_text(text: str, random: Random) -> str:
    """Return a text with a line doubled, dropped or moved, or with something odd in it."""
    lines = text.splitlines(keepends=True) or [""]
    place = random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            lines.insert(place, lines[place])
        case 1:
            del lines[place]
        case 2:
            lines.insert(place, lines.pop(random.randrange(len(lines))))
        case 3:
            return text[: random.randrange(len(text) + 1)]
        case _:
            at = random.randrange(len(text) + 1)
            return text[:at] + random.choice(SNIPPETS) + text[at:]
    return "".join(lines)


# ------------------------------------------------------------------------------------- bytes

HEADERS = [
    b"RIFF\xff\xff\xff\xffWAVEfmt ", b"fLaC\x00\x00\x00\x22", b"OggS\x00\x02", b"PAR1",
    b"PK\x03\x04",
    b"\x80\x02}q\x00.", b"ID3\x04\x00", b"FORM\x00\x00\x00\x00AIFF", b"\xef\xbb\xbf", b"{",
    b"\x00" * 16,
    b"\xff" * 16, (2**63).to_bytes(8, "little"), (100).to_bytes(8, "little") + b"{}",
]  # fmt: skip


def damaged(data: bytes, random: Random) -> bytes:
    """Return bytes that were cut, flipped, overwritten, doubled or given another beginning."""
    if not data:
        return random.randbytes(20)
    at = random.randrange(len(data))
    # What matters in most formats stands at the beginning or the end.
    near = random.choice(
        [at, random.randrange(min(len(data), 200)), max(len(data) - 1 - at % 200, 0)]
    )
    match random.randrange(8):
        case 0:
            return data[:at]
        case 1:
            return data[:near] + bytes([data[near] ^ 1 << random.randrange(8)]) + data[near + 1 :]
        case 2:
            size = random.choice([1, 2, 4, 8, 64])
            return data[:near] + random.randbytes(size) + data[near + size :]
        case 3:
            head = random.choice(HEADERS)
            return head + data[len(head) :]
        case 4:
            return data[:near] + random.choice(HEADERS) + data[near:]
        case 5:
            return data + data[near:]
        case 6:
            size = random.choice([4, 16, 1000])
            return data[:near] + random.choice([b"\0", b"\xff"]) * size + data[near + size :]
        case _:
            return data[near:]


def damaged_often(data: bytes, random: Random) -> bytes:
    """Return bytes that were damaged one to three times."""
    for _ in range(random.choice([1, 1, 2, 3])):
        data = damaged(data, random)
    return data
