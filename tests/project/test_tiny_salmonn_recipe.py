import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from lorascope.benchmarks.audio import read_clip
from lorascope.benchmarks.options import parse_gold, parse_options
from lorascope.benchmarks.sakura import items as sakura
from lorascope.models.salmonn.answerer import load
from lorascope.models.salmonn.checkpoint import read_model_key, split
from lorascope.scoring.choice.scorer import score
from training_recipes.tiny_salmonn import evaluation
from training_recipes.tiny_salmonn.animals import ANIMALS, animal_sound
from training_recipes.tiny_salmonn.architecture import PROMPT_TEMPLATE
from training_recipes.tiny_salmonn.augmentation import augment
from training_recipes.tiny_salmonn.clips import CLIP_SAMPLES, LABELS, decode_clip, encode_clip
from training_recipes.tiny_salmonn.dialogue import Dialogue
from training_recipes.tiny_salmonn.encoders import attribute_targets
from training_recipes.tiny_salmonn.optimisation import Schedule, minimise
from training_recipes.tiny_salmonn.questions import (
    HOPS,
    MULTI,
    SINGLE,
    ask,
    ask_about,
    option_count,
)
from training_recipes.tiny_salmonn.speech import VOICES, sentences

RESOURCES = Path(__file__).parents[2] / "resources"
MODEL = RESOURCES / "tiny-salmonn"
MINI_SAKURA = RESOURCES / "mini-sakura"
TRACKS = tuple(LABELS)


def rows(track: str) -> list[sakura.Row]:
    return sakura.read_metadata(MINI_SAKURA, track)


# ------------------------------------------------------------------------- questions


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("hop", HOPS)
def test_a_question_parses_back_to_its_gold_option(track, hop):
    rng = random.Random(0)
    for label in LABELS[track]:
        question = ask(track, hop, label, rng)
        options = parse_options(question.instruction)
        assert tuple(text for _, text in options) == question.options
        assert parse_gold(question.answer, options) == "abcd"[question.gold]
        texts = MULTI[track].get(question.stem) or {name: name for name in LABELS[track]}
        assert question.options[question.gold] == texts[label]
        assert len(set(question.options)) == option_count(track)


def test_every_right_option_is_scored_correct_and_every_wrong_one_incorrect():
    for track in TRACKS:
        for row in rows(track):
            for hop in HOPS:
                question = row.questions[hop]
                options = parse_options(question)
                gold = parse_gold(row.answers[hop], options)
                for letter, text in options:
                    assert score(text, question, options, gold).correct is (letter == gold), text


def test_a_guess_has_the_heard_label_nowhere_among_its_options():
    rng = random.Random(1)
    stems = SINGLE["animal"]
    asked = [ask_about("animal", "dog", 1.0, rng) for _ in range(40)]
    assert all("dog" not in q.options for q in asked if q.stem in stems)
    assert any(q.stem in stems for q in asked)


def test_with_two_labels_nothing_is_left_to_guess():
    asked = [ask_about("gender", "male", 1.0, random.Random(seed)) for seed in range(20)]
    assert {q.options[q.gold] for q in asked} == {"male", "sir", "father"}


# ----------------------------------------------------------------- the committed test split


@pytest.mark.parametrize("track", TRACKS)
def test_labels_and_gold_positions_are_exactly_balanced(track):
    of_track = rows(track)
    assert 60 <= len(of_track) <= 72
    assert set(Counter(row.label for row in of_track)) == set(LABELS[track])
    assert len(set(Counter(row.label for row in of_track).values())) == 1
    for hop in HOPS:
        positions = Counter(row.answers[hop][:3] for row in of_track)
        assert len(positions) == option_count(track)
        assert len(set(positions.values())) == 1


@pytest.mark.parametrize("track", TRACKS)
def test_clips_are_mono_16_khz_and_at_most_two_seconds(track):
    for row in rows(track):
        info = soundfile.info(MINI_SAKURA / row.clip)
        assert (info.samplerate, info.channels) == (16000, 1)
        assert 0 < info.frames <= CLIP_SAMPLES


def test_the_question_alone_says_nothing_about_the_answer():
    # Leave one out: for each option text, how often it was gold when offered elsewhere.
    for track in TRACKS:
        for hop in HOPS:
            asked = []
            for row in rows(track):
                options = parse_options(row.questions[hop])
                asked.append((options, parse_gold(row.answers[hop], options)))
            right = 0
            for left_out, (options, gold) in enumerate(asked):
                rate = Counter()
                for index, (others, other_gold) in enumerate(asked):
                    if index != left_out:
                        rate.update(text for letter, text in others if letter == other_gold)
                right += max(options, key=lambda option: rate[option[1]])[0] == gold
            chance = 1 / option_count(track)
            error = (chance * (1 - chance) / len(asked)) ** 0.5
            assert right / len(asked) < chance + 3 * error


