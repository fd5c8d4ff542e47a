"""Which modules the keys of a profile mean, in layouts of every kind, and which key decides."""

import itertools

import pytest

from lorascope.errors import UserError
from lorascope.models.profiles import Profile, adapted_modules, as_scaling, modules_of, scaled
from lorascope.study.profiles import canonical, parse_key


def of_layers(pattern: str, kinds: list[str], count: int = 4) -> list[str]:
    return [f"{pattern.format(i)}.{kind}" for i in range(count) for kind in kinds]


LLAMA = of_layers("model.layers.{}", ["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"])
GPT2 = of_layers("transformer.h.{}", ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"])
OPT = of_layers("model.decoder.layers.{}", ["self_attn.q_proj", "fc1", "fc2"])
WHISPER = [
    *of_layers("model.encoder.layers.{}", ["self_attn.q_proj", "fc1"]),
    *of_layers("model.decoder.layers.{}", ["self_attn.q_proj", "encoder_attn.q_proj", "fc1"], 2),
]
T5 = [
    *of_layers("encoder.block.{}", ["layer.0.SelfAttention.q", "layer.1.DenseReluDense.wi_0"]),
    *of_layers("decoder.block.{}", ["layer.1.EncDecAttention.q", "layer.2.DenseReluDense.wo"]),
]
MIXTRAL = of_layers("model.layers.{}", ["self_attn.q_proj", "block_sparse_moe.experts.0.w1"])
NEOX = of_layers("gpt_neox.layers.{}", ["attention.dense", "mlp.dense_h_to_4h"])
OUTSIDE = ["model.embed_tokens", *LLAMA, "lm_head"]


def meant(key: str, modules: list[str]) -> list[str]:
    return modules_of(parse_key(key), modules)


@pytest.mark.parametrize(
    "modules",
    [LLAMA, GPT2, OPT, WHISPER, T5, MIXTRAL, NEOX],
    ids=["llama", "gpt2", "opt", "w", "t5", "mix", "neox"],
)
def test_attention_mlp_and_blocks_divide_the_layers_of_every_layout(modules: list[str]) -> None:
    kinds = [meant("attention", modules), meant("mlp", modules)]
    assert sorted(itertools.chain(*kinds)) == sorted(modules)
    assert all(any(word in name.lower() for word in ("attn", "attention")) for name in kinds[0])
    blocks = [meant(f"layers.{n}/2", modules) for n in (1, 2)]
    assert sorted(itertools.chain(*blocks)) == sorted(modules)
    assert blocks[0] == meant("layers.first-half", modules)
    assert meant("layers.2/2 mlp", modules) == [m for m in blocks[1] if m in kinds[1]]


@pytest.mark.parametrize(
    ("key", "modules", "expected"),
    [
        ("layers.0-1", LLAMA, LLAMA[:6]),
        ("layers.0,2-", LLAMA, [*LLAMA[:3], *LLAMA[6:]]),
        ("layers.3-99", LLAMA, LLAMA[9:]),
        ("q_proj", LLAMA, LLAMA[::3]),
        ("self_attn.q_proj", LLAMA, LLAMA[::3]),
        ("self_attn", LLAMA, [m for m in LLAMA if "attn" in m]),
        ("q_proj,down_proj layers.1", LLAMA, [LLAMA[3], LLAMA[5]]),
        ("model.layers.2.mlp.down_proj", LLAMA, [LLAMA[8]]),
        ("c_proj", GPT2, [m for m in GPT2 if "c_proj" in m]),
        ("mlp.c_proj", GPT2, GPT2[3::4]),
        ("decoder", WHISPER, WHISPER[8:]),
        ("encoder layers.0-1 fc1", WHISPER, [WHISPER[1], WHISPER[3]]),
        ("layers.1/2", WHISPER, [*WHISPER[:4], *WHISPER[8:11]]),
        ("layers.1/3", LLAMA, LLAMA[:3]),
        ("layers.2/3", LLAMA, LLAMA[3:6]),
        ("layers.3/3", LLAMA, LLAMA[6:]),
        ("SelfAttention", T5, T5[:8:2]),
        ("lm_head", OUTSIDE, ["lm_head"]),
        ("embed_tokens,lm_head", OUTSIDE, [OUTSIDE[0], OUTSIDE[-1]]),
        ("layers.0-", OUTSIDE, LLAMA),
    ],
)
def test_what_a_key_means(key: str, modules: list[str], expected: list[str]) -> None:
    assert meant(key, modules) == expected


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("layers.4-7", r"'layers\.4-7' touches no adapted layer; there are layers 0-3 of model\.l"),
        ("layers.0-1,9", r"'layers\.9' touches no"),
        ("q_porj", r"'q_porj' touches no adapted layer; .*self_attn\.q_proj, self_attn\.v_proj"),
        ("q_proj,k_proj", "'k_proj' touches no"),
        ("proj", "'proj' touches no"),
        ("q_proj mlp", "'mlp q_proj' touches no"),
        ("layers.1/9", r"'layers\.1/9' touches no"),  # four layers in nine parts: some are empty
        ("lm_head", "'lm_head' touches no"),
    ],
)
def test_a_key_that_touches_nothing_says_what_there_is(key: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        meant(key, LLAMA)


def values(profile: dict, modules: list[str], own: float = 8.0) -> list[float]:
    found = as_scaling(canonical(profile))
    assert isinstance(found, Profile)
    return [*scaled(found, tuple((m, own) for m in modules)).values()]


def test_the_key_that_says_more_decides_in_any_order() -> None:
    profile = {"default": 1, "layers.0-1": 0, "q_proj": 2, "layers.1 q_proj": 5, "self_attn": 3}
    # q_proj, v_proj and down_proj of each layer: a module over layers, words over fewer, the
    # narrower of two names.
    expected = [2, 3, 0, 5, 3, 0, 2, 3, 1, 2, 3, 1]
    for order in itertools.permutations(profile):
        assert values({key: profile[key] for key in order}, LLAMA) == expected
    assert values({"layers.0-2": 0, "layers.1": 4}, LLAMA) == [0] * 3 + [4] * 3 + [0] * 3 + [8] * 3
    assert values({"default": 0, "mlp": None}, LLAMA) == [0, 0, 8] * 4


def test_two_keys_that_say_as_much_and_disagree_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"'layers\.0-2' and 'layers\.2-3' both mean model\.layers\.2"
    ):
        values({"layers.0-2": 0, "layers.2-3": 1}, LLAMA)
    assert values({"layers.0-2": 0, "layers.2-3": 0}, LLAMA) == [0] * 12
    assert values({"layers.0-2": 0, "layers.2-3": 1, "layers.2 model": 7}, LLAMA)[6:9] == [7] * 3


def test_modules_of_an_adapters_file() -> None:
    names = [
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
        "base_model.model.model.embed_tokens.lora_embedding_A",
        "base_model.model.model.embed_tokens.base_layer.weight",
        "model.layers.1.mlp.up_proj.lora_B.default.weight",
    ]
    assert adapted_modules(names) == [
        "model.layers.0.self_attn.q_proj",
        "model.embed_tokens",
        "model.layers.1.mlp.up_proj",
    ]
