"""Audio language models of transformers, random and tiny, against their own generation."""

import importlib.util
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny_audio_models import KINDS, NEEDS, build, write_adapter
from transformers import (
    AudioFlamingo3ForConditionalGeneration,
    AutoProcessor,
    GraniteSpeechForConditionalGeneration,
    Phi4MultimodalConfig,
    Phi4MultimodalForCausalLM,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2AudioForConditionalGeneration,
)

from lorascope.errors import UserError
from lorascope.models import family
from lorascope.models.hf_audio.architecture import decoder_name, load_audio_half

HF_AUDIO = family("hf_audio")
MODELS = {
    "qwen2_audio": Qwen2AudioForConditionalGeneration,
    "audioflamingo3": AudioFlamingo3ForConditionalGeneration,
    "granite_speech": GraniteSpeechForConditionalGeneration,
    "qwen2_5_omni": Qwen2_5OmniThinkerForConditionalGeneration,
}
NEW = 10
GREEDY = {
    "max_new_tokens": NEW,
    "min_length": 1,
    "num_beams": 1,
    "do_sample": False,
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 50,
    "repetition_penalty": 1.0,
    "length_penalty": 1.0,
}
QUESTIONS = ["How many legs does it have?", "Which animal can be heard? (a) dog (b) cat", "Sad?"]
SECONDS = [0.5, 1.37, 2.0]
LANGUAGE_MODEL = r".*language_model.*\.(q_proj|v_proj)"
EVERYWHERE = r".*\.(v_proj|to_kv)"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            kind,
            marks=pytest.mark.skipif(
                kind in NEEDS and importlib.util.find_spec(NEEDS[kind]) is None,
                reason=f"its processor needs {NEEDS.get(kind)}",
            ),
        )
        for kind in KINDS
    ],
)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory) -> Path:
    return build(kind, tmp_path_factory.mktemp("models") / kind)


@pytest.fixture(scope="module")
def settings(folder) -> dict:
    return {"model": str(folder)}


@pytest.fixture(scope="module")
def waves() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(int(16000 * s), dtype=np.float32) for s in SECONDS]


@pytest.fixture(scope="module")
def features(settings, waves) -> list[torch.Tensor]:
    return HF_AUDIO.load_encoder(settings, "cpu").encode(waves)


@pytest.fixture(scope="module")
def answerer(settings):
    return HF_AUDIO.load_answerer(settings, "cpu", "float32", None)


@pytest.fixture(scope="module")
def own(kind, folder):
    """The model and processor as transformers loads them."""
    return MODELS[kind].from_pretrained(folder), AutoProcessor.from_pretrained(folder)


def own_inputs(processor, text: str, wave: np.ndarray) -> dict:
    inputs = processor(text=text, audio=[wave], return_tensors="pt")
    return {k: v for k, v in inputs.items() if k not in ("num_audio_tokens", "audio_embed_sizes")}


def own_tokens(model, inputs: dict) -> list[int]:
    """Return the model's own greedy answer, without its folder's sampling defaults."""
    output = model.generate(
        **inputs, max_new_tokens=NEW, do_sample=False, repetition_penalty=1.0, temperature=None,
        top_k=None,
    )  # fmt: skip
    new = output[0, inputs["input_ids"].shape[1] :].tolist()
    eos = model.generation_config.eos_token_id
    return new[: new.index(eos) + 1] if eos in new else new


# --------------------------------------------------------------------------------- equivalence


@pytest.mark.parametrize("encode_once", [True, False])
def test_answers_are_the_models_own(settings, own, waves, encode_once):
    model, processor = own
    settings = settings | {"encode_once": encode_once}
    features = HF_AUDIO.load_encoder(settings, "cpu").encode(waves)
    answerer = HF_AUDIO.load_answerer(settings, "cpu", "float32", None)
    answers = answerer.answer(QUESTIONS, features, GREEDY, [0] * 3)
    for question, wave, answer in zip(QUESTIONS, waves, answers, strict=True):
        inputs = own_inputs(processor, answerer.prompt(question), wave)
        assert answer.tokens == own_tokens(model, inputs)
        assert answer.prompt_tokens == inputs["input_ids"].shape[1]
    assert len({tuple(answer.tokens) for answer in answers}) == 3