def test_files_in_git_stay_small():
    for folder, most in ((MINI_SAKURA, 2.5e6), (MODEL, 4e6)):
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        assert 0 < sum(sizes) < most
        assert max(sizes) < 2**20


def test_test_voices_and_sentences_are_in_no_training_clip():
    for gender in ("male", "female"):
        assert not set(VOICES["train"][gender]) & set(VOICES["test"][gender])
    for own in sentences().values():
        assert not set(own["test"]) & {*own["train"], *own["openings"], *own["clauses"]}


# ------------------------------------------------------------------------- sound and training


def test_an_animal_repeats_for_a_seed_and_differs_between_seeds():
    for animal in ANIMALS:
        first, again, other = (animal_sound(animal, np.random.default_rng(s)) for s in (3, 3, 4))
        np.testing.assert_array_equal(first, again)
        assert len(first) != len(other) or not np.array_equal(first, other)


def test_the_codec_keeps_the_length_and_nearly_the_samples():
    time = np.arange(CLIP_SAMPLES) / 16000
    samples = (8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)
    decoded = decode_clip(encode_clip(samples))
    assert np.corrcoef(samples, decoded)[0, 1] > 0.98


def test_augmentation_keeps_the_shape_and_repeats_for_a_generator():
    spectrograms = torch.randn(4, 80, 100)
    first, again = (augment(spectrograms, torch.Generator().manual_seed(5)) for _ in range(2))
    assert first.shape == spectrograms.shape
    assert torch.equal(first, again)
    assert not torch.allclose(first, spectrograms)


def test_an_attribute_that_does_not_apply_is_ignored():
    columns = {
        "animal": np.array(["dog", "none"]),
        "emotion": np.array(["", "sad"]),
        "gender": np.array(["", "male"]),
        "language": np.array(["", "English"]),
        "voice": np.array(["", "m1"]),
    }
    targets, classes = attribute_targets(columns)
    assert targets["emotion"].tolist() == [-100, LABELS["emotion"].index("sad")]
    assert targets["animal"].tolist() == [0, len(ANIMALS)]
    assert classes["voice"] == 1


def test_minimise_finds_the_minimum():
    point = nn.Parameter(torch.tensor([3.0, -2.0]))
    minimise("test", lambda: (point**2).sum(), [point], Schedule(200, 0.1, weight_decay=0.0))
    assert point.abs().max() < 0.05


# ------------------------------------------------------------------------- the checkpoint


@pytest.fixture(scope="module")
def answerer():
    return load(evaluation.model_settings(MODEL), "cpu", "float32", None)


def test_training_reads_the_very_prompt_that_answering_does(answerer):
    question = " Which animal makes this sound? (a) dog (b) cat (c) cow (d) pig"
    before, after = answerer.prompt_ids(question)
    dialogue = Dialogue(answerer.tokenizer)
    assert dialogue.prompt(question) == ([answerer.tokenizer.bos_token_id, *before], after)
    assert answerer.prompt_template == PROMPT_TEMPLATE


def test_any_question_can_be_tokenised_and_read_back(answerer):
    tokenizer = answerer.tokenizer
    question = "Which of these does the speaker’s language use? (a) 漢字 (b) ß, é (c)  한글"
    ids = tokenizer(question, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == question
    assert tokenizer.unk_token_id not in ids


def test_the_checkpoint_has_the_released_layout():
    assert set(torch.load(MODEL / "beats.pt", weights_only=True)) == {"cfg", "model"}
    _, lora = split(MODEL / "salmonn_tiny.pth")
    assert len(lora) == 2 * 2 * 2  # layers, projections, A and B
    names = read_model_key(MODEL / "salmonn_tiny.pth")
    layer = "llama_model.base_model.model.model.layers.1.self_attn.v_proj.lora_B.default.weight"
    assert layer in names
    assert "speech_Qformer.bert.encoder.layer.0.crossattention.self.key.weight" in names


def test_the_adapter_answers_what_the_base_model_does_not():
    items = evaluation.benchmark_items(MINI_SAKURA)[::9]
    settings = evaluation.model_settings(MODEL)
    heard = evaluation.hear(settings, MINI_SAKURA, items)
    base, adapted = (evaluation.accuracies(settings, s, items, heard)["mean"] for s in (0.0, 4.0))
    assert adapted > 70
    assert adapted > base + 20


def test_a_clip_decodes_to_the_length_that_the_encoder_takes():
    row = rows("animal")[0]
    assert read_clip(MINI_SAKURA / row.clip).shape == (CLIP_SAMPLES,)
