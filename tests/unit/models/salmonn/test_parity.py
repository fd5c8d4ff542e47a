"""SALMONN against tensors that the published implementation produced on tiny random weights.

The fixture is a folder with config.json, tokenizer/, audio/, weights/ and expected/*.npz, given by
LORASCOPE_SALMONN_FIXTURE. Its sizes, cases, scalings, window and stride are read from it; a case's
prompt is the one of config.json whose token ids it holds, its clip the one nearest to the tensors
it holds. Only cases of one row are targets: in its own batches the published
implementation pads on the right, encodes padding as audio and stops all rows with the first.
"""

import json
import os
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lorascope.models import decoding
from lorascope.models.salmonn.answerer import SalmonnAnswerer
from lorascope.models.salmonn.answerer import load as load_answerer
from lorascope.models.salmonn.encoder import SalmonnEncoder
from lorascope.models.salmonn.encoder import load as load_encoder
from lorascope.models.salmonn.frontend import fbank
from tests.support.basics import shared_path

TOLERANCE = 5e-4
Arrays = dict[str, np.ndarray]


@dataclass
class Case:
    name: str
    clip: str
    question: str
    expected: Arrays

    @cached_property
    def scalings(self) -> list[float]:
        return sorted(float(s) for s in self.named(r"greedy_tokens_s(.+)"))

    def named(self, pattern: str) -> dict[str, np.ndarray]:
        """Return the arrays whose names match, keyed by the pattern's group."""
        matches = ((re.fullmatch(pattern, name), a) for name, a in self.expected.items())
        return {match[1]: array for match, array in matches if match}


@dataclass
class Fixture:
    cases: list[Case]
    waves: Arrays
    heard: dict[str, dict[str, torch.Tensor]]
    features: dict[str, torch.Tensor]
    encoder: SalmonnEncoder
    answerer: SalmonnAnswerer
    max_new_tokens: int

    def tokens(self, array: np.ndarray) -> list[int]:
        """Return the ids of a one-row array without the BOS that old transformers put first."""
        row = array[0].tolist()
        return row[1:] if row[0] == self.answerer.tokenizer.bos_token_id else row

    def answer(self, cases: list[Case], scaling: float, num_beams: int = 1) -> list[list[int]]:
        self.answerer.adapt(None, scaling)
        answers = self.answerer.answer(
            [case.question for case in cases],
            [self.features[case.clip] for case in cases],
            self.generation(num_beams),
            [0] * len(cases),
        )
        return [answer.tokens for answer in answers]

    def generation(self, num_beams: int) -> dict:
        return {
            "max_new_tokens": self.max_new_tokens,
            "min_length": 1,
            "num_beams": num_beams,
            "do_sample": False,
            "repetition_penalty": 1.0,
            "length_penalty": 1.0,
        }


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Fixture:
    given = os.environ.get("LORASCOPE_SALMONN_FIXTURE")
    source = Path(given) if given else shared_path("golden/salmonn_tiny")
    config = json.loads((source / "config.json").read_text())
    settings = released_layout(source, config, tmp_path_factory.mktemp("salmonn"))
    encoder = load_encoder(settings, "cpu")
    answerer = load_answerer(settings, "cpu", "float32", None)
    waves = read_waves(source / "audio")
    arrays = {path.stem: dict(np.load(path)) for path in sorted(source.glob("expected/*.npz"))}
    solo = {name: a for name, a in arrays.items() if len(a["prompt_after_ids"]) == 1}
    assert solo, "the fixture has no case of one row"
    heard = {clip: audio_tensors(encoder, wave) for clip, wave in waves.items()}
    lengths = [a.shape[1] for case in solo.values() for n, a in case.items() if "_tokens_s" in n]
    return Fixture(
        cases=[
            Case(name, nearest(expected, heard), asked(expected, config, answerer), expected)
            for name, expected in solo.items()
        ],
        waves=waves,
        heard=heard,
        features={clip: encoder.encode([wave])[0] for clip, wave in waves.items()},
        encoder=encoder,
        answerer=answerer,
        max_new_tokens=max(lengths) - 1,  # without BOS
    )


