"""Studies that are begun: odd models, adapters and tables, of which one guesses what they are."""

import json
from argparse import ArgumentParser
from pathlib import Path
from random import Random
from typing import Any

from lorascope.inspecting.new import add_options, new_lines
from lorascope.inspecting.new import names as known
from tests.fuzzing.mutations import as_json, mutated
from tests.fuzzing.runner import Kind
from tests.support.lab import write_clip
from tests.support.new_studies import (
    LLAMA,
    QWEN,
    WHISPER,
    write_adapter,
    write_model,
    write_rows,
)

NAMES = [
    *(name for key, names in vars(known).items() if key.isupper() and key != "HARMLESS"
      for name in names),
    *("A", "B", "C", "option1", "option2", "a.b", "{x}", "options", "Die Frage", "n\n"),
]  # fmt: skip
VALUES: list[Any] = [
    *("A", "B", "2", "#### 7", "What is it?", "a b c", "clip.wav", "", "{x}", "ja\nnein"),
    *(0, 1, 2, 2.5, True, None, [], {}, ["x", "y"], [0, 1], [1, 2, 3]),
    *({"A": "x", "B": "y"}, {"text": ["x", "y"], "label": ["A", "B"]}, {"path": "clip.wav"}),
]
OPTIONS = ("question", "options", "answer", "text", "clip", "clips", "id", "category")


def write_begun(folder: Path) -> None:
    """Write models, an adapter and a clip."""
    for name, config in (("llama", LLAMA), ("qwen", QWEN), ("whisper", WHISPER)):
        write_model(folder / name, config)
    write_adapter(folder / "lora", base_model_name_or_path="x/llama")
    write_clip(folder / "clip.wav", 0.1)


def begin_odd_study(random: Random, given: Path) -> None:
    """Begin a study from a table of odd columns, at times with an odd model or adapter."""
    names = random.sample(NAMES, random.randint(1, 6))
    kinds = {name: random.choice(VALUES) for name in names}
    count = random.randint(1, 4)
    rows = [{n: _value(kind, random) for n, kind in kinds.items()} for _ in range(count)]
    file = write_rows(Path(f"rows{random.choice(['.jsonl', '.json', '.csv', '.tsv'])}"), rows)
    Path("clip.wav").symlink_to(given / "clip.wav")
    words = ["--data", str(file), "--out", "study.yaml"]
    for option in ("model", "adapter"):
        if option == "model" or random.random() < 0.3:
            words += [f"--{option}", _folder(option, random, given)]
    for option in OPTIONS:
        if random.random() < 0.08:
            words += [f"--{option}", random.choice([*names, "{x}", ",".join(names)])]
    parser = ArgumentParser()
    add_options(parser)
    list(new_lines(parser.parse_args(words)))
    assert Path("study.yaml").exists()


def _value(kind: Any, random: Random) -> Any:
    return random.choice(VALUES) if random.random() < 0.1 else kind


def _folder(option: str, random: Random, given: Path) -> str:
    name = random.choice(["llama", "llama", "qwen", "whisper"]) if option == "model" else "lora"
    if random.random() < 0.7:
        return str(given / name)
    Path(option).mkdir()
    for file in (given / name).iterdir():
        data = file.read_bytes()
        if file.suffix == ".json" and random.random() < 0.5:
            data = as_json(mutated(json.loads(data), random)).encode()
        (Path(option) / file.name).write_bytes(data)
    return option


NEW = Kind("new", write_begun, begin_odd_study)
