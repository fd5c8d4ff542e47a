"""Prompts and loading of audio language models, and what is refused."""

import json
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from lorascope.errors import UserError
from lorascope.models.hf_audio.answerer import load as load_answerer
from lorascope.models.hf_audio.architecture import decoder_name, load_audio_half
from lorascope.models.hf_audio.encoder import load as load_encoder
from tests.support.audio_cases import FIXTURES, GREEDY, MODELS, own_inputs, own_tokens, settings_of
from tests.support.basics import printed
from tests.support.tiny_audio_models import LANGUAGE_MODEL, NEEDS, available, build

kind, folder, settings, waves, features, answerer, own = FIXTURES

# --------------------------------------------------------------------------------------- prompts


def test_the_prompt_is_the_processors(kind, answerer):
    expected = {
        "qwen2_audio": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nAudio 1: <|audio_bos|><|AUDIO|><|audio_eos|>\nSad?<|im_end|>\n"
        "<|im_start|>assistant\n",
        "audioflamingo3": "<|im_start|>user\n<sound>Sad?<|im_end|>\n<|im_start|>assistant\n",
        "granite_speech": "<|start_of_role|>system<|end_of_role|>Today's Date: July 26, 2024."
        "<|end_of_text|>\n<|start_of_role|>user<|end_of_role|><|audio|>Sad?<|end_of_text|>\n"
        "<|start_of_role|>assistant<|end_of_role|>",
        "qwen2_5_omni": "<|im_start|>user\n<|audio_bos|><|AUDIO|><|audio_eos|>Sad?<|im_end|>\n"
        "<|im_start|>assistant\n",
        "phi4_multimodal": "<|user|><|audio|>Sad?<|end|><|assistant|>",
    }
    assert answerer.prompt("Sad?") == expected[kind]


def test_a_system_turn(settings, answerer, own, waves, features):
    told = load_answerer(settings | {"system": "One letter."}, "cpu", "float32", None, None)
    prompt = told.prompt("Sad?")
    assert "One letter." in prompt and "One letter." not in answerer.prompt("Sad?")
    assert "'text'" not in prompt
    inputs = own_inputs(own[1], prompt, waves[0])
    answer = told.answer(["Sad?"], features[:1], GREEDY, [0])[0]
    assert answer.tokens == own_tokens(own[0], inputs)


def test_a_system_turn_in_parts(answerer, folder, tmp_path):
    """Some templates read a list of parts in every turn."""
    settings = broken(folder, tmp_path / "parts") | {"system": "One letter."}
    mark = answerer.prompter.audio_token
    template = tmp_path / "parts" / "chat_template.jinja"
    template.write_text(
        "{% for turn in messages %}{% for part in turn.content %}{% if part.type == 'audio' %}"
        f"{mark}{{% else %}}{{{{ part.text }}}}|{{% endif %}}{{% endfor %}}{{% endfor %}}"
    )
    told = load_answerer(settings, "cpu", "float32", None, None)
    assert told.prompt("Sad? ") == f"One letter.|{mark}Sad? |"
    template.write_text(f"{mark}{{{{ messages[-1].content }}}}")
    with pytest.raises(UserError, match=r"with a system's turn\. Set system: null"):
        load_answerer(settings, "cpu", "float32", None, None).prompt("Sad?")


def test_a_question_with_the_mark_of_the_audio(answerer):
    mark = answerer.prompter.audio_token
    with pytest.raises(UserError, match="the mark of the audio"):
        answerer.prompt(f"What is {mark}?")


