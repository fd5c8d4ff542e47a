"""Encode every clip of a dataset once, for all scalings and both hops."""

import argparse
import hashlib
import math
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import numpy as np
from safetensors import safe_open

from lorascope.benchmarks.audio import apply_condition, decode, read_bytes, resample
from lorascope.benchmarks.conditions import Condition
from lorascope.benchmarks.items import Item, from_table
from lorascope.errors import UserError, listing
from lorascope.models.protocol import Encoder, NonFiniteError
from lorascope.planning.checks import (
    adapter_sources,
    check_code,
    check_sources,
    commits,
    local_sources,
)
from lorascope.planning.encode import EncodeJob, part_lock, parts
from lorascope.running.ahead import ahead, threads_beside
from lorascope.running.counters import count
from lorascope.running.devices import lease
from lorascope.running.memory import Halving
from lorascope.running.progress import Progress
from lorascope.stages.command import edited, gpu_option, leave, log, parser, run
from lorascope.storage.adapters import check_adapter
from lorascope.storage.downloads import Commit, Noted, joined
from lorascope.storage.features import read_features, read_lost, write_features
from lorascope.storage.locks import exclusive
from lorascope.storage.records import read_table, table_sources

CLIPS_AT_ONCE = 16


class Encoded(NamedTuple):
    """A clip's features, [frames, width] float32, and the seconds of it that were not heard."""

    features: np.ndarray
    lost: float


class Prepared(NamedTuple):
    """A clip as its encoder takes it, and how many samples it has and are played."""

    name: str
    inputs: Any
    samples: int
    played: int


def work(job: EncodeJob, arguments: argparse.Namespace) -> None:
    """Write one chunk of features; clips that an earlier job encoded are not encoded again."""
    table = read_table(job.items, "items", job.dataset)
    items = {item.clip: item for item in from_table(table)}
    clips = sorted(items)[arguments.chunk :: arguments.chunks]
    folder, name = arguments.out.parent, arguments.out.stem
    with exclusive(part_lock(folder, arguments.chunk, arguments.chunks), f"part {name}"):
        done = _encoded(folder, job.digest, set(clips))
        missing = [items[clip] for clip in clips if clip not in done]
        made_of = joined([table_sources(table), commits(job.sources), _of_ears(job)])
        keeper = _Keeper(parts(folder), job.digest, made_of)
        if missing:
            done |= _encode_missing(job, missing, len(clips), keeper, arguments.gpus)
        done = {clip: done[clip] for clip in clips}
        keeper.write(arguments.out, done)
        log.info("%d clips, %d of them encoded now", len(clips), len(missing))
        _warn(done)
        _clear_parts(parts(folder), set(clips))


@dataclass(frozen=True)
class _Keeper:
    """The folder of what unfinished jobs have encoded, and what files of features say."""

    folder: Path
    digest: str
    sources: Noted

    def keep(self, encoded: Mapping[str, Encoded]) -> None:
        """Write what comes before the chunk is whole."""
        self.write(self.folder / f"{uuid.uuid4().hex}.safetensors", encoded)

    def write(self, path: Path, encoded: Mapping[str, Encoded]) -> None:
        """Write a file of features."""
        features = {clip: one.features for clip, one in encoded.items()}
        lost = {clip: one.lost for clip, one in encoded.items()}
        write_features(path, features, self.digest, lost, self.sources)


def _of_ears(job: EncodeJob) -> dict[str, Commit]:
    """Return the downloads that an adapter was made of with which clips are heard otherwise."""
    if not (job.adapter and job.trained):
        return {}
    check_adapter(Path(job.adapter), job.trained)
    return adapter_sources(job.adapter, job.fingerprint["adapter"])


def _encode_missing(
    job: EncodeJob, missing: Sequence[Item], total: int, keeper: _Keeper, gpus: int
) -> dict[str, Encoded]:
    """Return clip -> what is encoded of it, kept as it comes.

    ``missing`` has an item about each clip.
    """
    device = lease(gpus).device
    settings = {**job.fingerprint["settings"], **local_sources(job.sources)}
    if job.adapter:
        settings["adapter"] = job.adapter
    encoder: Encoder = resolve_name(job.load)(settings, device)
    check_code(job)
    check_sources(job, job.sources)
    _check_heard(encoder, missing, job)
    log.info("encoding in float32 on %s", device)
    # Clips of one length can go together, and the longest shows at once whether it fits.
    order = sorted(missing, key=lambda item: (-item.clip_seconds, item.clip))
    heard = ahead(partial(_prepare, encoder, job), order, threads_beside(device))
    encode = Halving(partial(_encode, encoder, job), "clips encoded at once")
    done: dict[str, Encoded] = {}
    with Progress(total, total - len(missing), "encode") as bar, closing(heard):
        while batch := list(islice(heard, CLIPS_AT_ONCE)):
            for clips, encoded in encode(batch):
                keeper.keep(encoded)
                done |= encoded
                bar.update(len(clips))
    return done