@torch.inference_mode()
def test_prompt_logits_are_the_models_own(answerer, own, waves, features):
    model, processor = own
    for question, wave, encoded in zip(QUESTIONS, waves, features, strict=True):
        inputs = own_inputs(processor, answerer.prompt(question), wave)
        row = answerer.embed(question, encoded)
        ours = answerer.model(inputs_embeds=row[None]).logits
        torch.testing.assert_close(ours, model(**inputs).logits, rtol=0, atol=1e-4)


def test_audio_matters(answerer, features):
    same = ["Which animal can be heard?"] * 3
    answers = answerer.answer(same, features, GREEDY, [0] * 3)
    assert len({tuple(answer.tokens) for answer in answers}) == 3


# ------------------------------------------------------------------------------------- batches


def test_features_do_not_depend_on_the_batch(settings, waves, features):
    encoder = HF_AUDIO.load_encoder(settings, "cpu")
    for wave, encoded in zip(waves, features, strict=True):
        assert torch.equal(encoder.encode([wave])[0], encoded)
    assert all(f.dtype == torch.float32 and f.dim() == 2 for f in features)
    assert len({len(f) for f in features}) == 3


@pytest.mark.parametrize("generation", [{}, {"num_beams": 3}, {"do_sample": True}])
def test_rows_do_not_influence_each_other(answerer, features, generation):
    generation = GREEDY | generation
    seeds = [11, 12, 13]
    together = answerer.answer(QUESTIONS, features, generation, seeds)
    for row in range(3):
        alone = answerer.answer(QUESTIONS[row:][:1], [features[row]], generation, seeds[row:][:1])
        assert alone == together[row : row + 1]


def test_features_and_waveforms_go_together(settings, answerer, waves, features):
    waveforms = HF_AUDIO.load_encoder(settings | {"encode_once": False}, "cpu").encode(waves)
    mixed = [features[0], waveforms[1], features[2]]
    assert answerer.answer(QUESTIONS, mixed, GREEDY, [0] * 3) == answerer.answer(
        QUESTIONS, features, GREEDY, [0] * 3
    )


def test_the_folders_generation_defaults_do_not_matter(answerer, folder):
    settings = answerer.effective_generation(GREEDY, 7)
    assert (settings["do_sample"], settings["repetition_penalty"]) == (False, 1.0)
    listed = json.loads((folder / "generation_config.json").read_text())
    assert listed["do_sample"] and settings["eos_token_id"] == listed["eos_token_id"]


def test_bfloat16(settings, waves, features):
    answerer = HF_AUDIO.load_answerer(settings, "cpu", "bfloat16", None)
    assert answerer.embed("Sad?", features[0]).dtype == torch.bfloat16
    answers = answerer.answer(QUESTIONS, features, GREEDY, [0] * 3)
    assert all(0 < len(answer.tokens) <= NEW for answer in answers)


# ------------------------------------------------------------------------------------ adapters


@pytest.fixture(scope="module")
def adapter(kind, folder, tmp_path_factory) -> Path:
    model = MODELS[kind].from_pretrained(folder)
    return write_adapter(model, tmp_path_factory.mktemp("adapters") / kind, LANGUAGE_MODEL)


def peft_tokens(kind, folder, adapter, scaling: float, text: str, wave) -> list[int]:
    """Return the greedy answer of peft's own model, whose layers are set to a scaling."""
    model = PeftModel.from_pretrained(MODELS[kind].from_pretrained(folder), adapter)
    for module in model.modules():
        if hasattr(module, "lora_A"):
            module.scaling["default"] = scaling
    return own_tokens(
        model.base_model.model, own_inputs(AutoProcessor.from_pretrained(folder), text, wave)
    )