def released_layout(source: Path, config: dict, folder: Path) -> dict:
    """Copy the fixture's weights into the files that a user has, and return the settings."""
    weights, audio = source / "weights", source / "audio"
    shutil.copytree(source / "tokenizer", folder / "llm", copy_function=shutil.copyfile)
    shutil.copyfile(weights / "llama_base.safetensors", folder / "llm/model.safetensors")
    (folder / "llm/config.json").write_text(
        json.dumps(config["llama"] | {"model_type": "llama", "architectures": ["LlamaForCausalLM"]})
    )
    whisper = folder / "whisper"
    whisper.mkdir()
    shutil.copyfile(weights / "whisper_encoder.safetensors", whisper / "model.safetensors")
    shutil.copyfile(
        audio / "whisper_preprocessor_config.json", whisper / "preprocessor_config.json"
    )
    (whisper / "config.json").write_text(json.dumps(config["whisper"] | {"model_type": "whisper"}))
    (checkpoint,) = weights.glob("*.pth")
    salmonn = config["salmonn"]
    return {
        "llm": str(folder / "llm"),
        "whisper": str(whisper),
        "beats": str(weights / "beats.pt"),
        "checkpoint": str(checkpoint),
        "second_per_window": salmonn["second_per_window"],
        "second_stride": salmonn["second_stride"],
        "lora_alpha": salmonn["lora_alpha"],
        "prompt_template": config["prompt_template"],
        "qformer_heads": config["qformer"]["num_attention_heads"],
    }


def read_waves(folder: Path) -> Arrays:
    files = [path for path in sorted(folder.iterdir()) if path.suffix in {".flac", ".wav", ".ogg"}]
    return {
        path.stem: soundfile.read(path, dtype="float32", always_2d=True)[0][:, 0] for path in files
    }


def audio_tensors(encoder: SalmonnEncoder, wave: np.ndarray) -> dict[str, torch.Tensor]:
    """Return what the audio path computes for a clip, under the fixture's names and shapes."""
    wave = encoder.front_end.trim(wave)
    bridge, config = encoder.bridge, encoder.bridge.config
    with torch.no_grad():
        speech, audio = encoder.speech(wave), encoder.audio(wave)
        windows = bridge.windows(speech, audio, encoder.window, encoder.stride)
        features = bridge.features(speech, audio, encoder.window, encoder.stride)
        embeds = bridge.speech_llama_proj(features)
    return {
        "spectrogram": encoder.front_end.spectrogram(wave)[None],
        "fbank": fbank(wave)[None],
        "whisper_out": speech,
        "beats_out": audio,
        "qformer_in": windows[0],
        "qformer_out": features.reshape(-1, config.queries, config.hidden_size),
        "speech_embeds": embeds,
    }


def nearest(expected: Arrays, heard: dict[str, dict[str, torch.Tensor]]) -> str:
    """Return the clip whose tensors are the nearest to a case's."""

    def distance(clip: str) -> float:
        ours = heard[clip]
        return sum(difference(ours[name], expected[name]) for name in ours.keys() & expected.keys())

    return min(heard, key=distance)


def asked(expected: Arrays, config: dict, answerer: SalmonnAnswerer) -> str:
    """Return the prompt whose token ids are a case's."""
    ids = (expected["prompt_before_ids"].tolist(), expected["prompt_after_ids"][0].tolist())
    prompts = [p for p in config["prompts"].values() if answerer.prompt_ids(p) == ids]
    assert prompts, f"no prompt of config.json has the ids {ids}"
    return prompts[0]


def difference(ours: torch.Tensor, expected: np.ndarray) -> float:
    """Return the largest absolute difference; infinite between arrays of other shapes."""
    theirs = torch.from_numpy(expected)
    return (ours - theirs).abs().max().item() if ours.shape == theirs.shape else float("inf")


def logits(fixture: Fixture, case: Case, scaling: float) -> torch.Tensor:
    """Return the logits [1, positions, vocabulary] of the prompt alone."""
    fixture.answerer.adapt(None, scaling)
    embeds = fixture.answerer.embed(case.question, fixture.features[case.clip])
    with torch.inference_mode():
        return fixture.answerer.llm(inputs_embeds=embeds[None]).logits