def test_a_clip_longer_than_the_encoders_window(kind, settings, own):
    """Qwen2-Audio cuts it, Audio Flamingo 3 takes it in windows, Granite Speech as it is."""
    wave = 0.1 * np.random.default_rng(3).standard_normal(72000).astype(np.float32)
    features = load_encoder(settings, "cpu").encode([wave])
    answerer = load_answerer(settings, "cpu", "float32", None, None)
    answer = answerer.answer(["Sad?"], features, GREEDY, [0])[0]
    assert answer.tokens == own_tokens(own[0], own_inputs(own[1], answerer.prompt("Sad?"), wave))
    least = {"audioflamingo3": 50, "granite_speech": 30, "phi4_multimodal": 50}
    assert len(features[0]) > least.get(kind, 20)


# --------------------------------------------------------------------------------------- loading


def test_the_encoder_keeps_no_language_model(kind, folder, answerer):
    half = load_audio_half(folder, "cpu", trust_remote_code=False)
    whole = dict(answerer.model.named_parameters())
    kept = dict(half.named_parameters())
    language_model = re.compile(rf"{LANGUAGE_MODEL[kind]}|lm_head.*")
    assert kept.keys() == {name for name in whole if not language_model.fullmatch(name)} != set()
    assert len(whole) - len(kept) > 10
    assert all(torch.equal(tensor, whole[name]) for name, tensor in kept.items())


def test_encode_once_false_is_said(settings, caplog):
    caplog.set_level(logging.INFO, "lorascope")
    encoder = load_encoder(settings | {"encode_once": False}, "cpu")
    assert "the audio encoder runs for every question" in caplog.text
    assert encoder.sampling_rate == 16000


def test_a_processor_whose_text_needs_the_clip(settings, waves, caplog, monkeypatch):
    monkeypatch.setattr(
        "lorascope.models.hf_audio.prompting.Prompter.expands_by_repetition", lambda self: False
    )
    features = load_encoder(settings, "cpu").encode(waves)
    assert "runs for every question in spite of encode_once" in caplog.text
    assert [f.shape for f in features] == [(len(wave), 1) for wave in waves]


def test_features_of_another_model(answerer):
    with pytest.raises(UserError, match="encode the clips with this model"):
        answerer.answer(["Sad?"], [torch.zeros(3, 7)], GREEDY, [0])


def test_a_clip_too_short(kind, settings):
    with pytest.raises(UserError, match=r"too short|refuses a clip"):
        load_encoder(settings, "cpu").encode([np.zeros(100, np.float32)])


