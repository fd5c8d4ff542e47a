import json

import pytest
from transformers import (
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from lorascope.models.finetuning.count import LAYOUTS, trainable_parameters
from lorascope.models.finetuning.trainee import measure_folder
from tests.support.basics import printed
from tests.support.trainings import TRAIN

SIZES = {
    "vocab_size": 50,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "mistral": MistralConfig(**SIZES, num_key_value_heads=3, head_dim=16),
    "qwen2": Qwen2Config(**SIZES, num_key_value_heads=2),
    "qwen3": Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=12),
    "gemma": GemmaConfig(**SIZES, num_key_value_heads=1, head_dim=20),
}
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def test_every_layout_is_tested() -> None:
    assert set(CONFIGS) == set(LAYOUTS)


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ALL], ids=["attention", "all"])
@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_count_is_that_of_the_built_model(tmp_path, kind: str, targets: list[str]) -> None:
    CONFIGS[kind].save_pretrained(tmp_path)
    built = measure_folder(tmp_path, TRAIN | {"rank": 5, "target_modules": targets}, False)
    assert trainable_parameters(tmp_path, 5, targets) == built.trainable


def test_an_unknown_layout_has_no_count(tmp_path) -> None:
    assert trainable_parameters(tmp_path, 8, ["c_attn"]) is None
    GPT2Config().save_pretrained(tmp_path)
    assert trainable_parameters(tmp_path, 8, ["c_attn"]) is None
    (tmp_path / "config.json").write_text("{")
    assert trainable_parameters(tmp_path, 8, ["c_attn"]) is None


def test_other_target_modules_have_no_count(tmp_path) -> None:
    CONFIGS["llama"].save_pretrained(tmp_path)
    assert trainable_parameters(tmp_path, 8, ["q_proj", "lm_head"]) is None


def test_counting_imports_no_torch(tmp_path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"} | SIZES))
    code = (
        "import sys; from pathlib import Path; from lorascope.models.finetuning import count; "
        f"print(count.trainable_parameters(Path({str(tmp_path)!r}), 2, ['q_proj'])); "
        "print({'torch', 'transformers', 'peft'} & sys.modules.keys())"
    )
    assert printed(code).split() == [str(3 * 2 * 96), "set()"]
