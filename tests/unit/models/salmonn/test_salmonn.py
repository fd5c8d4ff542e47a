"""SALMONN on random files of the released layout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from lorascope.errors import UserError
from lorascope.models.finetuning.clips import Clips
from lorascope.models.finetuning.trainee import Scratch
from lorascope.models.salmonn.answerer import load as load_answerer
from lorascope.models.salmonn.encoder import load as load_encoder
from tests.support.basics import GREEDY, printed
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import RANK, SECONDS, write_salmonn
from tests.support.tiny_text_files import write_adapter

QUESTIONS = ["How many legs does it have?", "Which animal can be heard? (a) dog (b) cat", "Sad?"]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Any]:
    return defaults("salmonn") | write_salmonn(tmp_path_factory.mktemp("salmonn"))


@pytest.fixture(scope="module")
def encoder(files):
    return load_encoder(files, "cpu")


@pytest.fixture
def answerer(files):
    return load_answerer(files, "cpu", "float32", None)


def clips(*seconds: float) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(int(16000 * s), dtype=np.float32) for s in seconds]


@pytest.fixture(scope="module")
def features(encoder) -> list[torch.Tensor]:
    return encoder.encode(clips(0.5, 1.4, 2.0))


# ------------------------------------------------------------------------------------- encoding


def test_features_do_not_depend_on_the_batch(encoder, features):
    for clip, expected in zip(clips(0.5, 1.4, 2.0), features, strict=True):
        assert torch.equal(encoder.encode([clip])[0], expected)


def test_clip_is_padded_to_a_second_and_cut_to_the_chunk(encoder):
    (short,) = clips(0.5)
    (long,) = clips(SECONDS + 1)
    padded = np.pad(short, (0, 8000))
    for clip, same in ((short, padded), (long, long[: 16000 * SECONDS])):
        assert torch.equal(encoder.encode([clip])[0], encoder.encode([same])[0])


@pytest.mark.parametrize(
    ("window", "stride", "count"),
    # A chunk is 50 Whisper frames but 96 BEATs steps, and the longer stream counts.
    [(0.333333, 0.333333, 12), (0.666667, 0.333333, 10), (1, 0.5, 6), (0.5, 0.5, 8)],
)
def test_window_and_stride_are_settings(files, window, stride, count):
    settings = files | {"second_per_window": window, "second_stride": stride}
    (features,) = load_encoder(settings, "cpu").encode(clips(2.0))
    assert features.shape == (count, 24)


@pytest.mark.parametrize("key", ["second_per_window", "second_stride"])
@pytest.mark.parametrize("seconds", [0.001, 2.5])
def test_window_without_frames_or_beyond_the_chunk_is_refused(files, key, seconds):
    with pytest.raises(UserError, match=key):
        load_encoder(files | {key: seconds}, "cpu")


def test_a_training_hears_whole_clips_or_none(encoder, tmp_path):
    assert [encoder.hears(n) for n in (1, 31999, 32000, 32001)] == [1, 31999, 32000, 32000]
    soundfile.write(tmp_path / "a.wav", np.zeros(16000 * SECONDS + 8000), 16000)
    with pytest.raises(
        UserError, match=r"a\.wav: 2\.5 s long, of which the model hears the first 2"
    ):
        scratch = Scratch(tmp_path / "clips", "d")
        Clips(scratch).encode(encoder, tmp_path, {"a.wav": "0"})


def test_features_that_are_not_numbers_are_refused(encoder):
    good, broken = clips(1.0, 1.0)
    broken[100] = np.nan
    with pytest.raises(UserError, match="clip 1 of the batch"):
        encoder.encode([good, broken])


# ------------------------------------------------------------------------------------ answering


def test_prompt_is_the_template_around_the_audio_and_the_question(answerer, features):
    assert answerer.prompt(" Sad?\n") == "USER: <Speech><SpeechHere></Speech> Sad?\nASSISTANT:"
    before, after = answerer.prompt_ids("Sad?")
    length = 1 + len(before) + len(features[0]) + len(after)
    assert answerer.embed("Sad?", features[0]).shape == (length, 32)
    with pytest.raises(UserError, match="SpeechHere"):
        answerer.prompt_ids("Where is <SpeechHere>?")


@pytest.mark.parametrize("scaling", [0, 1, 4, 16])
@pytest.mark.parametrize("sampled", [False, True])
def test_answers_do_not_depend_on_the_batch(answerer, features, scaling, sampled):
    answerer.adapt(None, scaling)
    questions = [question for question in QUESTIONS for _ in features]
    heard = [*features] * len(QUESTIONS)
    generation = GREEDY | {"do_sample": sampled}
    together = answerer.answer(questions, heard, generation, range(len(heard)))
    for seed, (question, feature) in enumerate(zip(questions, heard, strict=True)):
        assert answerer.answer([question], [feature], generation, [seed]) == [together[seed]]


def test_sampling_follows_the_seed(answerer, features):
    generation = GREEDY | {"do_sample": True, "temperature": 2.0, "top_p": 1.0}

    def sampled(seed: int) -> list[int]:
        return answerer.answer(QUESTIONS[:1], features[:1], generation, [seed])[0].tokens

    assert sampled(1) == sampled(1)
    assert len({tuple(sampled(seed)) for seed in range(4)}) == 4


def test_beam_search_does_not_depend_on_the_batch(answerer, features):
    generation = GREEDY | {"num_beams": 3}
    together = answerer.answer(QUESTIONS, features, generation, [0] * 3)
    for question, feature, answer in zip(QUESTIONS, features, together, strict=True):
        assert answerer.answer([question], [feature], generation, [0]) == [answer]


def test_answer_ends_with_its_end_of_sequence(answerer, features):
    bias = torch.zeros(320)
    bias[2] = 1e4
    answerer.llm.lm_head.register_forward_hook(lambda *call: call[-1] + bias)
    (answer,) = answerer.answer(QUESTIONS[:1], features[:1], GREEDY, [0])
    assert (answer.tokens, answer.text, answer.finish_reason) == ([2], "", "eos")
    (answer,) = answerer.answer(QUESTIONS[:1], features[:1], GREEDY | {"min_length": 3}, [0])
    assert len(answer.tokens) == 3


def test_scaling_defaults_to_alpha_over_rank_and_is_absolute(files, features):
    own = load_answerer(files | {"lora_alpha": 10}, "cpu", "float32", None)
    assert own.lora_scaling == 10 / RANK
    assert own.parameters_adapted == 4
    given = load_answerer(files | {"lora_alpha": 99}, "cpu", "float32", 10 / RANK)
    answers = [m.answer(QUESTIONS, features, GREEDY, [0] * 3) for m in (own, given)]
    assert answers[0] == answers[1]
    own.adapt(None, 0)
    assert own.answer(QUESTIONS, features, GREEDY, [0] * 3) != answers[0]


def test_an_adapter_takes_the_place_of_the_checkpoints_lora(files, features, tmp_path):
    def answers(scaling, *adapter):
        model = load_answerer(files, "cpu", "float32", scaling, *adapter)
        in_force = (model.lora_scaling, model.parameters_adapted)
        return in_force, model.answer(QUESTIONS, features, GREEDY, [0] * 3)

    # All four projections, the checkpoint's LoRA has two.
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    adapter = str(write_adapter(tmp_path / "adapter", files["llm"], target_modules=targets))
    own, adapted = answers(None, adapter)
    assert own == (2.0, 8)
    assert adapted == answers(2.0, adapter)[1] != answers(2.0)[1]
    assert answers(0, adapter)[1] == answers(0)[1]


def test_folders_sampling_defaults_do_not_reach_the_answers(own_files, features):
    answers = []
    for sampling in ({"temperature": 0.9, "top_p": 0.6, "do_sample": True, "max_length": 3}, {}):
        (Path(own_files["llm"]) / "generation_config.json").write_text(json.dumps(sampling))
        answerer = load_answerer(own_files, "cpu", "float32", 1)
        answers.append(answerer.answer(QUESTIONS, features, GREEDY, [0] * 3))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_language_model_alone_takes_the_dtype(files, features, dtype):
    answerer = load_answerer(files, "cpu", dtype, 2)
    dtypes = {(".lora_" in name, p.dtype) for name, p in answerer.llm.named_parameters()}
    assert dtypes == {(True, torch.float32), (False, getattr(torch, dtype))}  # as in peft
    assert answerer.projection.weight.dtype == torch.float32
    (answer,) = answerer.answer(QUESTIONS[:1], features[:1], GREEDY, [0])
    assert 1 <= len(answer.tokens) <= 12


def test_features_of_another_width_are_refused(answerer):
    with pytest.raises(UserError, match="width 25"):
        answerer.embed("Sad?", torch.zeros(6, 25))


# ---------------------------------------------------------------------------------------- files


@pytest.fixture
def own_files(tmp_path) -> dict[str, Any]:
    return defaults("salmonn") | write_salmonn(tmp_path)


def test_each_half_reads_only_its_own_files(own_files):
    (Path(own_files["llm"]) / "model.safetensors").unlink()
    load_encoder(own_files, "cpu")
    files = own_files | write_salmonn(Path(own_files["llm"]).parent / "other")
    (Path(files["whisper"]) / "model.safetensors").unlink()
    Path(files["beats"]).unlink()
    load_answerer(files, "cpu", "float32", None)


def test_shards_of_either_format_give_the_same_model(own_files, features):
    expected = load_answerer(own_files, "cpu", "float32", 1)
    (clip,) = clips(1.0)
    heard = load_encoder(own_files, "cpu").encode([clip])[0]
    for key in ("llm", "whisper"):
        shard(Path(own_files[key]))
    answerer = load_answerer(own_files, "cpu", "float32", 1)
    arguments = (QUESTIONS, features, GREEDY, [0] * 3)
    assert answerer.answer(*arguments) == expected.answer(*arguments)
    assert torch.equal(load_encoder(own_files, "cpu").encode([clip])[0], heard)


def shard(folder: Path) -> None:
    """Replace model.safetensors by two .bin shards and their index, as old transformers did."""
    tensors = sorted(load_file(folder / "model.safetensors").items())
    if folder.name == "llm":
        tensors.append(("model.layers.0.self_attn.rotary_emb.inv_freq", torch.ones(4)))
    (folder / "model.safetensors").unlink()
    names = {}
    for i, part in enumerate((tensors[::2], tensors[1::2])):
        file = f"pytorch_model-0000{i + 1}-of-00002.bin"
        torch.save(dict(part), folder / file)
        names |= {name: file for name, _ in part}
    index = {"metadata": {"total_size": 0}, "weight_map": names}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def edit(path: str, change) -> None:
    """Apply ``change`` to the tensors of a torch file."""
    content = torch.load(path, weights_only=True)
    change(content["model"])
    torch.save(content, path)


def load_both(files: dict[str, Any]) -> None:
    load_encoder(files, "cpu")
    load_answerer(files, "cpu", "float32", None)


QUERY = "llama_model.base_model.model.model.layers.1.self_attn.q_proj.lora_{}.default.weight"


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("checkpoint", lambda m: m.pop("ln_audio.bias"), r"missing keys: ln_audio\.bias"),
        ("checkpoint", lambda m: m.pop("speech_query_tokens"), "missing key .*query_tokens"),
        ("checkpoint", lambda m: m.pop("speech_llama_proj.bias"), "speech_llama_proj"),
        ("checkpoint", lambda m: m.pop(QUERY.format("B")), "missing key .*q_proj.lora_B"),
        ("checkpoint", lambda m: m.update(extra=torch.ones(1)), "unexpected keys: extra"),
        (
            "checkpoint",
            lambda m: m.update({"speech_Qformer.bert.pooler.weight": torch.ones(1)}),
            "unexpected keys: speech_Qformer.bert.pooler",
        ),
        ("checkpoint", lambda m: m.update({QUERY.format("A"): torch.ones(3, 32)}), "several ranks"),
        ("checkpoint", lambda m: m["ln_audio.weight"].fill_(torch.nan), "NaN"),
        ("checkpoint", lambda m: m[QUERY.format("A")].fill_(torch.inf), "NaN or infinite"),
        ("beats", lambda m: m.pop("layer_norm.bias"), r"missing keys: layer_norm\.bias"),
        ("beats", lambda m: m.update(extra=torch.ones(1)), "unexpected keys: extra"),
        (
            "beats",
            lambda m: m.update({"layer_norm.bias": torch.ones(9)}),
            "unexpected shapes of",
        ),
        ("beats", lambda m: m["layer_norm.bias"].fill_(torch.inf), "NaN or infinite"),
    ],
)
def test_checkpoint_that_does_not_fit_is_refused(own_files, key, change, message):
    edit(own_files[key], change)
    with pytest.raises(UserError, match=message) as error:
        load_both(own_files)
    assert own_files[key] in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("model.norm.weight"), "missing keys: model.norm.weight"),
        (
            lambda m: m.update({"model.extra.weight": torch.ones(1)}),
            "unexpected keys: model.extra.weight",
        ),
        (lambda m: m.update({"model.norm.weight": torch.ones(9)}), "shapes .* model.norm.weight"),
        (lambda m: m["model.norm.weight"].fill_(torch.nan), "NaN .* in model.norm.weight"),
    ],
)
def test_language_model_that_does_not_fit_is_refused(own_files, change, message):
    path = Path(own_files["llm"]) / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(UserError, match=message):
        load_answerer(own_files, "cpu", "float32", None)


@pytest.mark.parametrize("name", ["whisper", "beats", "checkpoint", "llm"])
def test_missing_file_is_named(files, name):
    with pytest.raises(UserError, match=f"{name}: /nowhere.* does not exist"):
        load_both(files | {name: "/nowhere"})


@pytest.mark.parametrize(
    "name",
    [
        "beats.pt",
        "salmonn.pth",
        "whisper/model.safetensors",
        "whisper/config.json",
        "whisper/preprocessor_config.json",
        "llm/model.safetensors",
        "llm/config.json",
        "llm/tokenizer.model",
    ],
)
def test_truncated_file_is_named(own_files, name):
    path = Path(own_files["checkpoint"]).parent / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError) as error:
        load_both(own_files)
    assert str(path.parent) in str(error.value)


def test_parts_of_different_models_are_refused(own_files):
    with pytest.raises(UserError, match="qformer_heads: 7"):
        load_encoder(own_files | {"qformer_heads": 7}, "cpu")
    edit(
        own_files["checkpoint"],
        lambda m: m.update(
            {"speech_llama_proj.weight": torch.ones(48, 24), "ln_speech.weight": torch.ones(20)}
        ),
    )
    with pytest.raises(UserError, match="whisper encoder of width 20"):
        load_encoder(own_files, "cpu")
    with pytest.raises(UserError, match="language model of width 48"):
        load_answerer(own_files, "cpu", "float32", None)
    config = Path(own_files["llm"]) / "config.json"
    config.write_text(config.read_text().replace('"llama"', '"mistral"'))
    with pytest.raises(UserError, match="mistral"):
        load_answerer(own_files, "cpu", "float32", None)


@pytest.mark.parametrize("scaling", [float("nan"), float("inf")])
def test_scaling_must_be_finite(files, scaling):
    with pytest.raises(UserError, match="finite"):
        load_answerer(files, "cpu", "float32", scaling)


def test_planning_imports_no_torch():
    code = (
        "import sys, lorascope.planning.plan; from lorascope.study.registry import FAMILIES; "
        "FAMILIES['salmonn']; print('torch' in sys.modules)"
    )
    assert printed(code) == "False\n"