def _condition(job: EncodeJob) -> Condition:
    return Condition.of_dataset(job.fingerprint["dataset"]["settings"])


def _check_heard(encoder: Encoder, items: Sequence[Item], job: EncodeJob) -> None:
    """UserError for clips of which the model does not hear all, unless they may be truncated."""
    condition, rate = _condition(job), encoder.sampling_rate
    longest_first = sorted(items, key=lambda item: -item.clip_seconds)
    played = {
        item.clip: condition.presented_samples(math.ceil(item.clip_seconds * rate - 1e-6), rate)
        for item in longest_first
    }
    cut = [clip for clip, samples in played.items() if encoder.hears(samples) < samples]
    if cut and condition.too_long != "truncate":
        clip, more = cut[0], f" (and {len(cut) - 1} more clips)" if len(cut) > 1 else ""
        length, heard = played[clip] / rate, encoder.hears(played[clip]) / rate
        raise UserError(
            f"{Path(job.root) / clip}: {length:g} s are played{more}, of which the model hears the "
            f"first {heard:g} s; set audio.too_long of the dataset to truncate, and the report "
            "says what was lost, or take shorter clips or padding"
        )


def _prepare(encoder: Encoder, job: EncodeJob, item: Item) -> Prepared:
    """Return a clip under the dataset's audio condition."""
    rate = encoder.sampling_rate
    wave = _wave(job, item.clip, item.clip_sha256, rate)
    played = apply_condition(wave, _condition(job), item.clip, rate)
    return Prepared(item.clip, encoder.prepare(played), len(wave), len(played))


def _encode(encoder: Encoder, job: EncodeJob, clips: Sequence[Prepared]) -> dict[str, Encoded]:
    """Return what is encoded of clips, by name."""
    condition, rate = _condition(job), encoder.sampling_rate
    try:
        found = encoder.encode_prepared([clip.inputs for clip in clips])
    except NonFiniteError as error:  # one clip is no reason to hear none
        found = error.features
    count("clips encoded", len(clips))
    encoded = {}
    for clip, features in zip(clips, found, strict=True):
        lost = condition.lost_samples(clip.samples, rate, encoder.hears(clip.played))
        encoded[clip.name] = Encoded(features.numpy(), lost / rate)
    return encoded


def _wave(job: EncodeJob, clip: str, sha256: str, rate: int) -> np.ndarray:
    """Return a clip, float32 [samples] at ``rate`` Hz; UserError if its file has another hash."""
    root = Path(job.root)
    path = root / clip
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise edited(path, job.fingerprint["dataset"]["source"], root)
    return resample(*decode(data, path), rate)


def _warn(encoded: Mapping[str, Encoded]) -> None:
    """Say which clips were cut, and which have features that are no numbers."""
    lost = [one.lost for one in encoded.values() if one.lost]
    if lost:
        log.warning("%d of %d clips were cut, by up to %.3g s", len(lost), len(encoded), max(lost))
    broken = [clip for clip, one in encoded.items() if not np.isfinite(one.features).all()]
    if broken:
        log.warning(
            "the features of %d of %d clips are not finite numbers (%s): what is asked about them "
            "is not answered, and the report counts it; check the clips and the encoder's weights",
            *(len(broken), len(encoded), listing(broken)),
        )


def _encoded(folder: Path, digest: str, clips: set[str]) -> dict[str, Encoded]:
    """Return what earlier jobs left in the folder: parts of killed jobs, other chunks."""
    found: dict[str, Encoded] = {}
    # Not the temporary files, whose names begin with a dot: their writers may be at work on them.
    for path in sorted(folder.glob("**/[!.]*.safetensors")):
        try:
            features, lost = read_features(path, digest, clips), read_lost(path, digest)
        except UserError as error:
            log.warning("%s", error)
            continue
        found |= {clip: Encoded(array, lost.get(clip, 0.0)) for clip, array in features.items()}
    return found


def _clear_parts(folder: Path, clips: set[str]) -> None:
    """Remove the parts whose clips are all in the chunk just written."""
    for path in folder.glob("[!.]*.safetensors"):
        # A job of another chunk may remove it first.
        with suppress(FileNotFoundError), safe_open(path, framework="numpy") as file:
            if clips.issuperset(file.keys()):
                path.unlink()


def main() -> int:
    """Run the stage from the command line."""
    options = parser("lorascope.stages.encode", __doc__)
    options.add_argument("--chunk", required=True, type=int, help="number of this chunk, from 0")
    options.add_argument("--chunks", required=True, type=int, help="number of chunks")
    gpu_option(options)
    return run(options, EncodeJob, work)


if __name__ == "__main__":
    leave(main())
