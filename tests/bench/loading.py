"""Memory and time to load a checkpoint of 2 GB, against from_pretrained alone."""

import json
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.comparing import Row, Side, compare
from tests.bench.places import opponent, python, read_answers
from tests.bench.settings import Scale
from tests.bench.spending import Spent

LAYERS, WIDTH = 20, 2048
MAKING = """
from pathlib import Path
from tests.bench.text_files import write_llama
write_llama(Path("llama"), width={width}, layers={layers}, dtype="bfloat16")
"""


def rows(scale: Scale) -> list[Row]:
    """Measure loading and one short answer, in a process each."""
    with TemporaryDirectory(prefix="lorascope-bench-") as folder:
        made = Path(folder).resolve()
        make(made)
        return compared(made, scale.runs)


def make(folder: Path, width: int = WIDTH, layers: int = LAYERS) -> None:
    """Write the checkpoint, in a process whose memory goes with it."""
    code = MAKING.format(width=width, layers=layers)
    python(folder, "-c", code)


def compared(made: Path, runs: int) -> list[Row]:
    """Return the rows: CPU of loading, and peaks of memory above that of the imports.

    Weights that are mapped are read when they are first needed, so that an answer is waited for,
    too.
    """
    model = made / "llama"
    weights = sum(path.stat().st_size for path in model.glob("*.safetensors")) / 2**20
    what = f"g: load of {weights / 1024:.1f} GiB"
    loaded = compare(what, *sides(model, "load"), runs, bar=1.2)
    answered = compare(f"{what} and first answer", *sides(model, "answer"), runs, bar=1.2)
    floor = [Spent(1, 1, weights)] * runs
    memory, how = f"{what}, memory", "the weights alone"
    return [
        loaded,
        answered,
        Row(memory, answered.ours, how, floor, bar=1.3, measure="peak"),
        Row(f"{memory} of from_pretrained", answered.theirs, how, floor, measure="peak"),
    ]


def sides(model: Path, until: str) -> tuple[Side, Side]:
    """Return lorascope and from_pretrained, measured until the model is there, or its answer."""

    def load(how: str, folder: Path) -> Spent:
        opponent("load_and_answer", folder, model=model, how=how, until=until)
        return Spent(**json.loads((folder / "cost.json").read_text(encoding="utf-8")))

    ours, plain = (
        Side(how, partial(load, how), lambda folder: read_answers(folder / "answers.json"))
        for how in ("lorascope", "from_pretrained")
    )
    return ours, plain
