"""Clips encoded once for a training, kept on the disk beside its checkpoints."""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lorascope.benchmarks.audio import read_clip
from lorascope.benchmarks.examples import Conversation, Example, Pair
from lorascope.errors import UserError
from lorascope.models.finetuning.checkpoints import saving
from lorascope.models.finetuning.trainee import Scratch
from lorascope.models.protocol import Encoder, NonFiniteError
from lorascope.running.progress import Progress
from lorascope.storage.records import atomic_path, check_read, seal, set_aside, unseal

FEATURES = "features"
KEY = "lorascope"
BROKEN = (SafetensorError, OSError, ValueError, KeyError, TypeError)
"""What reading a damaged file raises."""


def about_clips(examples: Sequence[Example]) -> list[Pair]:
    """Return the examples, each about a clip; UserError for one that is not."""
    pairs = []
    for example in examples:
        if isinstance(example, Conversation) or not example.clip:
            raise UserError(f"{example.where}: has no clip to hear (train.data)")
        pairs.append(example)
    return pairs


class Clips:
    """A folder of encoded clips, one file each, named by the hash of the clip's own file.

    A file has the encoder's ``features`` [positions, width] and whatever else its family keeps. It
    says which clip it is, of which adapter's training, and the checksum of each tensor.
    """

    def __init__(self, scratch: Scratch) -> None:
        self.folder, self.digest = scratch.folder / "clips", scratch.digest

    def missing(self, clips: Mapping[str, str]) -> list[str]:
        """Return the clips (path -> hash) that no earlier job has encoded for this training."""
        found = [clip for clip, sha256 in sorted(clips.items()) if not self._is_here(sha256)]
        PartialState().wait_for_everyone()  # every process looks before one of them writes
        return found

    def encode(
        self,
        encoder: Encoder,
        root: Path,
        clips: Mapping[str, str],
        besides: Callable[[NDArray[np.float32]], Mapping[str, Tensor]] = lambda wave: {},
    ) -> None:
        """Encode clips (path below ``root`` -> hash), each process a part of them.

        ``besides`` turns a waveform into what is kept of it beside its features, by name.
        """
        process = PartialState()
        mine = sorted(clips)[process.process_index :: process.num_processes]
        with Progress(len(mine), 0, "encode", "clip") as bar:
            for clip in mine:
                encoded = _encode(encoder, root / clip, besides)
                path = self._path(clips[clip])
                with atomic_path(path) as temporary, saving(path):
                    save_file(encoded, temporary, metadata={KEY: self._label(clips[clip], encoded)})
                bar.update(1)
        process.wait_for_everyone()

    def positions(self, sha256: str) -> int:
        """Return how many positions of the prompt a clip takes, without reading its tensors."""
        with safe_open(self._path(sha256), framework="pt") as file:
            return file.get_slice(FEATURES).get_shape()[0]

    def read(self, sha256: str, names: Iterable[str]) -> tuple[Tensor, ...]:
        """Return some of the tensors of a clip; a damaged file is moved aside, with a UserError."""
        path = self._path(sha256)
        try:
            with safe_open(path, framework="pt") as file:
                label = self._checked(file.metadata(), sha256)
                tensors = {name: file.get_tensor(name) for name in names}
                broken = [n for n, tensor in tensors.items() if _crc32(tensor) != label["crc32"][n]]
        except BROKEN as error:
            check_read(path, error)
            set_aside(path, f"not readable as an encoded clip ({' '.join(str(error).split())})")
        if broken:
            set_aside(path, f"{', '.join(broken)} of the encoded clip are damaged")
        return tuple(tensors.values())

    def _is_here(self, sha256: str) -> bool:
        """Return whether a clip is here as this training encoded it, by what its file says."""
        try:
            with safe_open(self._path(sha256), framework="pt") as file:
                label = self._checked(file.metadata(), sha256)
                return FEATURES in label["crc32"].keys() & {*file.keys()}
        except BROKEN:
            return False

    def _checked(self, metadata: Mapping[str, str], sha256: str) -> dict[str, Any]:
        label: dict[str, Any] = unseal(metadata[KEY])
        if (label["digest"], label["clip"]) != (self.digest, sha256):
            raise ValueError("it is another training's, or another clip's")
        return label

    def _label(self, sha256: str, encoded: Mapping[str, Tensor]) -> str:
        checksums = {name: _crc32(tensor) for name, tensor in encoded.items()}
        return seal({"digest": self.digest, "clip": sha256, "crc32": checksums})

    def _path(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.safetensors"


def _crc32(tensor: Tensor) -> int:
    return zlib.crc32(tensor.numpy().tobytes())


@torch.no_grad()
def _encode(
    encoder: Encoder,
    path: Path,
    besides: Callable[[NDArray[np.float32]], Mapping[str, Tensor]],
) -> dict[str, Tensor]:
    wave = read_clip(path, encoder.sampling_rate)
    if (heard := encoder.hears(len(wave))) < len(wave):
        length, heard_seconds = (samples / encoder.sampling_rate for samples in (len(wave), heard))
        raise UserError(
            f"{path}: {length:g} s long, of which the model hears the first {heard_seconds:g} s; "
            "cut the clip, or take it out of the training data"
        )
    try:
        encoded = {FEATURES: encoder.encode([wave])[0]}
    except NonFiniteError as error:
        raise UserError(
            f"{path}: its features are not finite numbers; take it out of the training data, or "
            "check the encoder's weights"
        ) from error
    encoded |= besides(wave)
    return {name: tensor.cpu().contiguous() for name, tensor in encoded.items()}
