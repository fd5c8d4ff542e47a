"""A study whose files are nowhere, and the command line run on it."""

from pathlib import Path

import yaml

from lorascope.__main__ import main
from lorascope.planning.plan import Plan, load_plan

STUDY = {
    "study": "example",
    "models": {
        "tiny": {"family": "salmonn", "llm": "l", "whisper": "w", "beats": "b", "checkpoint": "c"}
    },
    "datasets": {"sakura": {"benchmark": "sakura", "source": "nowhere"}},
    "experiments": [
        {"id": "SF-{lora_scaling}", "model": "tiny", "dataset": "sakura",
         "grid": {"lora_scaling": [0, 1]}},
    ],
    "baseline": "SF-1",
    "shards": 2,
}  # fmt: skip


def write(study: dict, name: str = "study.yaml") -> Plan:
    Path(name).write_text(yaml.safe_dump(study))
    return load_plan(study, name)


def make(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def run(capsys, *arguments: str) -> list[str]:
    assert main(arguments) == 0
    return capsys.readouterr().out.splitlines()
