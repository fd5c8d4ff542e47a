"""Encode every clip of a dataset once, for all scalings and both hops."""

import argparse
import hashlib
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
from safetensors import safe_open

from lorascope.benchmarks.audio import apply_condition, decode, read_bytes, resample
from lorascope.benchmarks.conditions import Condition
from lorascope.benchmarks.items import from_table
from lorascope.errors import UserError
from lorascope.models.protocol import Encoder
from lorascope.planning.encode import EncodeJob, part_lock, parts
from lorascope.running.devices import lease
from lorascope.running.memory import Halving
from lorascope.running.progress import Progress
from lorascope.stages.command import (
    check_code,
    check_sources,
    gpu_option,
    local_sources,
    log,
    parser,
    run,
)
from lorascope.storage.features import read_features, write_features
from lorascope.storage.locks import exclusive
from lorascope.storage.records import read_table

CLIPS_AT_ONCE = 16


def work(job: EncodeJob, arguments: argparse.Namespace) -> None:
    """Write one chunk of features; clips that an earlier job encoded are not encoded again."""
    items = from_table(read_table(job.items, "items", job.dataset))
    hashes = {item.clip: item.clip_sha256 for item in items}
    clips = sorted(hashes)[arguments.chunk :: arguments.chunks]
    folder, name = arguments.out.parent, arguments.out.stem
    with exclusive(part_lock(folder, arguments.chunk, arguments.chunks), f"part {name}"):
        done = _encoded(folder, job.digest, set(clips))
        missing = {clip: hashes[clip] for clip in clips if clip not in done}
        if missing:
            done |= _encode_missing(job, missing, len(clips), parts(folder), arguments.gpus)
        write_features(arguments.out, {clip: done[clip] for clip in clips}, job.digest)
        log.info("%d clips, %d of them encoded now", len(clips), len(missing))
        _clear_parts(parts(folder), set(clips))


def _encode_missing(
    job: EncodeJob, missing: Mapping[str, str], total: int, kept: Path, gpus: int
) -> dict[str, np.ndarray]:
    """Return clip -> [frames, width] float32, kept in the folder ``kept`` as it comes.

    ``missing`` maps each clip to the hash that its file has to have.
    """
    device = lease(gpus).device
    settings = {**job.fingerprint["settings"], **local_sources(job.sources)}
    if job.adapter:
        settings["adapter"] = job.adapter
    encoder: Encoder = resolve_name(job.load)(settings, device)
    check_code(job)
    check_sources(job, job.sources)
    log.info("encoding in float32 on %s", device)

    def encode_some(clips: Sequence[str]) -> dict[str, np.ndarray]:
        return _encode(encoder, clips, missing, job)

    encode = Halving(encode_some, "clips encoded at once")
    done: dict[str, np.ndarray] = {}
    with Progress(total, total - len(missing), "encode") as bar:
        for batch in _batches(list(missing)):
            for clips, encoded in encode(batch):
                write_features(kept / f"{uuid.uuid4().hex}.safetensors", encoded, job.digest)
                done |= encoded
                bar.update(len(clips))
    return done


def _batches(clips: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(clips), CLIPS_AT_ONCE):
        yield clips[start : start + CLIPS_AT_ONCE]


def _encode(
    encoder: Encoder, clips: Sequence[str], hashes: Mapping[str, str], job: EncodeJob
) -> dict[str, np.ndarray]:
    """Return clip -> [frames, width] float32 under the dataset's audio condition."""
    condition = Condition.of_dataset(job.fingerprint["dataset"]["settings"])
    rate = encoder.sampling_rate
    waves = [
        apply_condition(_wave(Path(job.root) / clip, hashes[clip], rate), condition, clip, rate)
        for clip in clips
    ]
    return {
        clip: features.numpy() for clip, features in zip(clips, encoder.encode(waves), strict=True)
    }


def _wave(path: Path, sha256: str, rate: int) -> np.ndarray:
    """Return a clip, float32 [samples] at ``rate`` Hz; UserError if its file has another hash."""
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"{path}: changed since this run was planned; run snakemake again")
    return resample(*decode(data, path), rate)


def _encoded(folder: Path, digest: str, clips: set[str]) -> dict[str, np.ndarray]:
    """Return what earlier jobs left in the folder: parts of killed jobs, other chunks."""
    found: dict[str, np.ndarray] = {}
    # Not the temporary files, whose names begin with a dot: their writers may be at work on them.
    for path in sorted(folder.glob("**/[!.]*.safetensors")):
        try:
            found |= read_features(path, digest, clips)
        except UserError as error:
            log.warning("%s", error)
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
    sys.exit(main())
