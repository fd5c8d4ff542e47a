"""The clips of the page: what a model heard, as FLAC files named by their content.

What a clip is made of (the source's hash, the audio condition, rate and length) names it in a
listing beside the files, by which a later page finds it again without reading the source.
"""

import hashlib
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import soundfile

from lorascope.benchmarks.audio import apply_condition, decode, read_bytes, resample
from lorascope.benchmarks.conditions import Condition
from lorascope.benchmarks.items import text_hash
from lorascope.errors import UserError
from lorascope.identity.digests import digest
from lorascope.storage.records import checked_document, file_sha256, write_document, writing

LISTING = "clips.json"
FOLDER = "clips"
_KIND = "clips of a page"
_NAMED = 16  # hex digits of the hash of its content, which are a clip's name
_AT_ONCE = 64
_MOST_WORKERS = 8
_FULL_SCALE = 32768


@dataclass(frozen=True)
class Clip:
    """A clip under a condition: its source below ``root``, and how much of it is heard.

    samples: its own length at ``rate`` Hz; heard: that of what was heard, padding included.
    """

    root: str
    path: str
    sha256: str
    samples: int
    rate: int
    heard: int
    condition: Condition

    def key(self, code: Mapping[str, str]) -> str:
        """Return what tells what is heard from all else: equal for what is heard alike."""
        condition = self.condition
        own: dict[str, Any] = {}
        if condition.type != "source":
            own = {"type": condition.type, "position": condition.position}
            own |= {"target_len": condition.target_len}
        if condition.type == "noised":
            own |= {"noise": [condition.noise_sigma, condition.seed, self.path]}
        source = {"silence": self.samples} if condition.silent else {"sha256": self.sha256}
        heard = {"rate": self.rate, "heard": self.heard}
        return digest({**source, **heard, "condition": own, "code": dict(code)})

    def wave(self) -> np.ndarray:
        """Return what was heard, float32 [heard]; UserError where its source is gone or another."""
        wave = np.zeros(self.samples, np.float32) if self.condition.silent else self._own()
        return apply_condition(wave, self.condition, self.path, self.rate)[: self.heard]

    def _own(self) -> np.ndarray:
        path = Path(self.root, self.path)
        data = read_bytes(path)
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise UserError(f"{path}: is not the clip that was heard; it changed since")
        return resample(*decode(data, path), self.rate)


@dataclass
class Made:
    """What there is of some clips: key -> name of its file, and key -> why there is none."""

    names: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """Name -> bytes."""
    reused: int = 0
    beyond: int = 0
    """Clips that were left out, since the others are as many megabytes as there may be."""

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(self.sizes.values())


def flac(wave: np.ndarray, rate: int) -> bytes:
    """Return a float32 wave [samples], full scale 1, as FLAC of 16 bits, cut off beyond full scale.

    A sample is off by half a step at most: 1/65536 of full scale.
    """
    steps = np.rint(wave * np.float32(_FULL_SCALE)).clip(-_FULL_SCALE, _FULL_SCALE - 1)
    content = io.BytesIO()
    soundfile.write(content, steps.astype(np.int16), rate, format="FLAC", subtype="PCM_16")
    return content.getvalue()


def make_clips(
    clips: Mapping[str, Clip], page: Path, others: Sequence[Path], megabytes: int
) -> Made:
    """Write clips, by their keys, into the folder of a page, up to so many megabytes; list them.

    Those that are there already, or in one of the ``others``, are used again. Where they are too
    many, it is a sample that is spread over them, the same each time.
    """
    known = [(place, _listed(place)) for place in (page, *others)]
    made, keys = Made(), sorted(clips, key=text_hash)
    (page / FOLDER).mkdir(parents=True, exist_ok=True)
    most = megabytes * 1_000_000
    one = partial(_made, clips=clips, page=page, known=known)
    with ThreadPoolExecutor(min(_MOST_WORKERS, len(os.sched_getaffinity(0)))) as pool:
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            for key, found in zip(some, pool.map(one, some), strict=True):
                _take(made, key, found, most)
            if made.beyond:
                made.beyond = len(keys) - len(made.names) - len(made.problems)
                break
    content = {"clips": {key: made.names[key] for key in sorted(made.names)}}
    write_document(page / LISTING, _KIND, "", content)
    _remove_others(page / FOLDER, made.sizes.keys())
    return made


