"""One scaling in one process, hop after hop, each of which encodes the clips it asks about."""

import argparse
import sys
from pathlib import Path

from tests.bench.opponents.bare_salmonn import HOPS, BareSalmonn, questions
from tests.bench.opponents.one_loop import sources
from tests.bench.places import write_answers


def main() -> int:
    """Answer the questions of a folder at one scaling."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scaling", type=float, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--new-tokens", type=int, required=True)
    parser.add_argument("--beams", type=int, required=True)
    given = parser.parse_args()
    model, answers = BareSalmonn(sources(given.models)), {}
    model.scale(given.scaling)
    for hop in HOPS:
        asked = questions(given.data, [hop])
        rows = [(one.question, model.encode(one.clip)) for one in asked]
        said = model.answer(rows, given.batch_size, given.new_tokens, given.beams)
        for place, text in said:
            answers[f"S-{given.scaling:g} {asked[place].item}"] = text
    write_answers(Path("answers.json"), answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