def test_tensors_of_the_audio_path_and_the_prompt(fixture, subtests):
    for case in fixture.cases:
        embeds = fixture.answerer.embed(case.question, fixture.features[case.clip])
        ours = fixture.heard[case.clip] | {"inputs_embeds": embeds[None].clone()}
        for name in ours.keys() & case.expected.keys():
            with subtests.test(case=case.name, tensor=name):
                assert difference(ours[name], case.expected[name]) < TOLERANCE


def test_logits_at_every_scaling(fixture, subtests):
    for case in fixture.cases:
        for scaling, expected in case.named(r"logits_s(.+)").items():
            with subtests.test(case=case.name, scaling=scaling):
                ours = logits(fixture, case, float(scaling))
                positions, vocabulary = expected.shape[1], ours.shape[2]
                # The published code's columns beyond the vocabulary are its random [PAD] row.
                theirs = expected[..., :vocabulary]
                assert difference(ours[:, -positions:], theirs) < TOLERANCE


def test_greedy_tokens_at_every_scaling(fixture, subtests):
    for case in fixture.cases:
        for scaling, expected in case.named(r"greedy_tokens_s(.+)").items():
            with subtests.test(case=case.name, scaling=scaling):
                assert fixture.answer([case], float(scaling)) == [fixture.tokens(expected)]


def test_rows_of_a_left_padded_mixed_batch_give_their_solo_tokens(fixture, subtests):
    for scaling in sorted({s for case in fixture.cases for s in case.scalings}):
        cases = [case for case in fixture.cases if scaling in case.scalings]
        for case, tokens in zip(cases, fixture.answer(cases, scaling), strict=True):
            with subtests.test(case=case.name, scaling=scaling):
                greedy = case.named(r"greedy_tokens_s(.+)")
                (expected,) = [a for s, a in greedy.items() if float(s) == scaling]
                assert tokens == fixture.tokens(expected)


def test_features_are_the_same_in_every_batch(fixture):
    together = fixture.encoder.encode(list(fixture.waves.values()))
    for features, alone in zip(together, fixture.features.values(), strict=True):
        assert torch.equal(features, alone)


def test_beam_tokens_but_for_the_length_of_unfinished_beams(fixture, subtests):
    """transformers 4.28 divides an unfinished beam's score by one more: it counted the BOS.

    Where the tokens differ, each version must therefore prefer its own under its own division.
    """
    for case in fixture.cases:
        for beams, scaling, expected in beam_arrays(case):
            with subtests.test(case=case.name, scaling=scaling, beams=beams):
                (ours,) = fixture.answer([case], scaling, beams)
                theirs = fixture.tokens(expected)
                if ours != theirs:
                    assert beam_score(fixture, case, ours, 0) > beam_score(fixture, case, theirs, 0)
                    assert beam_score(fixture, case, ours, 1) < beam_score(fixture, case, theirs, 1)


def beam_arrays(case: Case) -> list[tuple[int, float, np.ndarray]]:
    matches = ((re.fullmatch(r"beam(\d+)_tokens_s(.+)", n), a) for n, a in case.expected.items())
    return [(int(match[1]), float(match[2]), array) for match, array in matches if match]


def beam_score(fixture: Fixture, case: Case, tokens: list[int], extra: int) -> float:
    """Return the mean log-probability, an unfinished row's length counted ``extra`` longer."""
    llm = fixture.answerer.llm
    prompt = fixture.answerer.embed(case.question, fixture.features[case.clip])
    answer = torch.tensor(tokens)
    with torch.inference_mode():
        embeds = torch.cat([prompt, llm.get_input_embeddings()(answer)])[None]
        scores = llm(inputs_embeds=embeds).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    total = scores.gather(1, answer[:, None]).sum().item()
    eos = fixture.answerer.tokenizer.eos_token_id
    unfinished = decoding.trim(tokens, [eos]).finish_reason == "length"
    return total / (len(tokens) + extra * unfinished)
