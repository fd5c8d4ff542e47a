"""Clips encoded once for a training, kept on the disk beside its checkpoints."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lorascope.benchmarks.audio import read_clip
from lorascope.errors import UserError
from lorascope.models.finetuning.checkpoints import saving
from lorascope.models.salmonn.encoder import SalmonnEncoder
from lorascope.running.progress import Progress
from lorascope.storage.records import atomic_path

FEATURES = "features"


class Clips:
    """A folder of encoded clips, one file each, named by the hash of the clip's own file.

    A file has the Q-Former's output ``features`` [positions, width] and, where the bridge is
    trained, what goes into it: ``speech`` [frames, width] and ``audio`` [steps, width].
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def missing(self, clips: Mapping[str, str]) -> list[str]:
        """Return the clips (path -> hash) that no earlier job has encoded."""
        found = [clip for clip, sha256 in sorted(clips.items()) if not self._path(sha256).exists()]
        PartialState().wait_for_everyone()  # every process looks before one of them writes
        return found

    def encode(
        self, encoder: SalmonnEncoder, root: Path, clips: Mapping[str, str], below: bool
    ) -> None:
        """Encode clips (path below ``root`` -> hash), each process a part of them.

        ``below`` says whether to keep what goes into the bridge, too.
        """
        process = PartialState()
        mine = sorted(clips)[process.process_index :: process.num_processes]
        with Progress(len(mine), 0, "encode", "clip") as bar:
            for clip in mine:
                encoded = _encode(encoder, root / clip, below)
                path = self._path(clips[clip])
                with atomic_path(path) as temporary, saving(path):
                    save_file(encoded, temporary)
                bar.update(1)
        process.wait_for_everyone()

    def positions(self, sha256: str) -> int:
        """Return how many positions of the prompt a clip takes, without reading its tensors."""
        with safe_open(self._path(sha256), framework="pt") as file:
            return file.get_slice(FEATURES).get_shape()[0]

    def read(self, sha256: str, names: Iterable[str]) -> tuple[Tensor, ...]:
        """Return some of the tensors of a clip."""
        tensors = load_file(self._path(sha256))
        return tuple(tensors[name] for name in names)

    def _path(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.safetensors"


@torch.no_grad()
def _encode(encoder: SalmonnEncoder, path: Path, below: bool) -> dict[str, Tensor]:
    wave = read_clip(path, encoder.sampling_rate)
    if (heard := encoder.hears(len(wave))) < len(wave):
        length, heard_seconds = (samples / encoder.sampling_rate for samples in (len(wave), heard))
        raise UserError(
            f"{path}: {length:g} s long, of which the model hears the first {heard_seconds:g} s; "
            "cut the clip, or take it out of the training data"
        )
    encoded = {FEATURES: encoder.encode([wave])[0]}
    if not torch.isfinite(encoded[FEATURES]).all():
        raise UserError(
            f"{path}: its features are not finite numbers; take it out of the training data, or "
            "check the encoder's weights"
        )
    if below:
        wave = encoder.front_end.trim(wave)
        encoded |= {"speech": encoder.speech(wave)[0], "audio": encoder.audio(wave)[0]}
    return {name: tensor.cpu().contiguous() for name, tensor in encoded.items()}