def _take(made: Made, key: str, found: tuple[str, int, bool] | str, most: int) -> None:
    """Add what was made of a clip, unless it is beyond what there may be."""
    if isinstance(found, str):
        made.problems[key] = found
        return
    name, size, reused = found
    more = 0 if name in made.sizes else size
    if made.beyond or made.bytes + more > most:
        made.beyond += 1
        return
    made.names[key], made.sizes[name] = name, size
    made.reused += reused


def _made(
    key: str,
    clips: Mapping[str, Clip],
    page: Path,
    known: Iterable[tuple[Path, Mapping[str, str]]],
) -> tuple[str, int, bool] | str:
    """Return a clip's file, its size and whether it was there; or why it cannot be made."""
    for place, listed in known:
        if key in listed and _is_whole(path := place / FOLDER / listed[key]):
            if place != page:
                _link(path, page / FOLDER / path.name)
            return path.name, path.stat().st_size, True
    try:
        content = flac(clips[key].wave(), clips[key].rate)
    except UserError as error:
        return str(error)
    name = f"{hashlib.sha256(content).hexdigest()[:_NAMED]}.flac"
    _write(page / FOLDER / name, content)
    return name, len(content), False


def _is_whole(path: Path) -> bool:
    """Return whether a clip's file is there and holds what its name says."""
    try:
        return file_sha256(path).startswith(path.stem)
    except OSError:
        return False


def _write(path: Path, content: bytes) -> None:
    """Write a clip under its name at once; not synced, since its name tells a damaged one."""
    temporary = path.with_name(f".{uuid4().hex}.{path.name}")
    with writing(path):
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _link(source: Path, path: Path) -> None:
    """Have a clip of another page in this one, in the same bytes on disk where that can be."""
    temporary = path.with_name(f".{uuid4().hex}.{path.name}")
    with writing(path):
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        temporary.replace(path)


def _listed(page: Path) -> dict[str, str]:
    """Return key -> file of an earlier page's clips; {} where there is none to be believed."""
    try:
        clips = checked_document(page / LISTING, _KIND, "")["clips"]
        return {key: name for key, name in clips.items() if Path(name).name == name}
    except (ValueError, KeyError, AttributeError, TypeError, UserError):
        return {}


def _remove_others(folder: Path, names: Iterable[str]) -> None:
    """Remove what no clip of the page is, such as those of an earlier one."""
    kept = {*names}
    for path in folder.iterdir():
        if path.name not in kept:
            with suppress(OSError):
                path.unlink()


# -------------------------------------------------------------------------------- in words


def in_words(condition: Condition) -> str:
    """Return how the clips of a dataset are presented."""
    own = "silence in place of each clip" if condition.silent else "the clip"
    if condition.type == "source":
        return f"{own}, as long as it is" if condition.silent else "the clip as it is"
    padding = "zeros" if condition.type == "zero-padded" else "noise"
    if condition.type == "noised":
        padding += f" (standard deviation {condition.noise_sigma:g})"
    place = {"early": "at the beginning", "middle": "in the middle", "late": "at the end"}
    return f"{own} {place[condition.position]} of {condition.target_len:g} s of {padding}"


def lacking(made: Made, keys: Iterable[str]) -> Iterator[str]:
    """Yield what has to be said of clips that are not in the page."""
    wanted = {*keys}
    problems = [made.problems[key] for key in sorted(wanted) if key in made.problems]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        yield f"{len(problems)} of {len(wanted)} clips are not here: {problems[0]}{more}"
    left = len(wanted) - len(problems) - sum(key in made.names for key in wanted)
    if left:
        yield (
            f"{left} of {len(wanted)} clips are left out: the others are as large as all may be "
            "(report.page.clip_megabytes)"
        )


def said_of(clip: Clip, name: str | None) -> dict[str, Any]:
    """Return what the page says of a clip: its file, its length, what was heard and lost."""
    lost = clip.condition.lost_samples(clip.samples, clip.rate, clip.heard)
    return {
        "file": name,
        "seconds": round(clip.samples / clip.rate, 3),
        "heard": round(clip.heard / clip.rate, 3),
        "lost": round(lost / clip.rate, 3),
    }
