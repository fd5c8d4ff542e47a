"""With which tokens a decoder starts: language and task, as transformers' own Whisper has it."""

import json
from copy import deepcopy
from pathlib import Path

import pytest
from transformers import WhisperForConditionalGeneration

from lorascope.errors import UserError
from lorascope.models.hf_speech import FAMILY, SpeechModel, hears
from lorascope.models.hf_speech.answerer import load
from lorascope.models.hf_speech.encoder import load as load_encoder
from lorascope.models.hf_speech.files import chunk_of
from tests.support.speech_cases import GREEDY, noise, own_tokens, said, settings_of
from tests.support.tiny_speech_models import build


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    return build("multilingual", tmp_path_factory.mktemp("models") / "many")


@pytest.fixture(scope="module")
def english(tmp_path_factory) -> Path:
    return build("english", tmp_path_factory.mktemp("models") / "english")


def answerer(folder: Path, **changes):
    return load(settings_of(folder, **changes), "cpu", "float32", None, None)


@pytest.mark.parametrize(
    ("language", "task", "prompt"),
    [
        (None, None, "<|language|><|transcribe|>"),
        (None, "translate", "<|language|><|translate|>"),
        ("de", None, "<|de|><|transcribe|>"),
        ("zh", "translate", "<|zh|><|translate|>"),
        ("en", "transcribe", "<|en|><|transcribe|>"),
    ],
)
def test_language_and_task_are_those_of_transformers(many, language, task, prompt) -> None:
    waves = noise()
    features = load_encoder(settings_of(many), "cpu").encode(waves)
    model = answerer(many, language=language, task=task)
    assert model.prompt("") == f"<|startoftranscript|>{prompt}<|notimestamps|>"
    found = model.answer([""] * 4, features, GREEDY, [0] * 4)
    own = WhisperForConditionalGeneration.from_pretrained(many).eval()
    own.generation_config = deepcopy(own.generation_config)
    asked = {k: v for k, v in (("language", language), ("task", task)) if v is not None}
    assert said(found, model.eos_token_ids[0]) == [own_tokens(own, many, w, **asked) for w in waves]
    assert {answer.prompt_tokens for answer in found} == {4}


def test_languages_are_told_apart(many) -> None:
    features = load_encoder(settings_of(many), "cpu").encode(noise())
    likelihoods = {
        answerer(many, language=language).choose([""], features[:1], [["a"]])[0].sums
        for language in ("en", "de", "zh")
    }
    assert len(likelihoods) == 3
    detecting = answerer(many)
    clips = detecting.read(features)
    detected = [int(ids[1]) for ids in detecting.starts(clips)]
    own = WhisperForConditionalGeneration.from_pretrained(many).eval()
    assert detected == own.detect_language(encoder_outputs=clips).tolist()


FILES = [
    {"language": "german"},
    {"language": "<|zh|>", "task": "translate"},
    {"task": "translate"},
    {"forced_decoder_ids": None},
    {"forced_decoder_ids": [[1, 259], [2, 262], [3, 263]]},
    {"forced_decoder_ids": [[2, 261]]},
    {"suppress_tokens": None, "begin_suppress_tokens": None},
    {"suppress_tokens": [], "no_timestamps_token_id": None},
    {"language": None, "is_multilingual": False, "forced_decoder_ids": [[1, 263]]},
]


@pytest.mark.parametrize("changes", FILES, ids=map(str, range(len(FILES))))
def test_what_the_files_say_is_heeded(many, tmp_path, changes) -> None:
    for path in many.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "generation_config.json").unlink()
    given = json.loads((many / "generation_config.json").read_text()) | changes
    given = {key: value for key, value in given.items() if value is not None}
    (tmp_path / "generation_config.json").write_text(json.dumps(given))
    own = WhisperForConditionalGeneration.from_pretrained(tmp_path).eval()
    waves = noise()[:2]
    features = load_encoder(settings_of(tmp_path), "cpu").encode(waves)
    model = answerer(tmp_path)
    found = said(model.answer([""] * 2, features, GREEDY, [0] * 2), model.eos_token_ids[0])
    assert found == [own_tokens(own, tmp_path, wave) for wave in waves]


def refused(folder: Path, **changes) -> str:
    """Return what the plan says of settings; the job that loads the model has to say it, too."""
    settings = SpeechModel(family="hf_speech", model=str(folder), **changes)
    planned = FAMILY.check(settings, {"model": folder})
    with pytest.raises(UserError) as raised:
        answerer(folder, **changes)
    assert str(raised.value) == f"{planned}."
    return planned


def test_settings_that_a_model_does_not_have_are_refused(many, english, tmp_path) -> None:
    assert refused(english, language="en") == (
        f"language: {english} is an English-only Whisper, which has no languages to choose from; "
        "leave language out"
    )
    assert "leave task out" in refused(english, task="transcribe")
    assert refused(many, language="fr") == "language: 'fr' is none of the model's: de, en, zh"
    moonshine = build("moonshine", tmp_path / "moonshine")
    assert f"{moonshine} is a moonshine model, which" in refused(moonshine, language="en")
    assert (
        FAMILY.check(SpeechModel(family="hf_speech", model="m", language="de"), {"model": many})
        == ""
    )
    assert (
        FAMILY.check(SpeechModel(family="hf_speech", model="m", language="de"), {}) == ""
    )  # not here


def test_models_of_other_kinds_are_refused(english, tmp_path) -> None:
    for path in english.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "canary"}))
    message = (
        f"model: {tmp_path} is a canary model; the family hf_speech serves whisper and moonshine"
    )
    assert refused(tmp_path) == message
    with pytest.raises(UserError, match="is a canary model"):
        load_encoder(settings_of(tmp_path), "cpu")


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("generation_config.json", {"forced_decoder_ids": [[1]]}, "how an answer starts"),
        ("generation_config.json", {"decoder_start_token_id": "a"}, "with which token its decoder"),
        ("generation_config.json", {"language": "klingon"}, "'klingon', which is none of its own"),
        ("generation_config.json", {"task_to_id": {"a": 7}, "task": "sing"}, "how an answer"),
        ("generation_config.json", {"suppress_tokens": ["x"]}, "'x' where the id of a token"),
        ("generation_config.json", {"lang_to_id": {"<|en|>": 9999}}, "9999, which is none of"),
        ("preprocessor_config.json", {"feature_extractor_type": "Odd"}, "no feature extractor"),
        ("preprocessor_config.json", {"sampling_rate": 7}, "it takes 7 samples a second"),
        ("preprocessor_config.json", {"padding_value": "x"}, "no feature extractor that works"),
        ("preprocessor_config.json", {"feature_size": 8}, r"\(8, 100\), and config.json takes 16"),
        ("config.json", {"decoder_layers": 3}, "missing keys: model.decoder.layers.2"),
    ],
)  # fmt: skip
def test_odd_files_end_in_one_message(many, tmp_path, file, changes, message) -> None:
    for path in many.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / file).unlink()
    (tmp_path / file).write_text(json.dumps(json.loads((many / file).read_text()) | changes))
    with pytest.raises(UserError, match=message):
        answerer(tmp_path)


def test_the_seconds_that_are_heard(many, tmp_path) -> None:
    assert hears({"model": many}) == 2
    assert hears({}) is None
    assert chunk_of(build("moonshine", tmp_path / "moonshine")) is None
    assert hears({"model": tmp_path}) is None
