"""Encode every clip of a dataset once, for all scalings and both hops."""

import argparse
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lorascope.stages.command import (
    Job,
    check_code,
    gpu_option,
    local_sources,
    log,
    parser,
    progress,
    run,
)

if TYPE_CHECKING:
    import numpy as np

    from lorascope.models.protocol import Encoder

CLIPS_AT_ONCE = 16


def work(job: Job, arguments: argparse.Namespace) -> None:
    """Write one chunk of features; clips that an earlier job encoded are not encoded again."""
    from lorascope.benchmarks.items import from_table
    from lorascope.devices import lease
    from lorascope.features import write_features
    from lorascope.models import family
    from lorascope.records import read_table

    recipe, digest = job["recipe"], job["digest"]
    code = family(recipe["family"])
    items = from_table(read_table(job["items"], "items", job["dataset"]))
    clips = sorted({item.clip for item in items})[arguments.chunk :: arguments.chunks]
    done = _encoded(arguments.out.parent, digest, set(clips))
    missing = [clip for clip in clips if clip not in done]
    parts = arguments.out.parent / "parts"
    with progress(len(clips), len(clips) - len(missing), "encode") as bar:
        if missing:
            settings = {**recipe["settings"], **local_sources(job["sources"])}
            encoder = code.load_encoder(settings, lease(arguments.gpus).device, "float32")
            check_code(job)
            for batch in _batches(missing):
                encoded = _encode(encoder, batch, job)
                write_features(parts / f"{uuid.uuid4().hex}.safetensors", encoded, digest)
                done |= encoded
                bar.update(len(batch))
    write_features(arguments.out, {clip: done[clip] for clip in clips}, digest)
    log.info("%d clips, %d of them encoded now", len(clips), len(missing))
    _clear_parts(parts, set(clips))


def _batches(clips: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(clips), CLIPS_AT_ONCE):
        yield clips[start : start + CLIPS_AT_ONCE]


def _encode(encoder: "Encoder", clips: list[str], job: Job) -> dict[str, "np.ndarray"]:
    """Return clip -> [frames, width] float32 under the dataset's audio condition."""
    from lorascope.audio import Condition, apply_condition, read_clip

    condition = Condition.of_dataset(job["recipe"]["dataset"])
    rate = encoder.sampling_rate
    waves = [
        apply_condition(read_clip(Path(job["root"]) / clip, rate), condition, clip, rate)
        for clip in clips
    ]
    return {
        clip: features.numpy() for clip, features in zip(clips, encoder.encode(waves), strict=True)
    }


def _encoded(folder: Path, digest: str, clips: set[str]) -> dict[str, "np.ndarray"]:
    """Return what earlier jobs left in the folder: parts of killed jobs, other chunks."""
    from lorascope.errors import UserError
    from lorascope.features import read_features

    found: dict[str, np.ndarray] = {}
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("parts/*.safetensors")]):
        try:
            found |= read_features(path, digest, clips)
        except UserError as error:
            log.warning("%s", error)
    return found


def _clear_parts(parts: Path, clips: set[str]) -> None:
    """Remove the parts whose clips are all in the chunk just written."""
    from safetensors import safe_open

    for path in parts.glob("[!.]*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            covered = clips.issuperset(file.keys())
        if covered:
            path.unlink(missing_ok=True)


def main() -> int:
    """Run the stage from the command line."""
    options = parser("lorascope.stages.encode", __doc__)
    options.add_argument("--chunk", required=True, type=int, help="number of this chunk, from 0")
    options.add_argument("--chunks", required=True, type=int, help="number of chunks")
    gpu_option(options)
    return run(options, work)


if __name__ == "__main__":
    sys.exit(main())