def broken(folder: Path, to: Path, without: tuple[str, ...] = (), **config: object) -> dict:
    """Copy a model's folder without some files, with changes of its config; return settings."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns(*without))
    path = to / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return settings_of(to)


@pytest.mark.parametrize(
    ("without", "config", "message"),
    [
        (("processor_config.json",), {}, "has no processor"),
        (("processor_config.json", "tokenizer*"), {}, "has no processor that loads"),
        (("model.safetensors",), {}, "neither model.safetensors nor"),
        ((), {"model_type": "bert"}, "is a bert model"),
        ((), {"model_type": "whisper"}, "is a whisper model"),
        ((), {"model_type": "unheard_of"}, "unheard_of"),
        ((), {"model_type": "voxtral"}, "is a voxtral model: .* requests of mistral-common"),
        ((), {"model_type": "phi4mm"}, "Use its revision refs/pr/70"),
    ],
)
def test_folders_that_do_not_serve(folder, tmp_path, without, config, message):
    settings = broken(folder, tmp_path / "broken", without, **config)
    with pytest.raises(UserError, match=message):
        load_encoder(settings, "cpu")
    with pytest.raises(UserError, match=message):
        load_answerer(settings, "cpu", "float32", None, None)


def test_a_model_without_a_chat_template(kind, folder, tmp_path):
    settings = broken(folder, tmp_path / "broken", ("chat_template.jinja",))
    if kind == "qwen2_audio":  # whose processor brings one along
        assert "Sad?" in load_answerer(settings, "cpu", "float32", None, None).prompt("Sad?")
        return
    with pytest.raises(UserError, match="has no chat template"):
        load_encoder(settings, "cpu")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[0]['role'] }}", "has no place for one clip and a question"),
        ("{{ raise_exception('no system turns') }}", "refuses the prompt: no system turns"),
    ],
)
def test_a_chat_template_of_no_use(folder, tmp_path, template, message):
    settings = broken(folder, tmp_path / "broken")
    (tmp_path / "broken" / "chat_template.jinja").write_text(template)
    with pytest.raises(UserError, match=message):
        load_encoder(settings, "cpu")


def test_a_model_that_reads_more_than_embeddings(settings, monkeypatch, kind):
    forward = MODELS[kind].forward

    def counting(self, input_ids=None, **named):
        output = forward(self, input_ids=input_ids, **named)
        if input_ids is not None:
            output.logits[..., 0] += 9
        return output

    monkeypatch.setattr(MODELS[kind], "forward", counting)
    with pytest.raises(UserError, match=rf"{kind}\w* reads more than the embeddings"):
        load_answerer(settings, "cpu", "float32", None, None)


def test_a_model_without_a_language_model_of_its_own():
    config = Qwen2Config(hidden_size=8, num_attention_heads=2, num_hidden_layers=1)
    with pytest.raises(UserError, match="qwen2 has no language model apart from the whole"):
        decoder_name(Qwen2ForCausalLM, config)


def test_rows_too_long_to_be_independent(answerer, features, monkeypatch):
    positions = len(answerer.embed("Sad?", features[0]))
    limit = positions + GREEDY["max_new_tokens"]
    config = answerer.model.config.get_text_config(decoder=True)
    monkeypatch.setattr(config, "original_max_position_embeddings", limit, raising=False)
    assert answerer.answer(["Sad?"], features[:1], GREEDY, [0])
    with pytest.raises(UserError, match=f"exceed the {limit} positions"):
        answerer.answer(["Sad? Sad?"], features[:1], GREEDY, [0])


def test_scores_that_are_not_numbers(kind, settings, monkeypatch):
    forward = MODELS[kind].forward

    def overflowing(self, *given, **named):
        output = forward(self, *given, **named)
        output.logits *= torch.inf
        return output

    monkeypatch.setattr(MODELS[kind], "forward", overflowing)
    with pytest.raises(UserError, match=r"not finite numbers\. Set dtype: bfloat16 or float32"):
        load_answerer(settings, "cpu", "float16", None, None)


def test_phi4_files_of_earlier_transformers(tmp_path, waves):
    """The released folder has the settings of both its halves in preprocessor_config.json."""
    settings = settings_of(build("phi4_multimodal", tmp_path))
    features = load_encoder(settings, "cpu").encode(waves)
    processor = json.loads((tmp_path / "processor_config.json").read_text())
    named = {"processor_class": processor["processor_class"]}
    halves = processor["image_processor"] | processor["audio_processor"] | named
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(halves))
    (tmp_path / "processor_config.json").write_text(json.dumps(named))
    again = load_encoder(settings, "cpu").encode(waves)
    assert all(map(torch.equal, again, features))


def test_phi4_without_an_audio_token(tmp_path):
    path = build("phi4_multimodal", tmp_path) / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"audio_token": None}))
    with pytest.raises(UserError, match="takes no audio"):
        load_encoder(settings_of(tmp_path), "cpu")


@pytest.mark.parametrize("kind", NEEDS)
def test_models_whose_processors_need_another_package_are_tested_too(kind):
    pytest.importorskip(NEEDS[kind], reason=f"the processor of {kind} needs {NEEDS[kind]}")
    assert kind in available()


def test_planning_imports_no_torch():
    code = (
        "import sys; from lorascope.study.registry import FAMILIES; "
        "size = FAMILIES['hf_audio'].encoding.feature_bytes; "
        "print(size({'encode_once': True}), size({'encode_once': False})); "
        "print('torch' in sys.modules)"
    )
    assert printed(code).split() == ["12288000", "1920000", "False"]
