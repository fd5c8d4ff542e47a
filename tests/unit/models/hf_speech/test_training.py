"""What is learnt of clips and transcripts, against transformers' own labels; what is refused."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from peft import PeftModel
from transformers import AutoModelForSpeechSeq2Seq

from lorascope.benchmarks.examples import Conversation, Pair
from lorascope.errors import UserError
from lorascope.models.finetuning.batches import IGNORED
from lorascope.models.finetuning.outputs import write_adapter
from lorascope.models.finetuning.trainee import Scratch, measure
from lorascope.models.finetuning.trainer import causal_loss
from lorascope.models.hf_speech import FAMILY, SpeechModel, SpeechTraining
from lorascope.models.hf_speech.answerer import load
from lorascope.models.hf_speech.training import measure_folder, prepare
from tests.support.settings import default_values
from tests.support.speech_cases import FIXTURES, noise, settings_of

folder, waves, features, own = FIXTURES
TEXTS = ["one two", "three", "four five six", "seven"]
TRAIN = default_values(SpeechTraining) | {"target_modules": ["q_proj", "v_proj", "fc1"], "rank": 4}
DIGEST = "0123456789ab"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> tuple[Path, list[Pair]]:
    """A folder of clips, and what is said in them."""
    root = tmp_path_factory.mktemp("clips")
    pairs = []
    for i, (wave, text) in enumerate(zip(noise(), TEXTS, strict=True)):
        soundfile.write(root / f"{i}.wav", wave, 16000, subtype="FLOAT")
        sha256 = hashlib.sha256((root / f"{i}.wav").read_bytes()).hexdigest()
        pairs.append(Pair("", text, f"row {i}", f"{i}.wav", sha256))
    return root, pairs


def prepared(folder: Path, data, scratch: Path, train=TRAIN, **changes):
    root, pairs = data
    language = "de" if "multilingual" in folder.name else None
    settings = settings_of(folder, language=language) | changes
    return prepare(settings, train, pairs, root, "cpu", Scratch(scratch, DIGEST))


@pytest.mark.parametrize("adapt", ["decoder", "all"])
def test_the_loss_is_that_of_transformers_own_labels(folder, own, data, tmp_path, adapt) -> None:
    trainee = prepared(folder, data, tmp_path, TRAIN | {"adapt": adapt}, encode_once=False)
    batch = trainee.collate([trainee.rows[i] for i in range(4)])
    labels, ids = batch.pop("labels"), batch["decoder_input_ids"]
    model = trainee.model.eval()
    with torch.no_grad():
        loss = causal_loss(model(**batch), labels)
    # Its labels are what each of the decoder's inputs is to predict.
    shifted = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
    with torch.no_grad():
        expected = own(**{**batch, "labels": shifted}).loss
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    end = own.generation_config.eos_token_id
    for row, text in zip(labels.tolist(), TEXTS, strict=True):
        learnt = [i for i in row if i != IGNORED]
        assert len(learnt) == len(text) + 1  # a token a letter, and the end
        assert learnt[-1] == end
    started = load(trained_settings(folder), "cpu", "float32", None, None).start.ids
    assert all(tuple(row[: len(started)]) == started for row in ids.tolist())


def trained_settings(folder: Path) -> dict:
    return settings_of(folder, language="de" if "multilingual" in folder.name else None)


def test_clips_are_encoded_once_as_they_are_heard(folder, data, features, tmp_path) -> None:
    trainee = prepared(folder, data, tmp_path)
    batch = trainee.collate([trainee.rows[2], trainee.rows[2]])
    hidden = batch["encoder_outputs"].last_hidden_state
    assert torch.equal(hidden[0], features[2])
    files = sorted((tmp_path / "clips").iterdir())
    stamps = [path.stat().st_mtime_ns for path in files]
    prepared(folder, data, tmp_path)
    assert [path.stat().st_mtime_ns for path in files] == stamps


@pytest.mark.parametrize(("adapt", "layers"), [("decoder", 10), ("all", 16)])
def test_the_part_that_is_adapted(folder, data, tmp_path, adapt, layers) -> None:
    train = TRAIN | {"adapt": adapt}
    trainee = prepared(folder, data, tmp_path, train, encode_once=False)
    names = {
        n.rpartition(".lora_")[0] for n, p in trainee.model.named_parameters() if p.requires_grad
    }
    assert any(".encoder." in name for name in names) == (adapt == "all")
    assert len(names) == layers
    sizes = measure_folder(folder, train, None)
    assert sizes == measure(trainee.model)


def test_peft_loads_what_is_trained(folder, data, own, tmp_path) -> None:
    trainee = prepared(folder, data, tmp_path / "scratch")
    for name, parameter in trainee.model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter)
    (tmp_path / "adapter").mkdir()
    written = write_adapter(trainee, str(folder), tmp_path / "adapter", tmp_path / "final")
    assert written == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert (config["task_type"], config["exclude_modules"]) == (None, r"model\.encoder\..*")
    theirs = PeftModel.from_pretrained(
        AutoModelForSpeechSeq2Seq.from_pretrained(folder), tmp_path / "adapter"
    ).eval()
    answerer = load(trained_settings(folder), "cpu", "float32", None, tmp_path / "adapter")
    assert answerer.lora_scaling == 4  # alpha 16, rank 4
    batch = trainee.collate([trainee.rows[0]])
    batch.pop("labels")
    with torch.no_grad():
        scores = [m(**batch).logits for m in (trainee.model.eval(), theirs, answerer.model, own)]
    assert torch.allclose(scores[0], scores[1], atol=1e-4)
    assert torch.allclose(scores[0], scores[2], atol=1e-4)
    assert not torch.allclose(scores[0], scores[3], atol=1e-2)


def test_what_a_recogniser_does_not_learn_is_refused(folder, data, tmp_path) -> None:
    root, pairs = data

    def refused(examples, train=TRAIN, **changes) -> str:
        settings = trained_settings(folder) | changes
        with pytest.raises(UserError) as raised:
            prepare(settings, train, examples, root, "cpu", Scratch(tmp_path, DIGEST))
        return str(raised.value)

    asked = Pair("What is said?", "one", "row 9", pairs[0].clip, pairs[0].clip_sha256)
    assert refused([*pairs, asked]) == (
        "row 9: asks 'What is said?', and a recogniser takes no question; give a clip and its "
        "transcript (train.data)"
    )
    assert refused([Pair("", "one", "row 3")]) == "row 3: has no clip to hear (train.data)"
    assert "has no clip" in refused([Conversation((), "row 4")])
    assert "no linear layer named q_prog" in refused(pairs, TRAIN | {"target_modules": ["q_prog"]})
    assert "is too short for every example" in refused(pairs, TRAIN | {"sequence_length": 2})
    if "multilingual" in str(folder):
        assert refused(pairs, language=None) == (
            "language: null lets the model detect the language of each clip, and a training has to "
            "say it; set language of the model"
        )


def test_a_clip_longer_than_is_heard_is_refused(data, tmp_path, folder) -> None:
    if "moonshine" in str(folder):
        pytest.skip("hears clips of any length")
    soundfile.write(tmp_path / "long.wav", np.zeros(40000), 16000)
    pair = Pair("", "nothing", "row 1", "long.wav", "f" * 64)
    with pytest.raises(UserError, match=r"long.wav: 2.5 s long, of which .* the first 2 s"):
        prepare(trained_settings(folder), TRAIN, [pair], tmp_path, "cpu", Scratch(tmp_path, DIGEST))


def test_rows_beyond_the_decoder_are_left_out(folder, data, tmp_path) -> None:
    if "moonshine" in str(folder):
        pytest.skip("its decoder has no last position")
    root, pairs = data
    long = Pair("", "x" * 70, "row 5", pairs[0].clip, pairs[0].clip_sha256)
    train = TRAIN | {"sequence_length": 1000}
    trainee = prepare(
        trained_settings(folder), train, [*pairs, long], root, "cpu", Scratch(tmp_path, DIGEST)
    )
    assert (len(trainee.rows), trainee.skipped) == (4, 1)


def test_an_adapter_that_could_not_be_answered_with_is_not_planned() -> None:
    model = SpeechModel(family="hf_speech", model="m")
    message = FAMILY.training.check(model, SpeechTraining(adapt="all"))
    assert message.startswith("adapt: all changes the encoder")
    assert FAMILY.training.check(model, SpeechTraining()) == ""
    every = SpeechModel(family="hf_speech", model="m", encode_once=False)
    assert FAMILY.training.check(every, SpeechTraining(adapt="all")) == ""
