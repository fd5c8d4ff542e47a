"""Small files of models, adapters and tables, for studies that are begun from them."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors.numpy import save_file

from lorascope.__main__ import main

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16"}
WHISPER = {"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"}
QWEN = {"architectures": ["Qwen2AudioForConditionalGeneration"], "model_type": "qwen2_audio"}
CHAT = "{% for m in messages %}{{ m['content'] }}</s>{% endfor %}"


def write_model(
    folder: Path, config: Mapping[str, Any] = LLAMA, template: str | None = CHAT
) -> Path:
    """Write the small files of a model: what it is, and its tokenizer's settings."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = {"eos_token": "</s>"} | ({"chat_template": template} if template else {})
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer.json").write_text(
        json.dumps({"added_tokens": [{"id": 2, "content": "</s>", "special": True}]})
    )
    return folder


def write_adapter(folder: Path, **config: Any) -> Path:
    """Write the files of a LoRA of peft."""
    folder.mkdir(parents=True)
    settings = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(settings | config))
    weights = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": np.zeros((8, 4))}
    save_file(weights, folder / "adapter_model.safetensors")
    return folder


def write_rows(file: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write a table in the form that its name says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), file)
    elif file.suffix in (".csv", ".tsv"):
        with file.open("w", newline="") as opened:
            writer = csv.DictWriter(opened, rows[0], delimiter="\t" if "t" in file.suffix else ",")
            writer.writeheader()
            writer.writerows(rows)
    elif file.suffix == ".json":
        file.write_text(json.dumps(rows))
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def begin(capsys: Any, *options: str, out: str = "study.yaml") -> tuple[dict[str, Any], str]:
    """Run `lorascope new`; return the study and what is printed, after `lorascope plan` took it."""
    assert main(["new", "--out", out, *options]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert main(["plan", "--configfile", out]) == 0, capsys.readouterr().err
    capsys.readouterr()
    return yaml.safe_load(Path(out).read_text()), said


def refused(capsys: Any, *options: str) -> str:
    """Run `lorascope new`, which has to write nothing; return its one message."""
    before = sorted(Path().rglob("*.yaml"))
    assert main(["new", *options]) == 1
    assert sorted(Path().rglob("*.yaml")) == before
    message = capsys.readouterr().err.strip()
    assert "\n" not in message
    return message