@pytest.mark.parametrize("scaling", [None, 0.0, 1.0, 2.0, 3.5])
def test_scaled_answers_are_pefts(kind, folder, settings, adapter, waves, features, scaling):
    answerer = HF_AUDIO.load_answerer(settings, "cpu", "float32", scaling, str(adapter))
    assert answerer.lora_scaling == (2.0 if scaling is None else scaling)
    assert answerer.parameters_adapted == 4
    answer = answerer.answer(QUESTIONS[:1], features[:1], GREEDY, [0])[0]
    text = answerer.prompt(QUESTIONS[0])
    assert answer.tokens == peft_tokens(
        kind, folder, adapter, answerer.lora_scaling, text, waves[0]
    )


def test_scalings_make_a_difference(settings, adapter, answerer, features):
    found = []
    for scaling in (0.0, 1.0, 2.0):
        adapted = HF_AUDIO.load_answerer(settings, "cpu", "float32", scaling, str(adapter))
        found.append([a.tokens for a in adapted.answer(QUESTIONS, features, GREEDY, [0] * 3)])
    plain = [a.tokens for a in answerer.answer(QUESTIONS, features, GREEDY, [0] * 3)]
    assert found[0] == plain
    assert found[0] != found[1] != found[2] != found[0]


def test_names_of_older_transformers(kind, settings, adapter, features, tmp_path):
    older = shutil.copytree(adapter, tmp_path / "older")
    tensors = load_file(older / "adapter_model.safetensors")
    renamed = {
        name.replace("model.language_model.", "language_model.model.", 1).replace(
            "base_model.language_model.model.", "base_model.model.language_model.model.", 1
        ): tensor
        for name, tensor in tensors.items()
    }
    assert all(n.startswith("base_model.model.language_model.model.layers") for n in renamed)
    save_file(renamed, older / "adapter_model.safetensors")
    if kind == "qwen2_5_omni":  # which was named otherwise
        with pytest.raises(UserError, match="lacks tensors of adapted layers"):
            HF_AUDIO.load_answerer(settings, "cpu", "float32", None, str(older))
        return
    answers = [
        HF_AUDIO.load_answerer(settings, "cpu", "float32", None, str(path)).answer(
            QUESTIONS, features, GREEDY, [0] * 3
        )
        for path in (adapter, older)
    ]
    assert answers[0] == answers[1]


def test_an_adapted_audio_encoder_cannot_be_encoded_once(
    kind, folder, settings, waves, features, tmp_path
):
    model = MODELS[kind].from_pretrained(folder)
    adapter = write_adapter(model, tmp_path / "everywhere", EVERYWHERE)
    with pytest.raises(UserError, match="Set encode_once: false"):
        HF_AUDIO.load_answerer(settings, "cpu", "float32", None, str(adapter))
    settings = settings | {"encode_once": False}
    waveforms = HF_AUDIO.load_encoder(settings, "cpu").encode(waves)
    found = []
    for scaling in (0.0, 1.5):
        answerer = HF_AUDIO.load_answerer(settings, "cpu", "float32", scaling, str(adapter))
        answer = answerer.answer(QUESTIONS[:1], waveforms[:1], GREEDY, [0])[0]
        text = answerer.prompt(QUESTIONS[0])
        assert answer.tokens == peft_tokens(kind, folder, adapter, scaling, text, waves[0])
        found.append(answer.tokens)
    assert found[0] != found[1]


def test_an_adapter_in_the_models_folder(
    kind, folder, adapter, features, own, waves, tmp_path, caplog
):
    caplog.set_level(logging.INFO, "lorascope")
    both = shutil.copytree(folder, tmp_path / "both")
    for file in adapter.glob("adapter_*"):
        shutil.copy(file, both)
    settings = {"model": str(both)}
    plain, bundled, scaled = (
        HF_AUDIO.load_answerer(settings, "cpu", "float32", scaling, None)
        for scaling in (0.0, None, 1.0)
    )
    assert [a.lora_scaling for a in (plain, bundled, scaled)] == [0.0, 2.0, 1.0]
    assert "the adapter that lies with the model" in caplog.text
    tokens = [
        a.answer(QUESTIONS[:1], features[:1], GREEDY, [0])[0].tokens for a in (plain, bundled)
    ]
    model, processor = own
    inputs = own_inputs(processor, plain.prompt(QUESTIONS[0]), waves[0])
    assert tokens[0] == own_tokens(model, inputs)
    with_adapter = MODELS[kind].from_pretrained(both)  # transformers attaches it by itself
    assert tokens[1] == own_tokens(with_adapter, inputs) != tokens[0]
    assert torch.equal(HF_AUDIO.load_encoder(settings, "cpu").encode(waves)[0], features[0])
    fresh = MODELS[kind].from_pretrained(folder)
    other = write_adapter(fresh, tmp_path / "other", LANGUAGE_MODEL, seed=5)
    replaced = HF_AUDIO.load_answerer(settings, "cpu", "float32", None, str(other))
    alone = HF_AUDIO.load_answerer({"model": str(folder)}, "cpu", "float32", None, str(other))
    assert replaced.answer(QUESTIONS, features, GREEDY, [0] * 3) == alone.answer(
        QUESTIONS, features, GREEDY, [0] * 3
    )


