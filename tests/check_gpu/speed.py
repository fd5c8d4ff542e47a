"""How fast the stages are beside what the card allows."""

import shutil
import time
from typing import Any

from tests.check_gpu.card import Watch
from tests.check_gpu.equality import compare
from tests.check_gpu.running import Result, results, run, said, written
from tests.check_gpu.studies import BATCHES, MAIN, Check, asked, salmonn, study, text, write_data
from tests.support.random_models import SHAPES


def speed(check: Check, kind: str, shape: str) -> None:
    """Run one of the large models and print how fast its stages are."""
    data = check.folder / kind
    write_data(data, check.items, SHAPES[shape].chunk)
    start = time.perf_counter()
    parameters = written(check, kind, shape, data / "model")
    said(f"  written in {time.perf_counter() - start:.0f} s: {parameters / 1e9:.3g}G parameters")
    made = text_study(check) if kind == "text" else salmonn_study(check)
    start = time.perf_counter()
    with Watch() as check.watch:
        run(data, made)
    most = f", at most {check.watch.most / 2**30:.1f} GiB of the GPU" if check.watch.most else ""
    said(f"  all jobs took {time.perf_counter() - start:.0f} s{most}")
    found = results(data)
    for name, result in found.items():
        report(check, name, result, parameters)
    prefix = kind[0].upper()
    for batch in BATCHES[1:]:
        compare(check, f"{prefix}-B{batch}", found[f"{prefix}-B{batch}"], found[f"{prefix}-B1"],
                must=False)  # fmt: skip
    shutil.rmtree(data)


def text_study(check: Check) -> dict[str, Any]:
    steps = {"steps": 3, "batch_size": 4, "sequence_length": 128, "precision": "bfloat16"}
    data = {"format": "table", "source": "rows.jsonl", "question": "{question}", "answer": "right"}
    trained = {"data": data, "rank": 8, "alpha": 16, "target_modules": ["q_proj", "v_proj"]}
    experiments = asked("m", "asked", "T", adapter="given")
    one = {"model": "m", "dataset": "asked", "batch_size": MAIN}
    experiments.append({**one, "id": "T-choose", "mode": "choose", "adapter": "given"})
    experiments.append({**one, "id": "T-trained", "adapter": "trained"})
    adapters = {
        "given": {"model": "m", "source": "model/adapter"},
        "trained": {"model": "m", "train": trained | steps},
    }
    models = {"m": text("model", "bfloat16")}
    return study("text", check, models=models, adapters=adapters, experiments=experiments)


def salmonn_study(check: Check) -> dict[str, Any]:
    models = {"m": salmonn("model", "bfloat16")}
    return study("salmonn", check, models=models, experiments=asked("m", "heard", "S"))


def report(check: Check, name: str, result: Result, parameters: int) -> None:
    """Print the speed of an experiment, and which share of what the card allows it is."""
    batch = int(name.rpartition("B")[2]) if "-B" in name else MAIN
    items, card = len(result.answers), check.card
    # The weights are read once a step for all rows, and multiplied with every position once.
    steps = -(-items // batch) * (result.made // items + 1 if result.made else 1)
    reading = 2 * parameters * steps / card.bytes_per_second
    computing = 2 * parameters * (result.read + result.made) / card.operations_per_second
    line = (
        f"  {name}: {items / result.seconds:.3g} items/s, {result.made / result.seconds:.4g} "
        f"tokens/s, {1000 * result.seconds / steps:.3g} ms a step with what is read before, "
        f"{reading / result.seconds:.1%} of the time for reading the weights, "
        f"{computing / result.seconds:.1%} for computing with them at the card's full speed"
    )
    busy = check.watch and check.watch.share(result.end - result.seconds, result.end)
    said(line if busy is None else f"{line}, the GPU busy for {busy:.0%}")
