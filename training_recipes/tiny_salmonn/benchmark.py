"""Mini-SAKURA: the synthetic test split in the layout that SAKURA is published in.

python -m training_recipes.tiny_salmonn.benchmark --out resources/mini-sakura
"""

from __future__ import annotations

import argparse
import csv
import random
from collections import defaultdict
from pathlib import Path

from training_recipes.tiny_salmonn.clips import LABELS, Clip, encode_clip, make_clips
from training_recipes.tiny_salmonn.questions import HOPS, Question, ask, option_count

SEED = 1_000_003  # no training part has it
# Multiples of four (gender: of two) clips a track, so that the gold positions balance exactly.
CLIPS_PER_LABEL = {"animal": 8, "emotion": 12, "gender": 32, "language": 8}
COLUMNS = (
    "file",
    "attribute_label",
    "single_instruction",
    "single_answer",
    "multi_instruction",
    "multi_answer",
)


def write_benchmark(folder: Path) -> None:
    """Write data/<Track>/metadata.csv and data/<Track>/audio/*.ogg under `folder`."""
    clips: dict[str, list[Clip]] = defaultdict(list)
    for clip in make_clips("test", SEED, CLIPS_PER_LABEL):
        clips[clip.track].append(clip)
    rng = random.Random(SEED)
    for track, of_track in clips.items():
        _write_track(folder / "data" / track.capitalize(), track, of_track, rng)


def _write_track(folder: Path, track: str, clips: list[Clip], rng: random.Random) -> None:
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    questions = {hop: _balanced_questions(track, hop, clips, rng) for hop in HOPS}
    numbers = dict.fromkeys(LABELS[track], 0)
    rows = []
    for index, clip in enumerate(clips):
        name = f"{clip.label.lower()}{numbers[clip.label]:02d}.ogg"
        numbers[clip.label] += 1
        (folder / "audio" / name).write_bytes(encode_clip(clip.samples))
        texts = [
            text
            for hop in HOPS
            for text in (questions[hop][index].instruction, questions[hop][index].answer)
        ]
        rows.append((name, clip.label, *texts))
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def _balanced_questions(
    track: str, hop: str, clips: list[Clip], rng: random.Random
) -> list[Question]:
    """A question for each clip, with every gold position equally often."""
    count = option_count(track)
    positions = [index % count for index in range(len(clips))]
    rng.shuffle(positions)
    return [
        ask(track, hop, clip.label, rng, position)
        for clip, position in zip(clips, positions, strict=True)
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write data/ into")
    write_benchmark(parser.parse_args().out)


if __name__ == "__main__":
    main()