def test_an_adapter_of_another_model(settings, adapter, tmp_path):
    other = shutil.copytree(adapter, tmp_path / "other")
    tensors = load_file(other / "adapter_model.safetensors")
    tensors |= {next(iter(tensors)): torch.zeros(4, 7)}
    save_file(tensors, other / "adapter_model.safetensors")
    with pytest.raises(UserError, match="does not fit the model"):
        HF_AUDIO.load_answerer(settings, "cpu", "float32", None, str(other))


def test_a_scaling_without_an_adapter(settings):
    with pytest.raises(UserError, match="the model has no adapter"):
        HF_AUDIO.load_answerer(settings, "cpu", "float32", 1.0, None)


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
    }
    assert answerer.prompt("Sad?") == expected[kind]


def test_a_system_turn(settings, answerer, own, waves, features):
    told = HF_AUDIO.load_answerer(settings | {"system": "One letter."}, "cpu", "float32", None)
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
    told = HF_AUDIO.load_answerer(settings, "cpu", "float32", None)
    assert told.prompt("Sad? ") == f"One letter.|{mark}Sad? |"
    template.write_text(f"{mark}{{{{ messages[-1].content }}}}")
    with pytest.raises(UserError, match=r"with a system's turn\. Set system: null"):
        HF_AUDIO.load_answerer(settings, "cpu", "float32", None).prompt("Sad?")


def test_a_question_with_the_mark_of_the_audio(answerer):
    mark = answerer.prompter.audio_token
    with pytest.raises(UserError, match="the mark of the audio"):
        answerer.prompt(f"What is {mark}?")


def test_a_clip_longer_than_the_encoders_window(kind, settings, own):
    """Qwen2-Audio cuts it, Audio Flamingo 3 takes it in windows, Granite Speech as it is."""
    wave = 0.1 * np.random.default_rng(3).standard_normal(72000).astype(np.float32)
    features = HF_AUDIO.load_encoder(settings, "cpu").encode([wave])
    answerer = HF_AUDIO.load_answerer(settings, "cpu", "float32", None)
    answer = answerer.answer(["Sad?"], features, GREEDY, [0])[0]
    assert answer.tokens == own_tokens(own[0], own_inputs(own[1], answerer.prompt("Sad?"), wave))
    assert (
        len(features[0])
        > {"qwen2_audio": 20, "audioflamingo3": 50, "granite_speech": 30, "qwen2_5_omni": 20}[kind]
    )


# --------------------------------------------------------------------------------------- loading


def test_the_encoder_keeps_no_language_model(kind, folder, answerer):
    half = load_audio_half(folder, "cpu", trust_remote_code=False)
    assert not [name for name, _ in half.named_parameters() if "language_model" in name]
    whole = dict(answerer.model.named_parameters())
    kept = dict(half.named_parameters())
    assert kept.keys() == {n for n in whole if "language_model" not in n and "lm_head" not in n}
    assert all(torch.equal(tensor, whole[name]) for name, tensor in kept.items())


def test_encode_once_false_is_said(settings, caplog):
    caplog.set_level(logging.INFO, "lorascope")
    encoder = HF_AUDIO.load_encoder(settings | {"encode_once": False}, "cpu")
    assert "the audio encoder runs for every question" in caplog.text
    assert encoder.sampling_rate == 16000


