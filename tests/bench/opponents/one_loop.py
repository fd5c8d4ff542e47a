"""A sweep over scalings in one loop of one process: each clip encoded once, no report."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.opponents.bare_salmonn import BareSalmonn, questions
from tests.bench.places import write_answers


def sweep(
    model: BareSalmonn,
    data: Path,
    scalings: Sequence[float],
    batch_size: int,
    new_tokens: int,
    limit: int | None = None,
) -> dict[str, str]:
    """Return "<scaling> <item>" -> answer."""
    asked = questions(data)[:limit]
    features = {clip: model.encode(clip) for clip in dict.fromkeys(one.clip for one in asked)}
    rows = [(one.question, features[one.clip]) for one in asked]
    answers = {}
    for scaling in scalings:
        model.scale(scaling)
        for place, text in model.answer(rows, batch_size, new_tokens):
            answers[f"{scaling:g} {asked[place].item}"] = text
    return answers


def main() -> int:
    """Answer all questions of a folder at all scalings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scalings", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--new-tokens", type=int, required=True)
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    scalings = [float(one) for one in given.scalings.split(",")]
    model = BareSalmonn(sources(given.models))
    how = (scalings, given.batch_size, given.new_tokens, given.limit)
    write_answers(Path("answers.json"), sweep(model, given.data, *how))
    return 0


def sources(models: Path) -> dict[str, str]:
    """Return the files of a SALMONN in a folder by the keys of a study."""
    (checkpoint,) = models.glob("salmonn*.pth")
    names = {"llm": "llm", "whisper": "whisper", "beats": "beats.pt", "checkpoint": checkpoint.name}
    return {key: str(models / name) for key, name in names.items()}


if __name__ == "__main__":
    sys.exit(main())