def test_a_processor_whose_text_needs_the_clip(settings, waves, caplog, monkeypatch):
    monkeypatch.setattr(
        "lorascope.models.hf_audio.prompting.Prompter.expands_by_repetition", lambda self: False
    )
    features = HF_AUDIO.load_encoder(settings, "cpu").encode(waves)
    assert "runs for every question in spite of encode_once" in caplog.text
    assert [f.shape for f in features] == [(len(wave), 1) for wave in waves]


def test_features_of_another_model(answerer):
    with pytest.raises(UserError, match="encode the clips with this model"):
        answerer.answer(["Sad?"], [torch.zeros(3, 7)], GREEDY, [0])


def test_a_clip_too_short(kind, settings):
    with pytest.raises(UserError, match=r"too short|refuses a clip"):
        HF_AUDIO.load_encoder(settings, "cpu").encode([np.zeros(100, np.float32)])


def broken(folder: Path, to: Path, without: tuple[str, ...] = (), **config: object) -> dict:
    """Copy a model's folder without some files, with changes of its config; return settings."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns(*without))
    path = to / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return {"model": str(to)}


@pytest.mark.parametrize(
    ("without", "config", "message"),
    [
        (("processor_config.json",), {}, "has no processor"),
        (("processor_config.json", "tokenizer*"), {}, "has no processor that loads"),
        (("model.safetensors",), {}, "neither model.safetensors nor"),
        ((), {"model_type": "bert"}, "is a bert model"),
        ((), {"model_type": "whisper"}, "is a whisper model"),
        ((), {"model_type": "unheard_of"}, "unheard_of"),
    ],
)
def test_folders_that_do_not_serve(folder, tmp_path, without, config, message):
    settings = broken(folder, tmp_path / "broken", without, **config)
    with pytest.raises(UserError, match=message):
        HF_AUDIO.load_encoder(settings, "cpu")
    with pytest.raises(UserError, match=message):
        HF_AUDIO.load_answerer(settings, "cpu", "float32", None)


def test_a_model_without_a_chat_template(kind, folder, tmp_path):
    settings = broken(folder, tmp_path / "broken", ("chat_template.jinja",))
    if kind == "qwen2_audio":  # whose processor brings one along
        assert "Sad?" in HF_AUDIO.load_answerer(settings, "cpu", "float32", None).prompt("Sad?")
        return
    with pytest.raises(UserError, match="has no chat template"):
        HF_AUDIO.load_encoder(settings, "cpu")


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
        HF_AUDIO.load_encoder(settings, "cpu")


def test_a_model_that_reads_more_than_embeddings(settings, monkeypatch, kind):
    forward = MODELS[kind].forward

    def counting(self, input_ids=None, **named):
        output = forward(self, input_ids=input_ids, **named)
        if input_ids is not None:
            output.logits[..., 0] += 9
        return output

    monkeypatch.setattr(MODELS[kind], "forward", counting)
    with pytest.raises(UserError, match=rf"{kind}\w* reads more than the embeddings"):
        HF_AUDIO.load_answerer(settings, "cpu", "float32", None)


def test_an_audio_encoder_inside_the_language_model():
    with pytest.raises(UserError, match="phi4_multimodal has its audio encoder inside"):
        decoder_name(Phi4MultimodalForCausalLM, Phi4MultimodalConfig(num_hidden_layers=1))


def test_scores_that_are_not_numbers(kind, settings, monkeypatch):
    forward = MODELS[kind].forward

    def overflowing(self, *given, **named):
        output = forward(self, *given, **named)
        output.logits *= torch.inf
        return output

    monkeypatch.setattr(MODELS[kind], "forward", overflowing)
    with pytest.raises(UserError, match=r"not finite numbers\. Set dtype: bfloat16 or float32"):
        HF_AUDIO.load_answerer(settings, "cpu", "float16", None)


def test_planning_imports_no_torch():
    code = (
        "import sys; from lorascope.models import family; f = family('hf_audio'); "
        "print(f.feature_bytes({'model': 'x'}), f.feature_bytes({'encode_once': False})); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["12288000", "1920000"]
