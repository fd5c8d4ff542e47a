"""Encoding: each clip once, whatever is done ahead and which clips go together."""

import hashlib
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from transformers.audio_utils import spectrogram

from lorascope.errors import UserError
from lorascope.models.hf_speech import encoder as speech
from lorascope.models.protocol import Encoder
from lorascope.models.salmonn import encoder as salmonn
from lorascope.models.salmonn import frontend
from lorascope.models.together import alike
from lorascope.running.counters import counted
from lorascope.stages import encode
from tests.support.settings import defaults
from tests.support.speech_cases import settings_of
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_speech_models import build

RATE = 16000
LENGTHS = (16000, 9000, 31000, 16100, 18000, 31999, 16000)
CPU, GPU = torch.device("cpu"), torch.device("cuda")


def waves() -> list[np.ndarray]:
    noise = np.random.default_rng(0)
    return [0.1 * noise.standard_normal(n, np.float32) for n in LENGTHS]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("salmonn")
    return salmonn.load(defaults("salmonn") | write_salmonn(folder), "cpu")


def test_the_filter_bank_is_transformers_bit_for_bit():
    window, mels = frontend._kaldi()
    for amplitude in (0, 1e-4, 0.1, 3):
        for wave in waves():
            clip = (amplitude * wave).astype(np.float32)
            clip[len(clip) // 3 : len(clip) // 2] = 0
            log_mel = spectrogram(
                clip.astype(np.float64) * 2**15, window, 400, 160, fft_length=512, power=2.0,
                center=False, preemphasis=0.97, mel_filters=mels, log_mel="log",
                mel_floor=1.192092955078125e-07, remove_dc_offset=True,
            )  # fmt: skip
            theirs = (log_mel.T - frontend.FBANK_MEAN) / (2 * frontend.FBANK_STD)
            assert np.array_equal(frontend.fbank(clip).numpy(), theirs.astype(np.float32))


def test_clips_of_one_shape_go_together_beside_a_gpu_and_each_alone_on_the_cpu():
    assert alike("abcab", GPU) == [[0, 3], [1, 4], [2]]
    assert alike("aab", CPU) == [[0], [1], [2]]
    assert alike("", GPU) == []


def beside_a_gpu(monkeypatch, module) -> None:
    """Form batches as there."""
    monkeypatch.setattr(module, "alike", lambda shapes, device: alike(shapes, GPU))


def test_features_do_not_depend_on_what_goes_together(encoder, monkeypatch):
    alone = encoder.encode(waves())
    assert all(torch.equal(a, b) for a, b in zip(alone, encoder.encode(waves()), strict=True))
    beside_a_gpu(monkeypatch, salmonn)
    given: list[int] = []
    own = encoder.bridge.features

    def features(speech, *rest):
        given.append(len(speech))
        return own(speech, *rest)

    monkeypatch.setattr(encoder.bridge, "features", features)
    found = encoder.encode(waves())
    # One below a second is padded to it, and BEATs does not hear less than 16 frames of 10 ms.
    assert given == [5, 2]
    assert all((a - b).abs().max() < 1e-5 for a, b in zip(alone, found, strict=True))


@pytest.mark.parametrize("kind", ["english", "moonshine"])
def test_features_of_a_recogniser_do_not_depend_on_it(tmp_path, monkeypatch, kind):
    recogniser = speech.load(settings_of(build(kind, tmp_path)), "cpu")
    alone = recogniser.encode(waves())
    beside_a_gpu(monkeypatch, speech)
    found = recogniser.encode(waves())
    assert [one.shape for one in found] == [one.shape for one in alone]
    assert all((a - b).abs().max() < 1e-5 for a, b in zip(alone, found, strict=True))


class Ears(Encoder):
    """Hears how loud a clip is; remembers what it was asked for."""

    sampling_rate = RATE

    def __init__(self) -> None:
        self.prepared: list[int] = []
        self.batches: list[list[int]] = []
        self.most = 100

    def prepare(self, wave):
        self.prepared.append(len(wave))
        time.sleep(0.001 * (len(wave) % 3))
        return wave

    def encode_prepared(self, prepared):
        if len(prepared) > self.most:
            raise MemoryError
        self.batches.append([len(wave) for wave in prepared])
        return [torch.tensor([[float(np.abs(wave).max()), len(wave)]]) for wave in prepared]


@pytest.fixture
def folder(tmp_path):
    """Forty clips, each of its own length, and the items about them."""
    items = []
    for i in range(40):
        wave = np.full(800 + 37 * ((i * 17) % 40), 0.01 * (i + 1), np.float32)
        soundfile.write(path := tmp_path / f"{i:02}.wav", wave, RATE, subtype="FLOAT")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        items.append(
            SimpleNamespace(clip=path.name, clip_sha256=digest, clip_seconds=len(wave) / RATE)
        )
    return tmp_path, items


def encoded(folder, monkeypatch, ears, device):
    """Have the stage encode the clips on a device; return what it gives and what it kept."""
    root, items = folder
    dataset = {"settings": {"audio": {}}, "source": str(root)}
    job = SimpleNamespace(
        fingerprint={"settings": {}, "dataset": dataset}, root=str(root), sources={}, adapter=None,
        load="lorascope.stages.encode:made_for_a_test",
    )  # fmt: skip
    monkeypatch.setattr(encode, "made_for_a_test", lambda settings, on: ears, raising=False)
    monkeypatch.setattr(encode, "lease", lambda gpus: SimpleNamespace(device=device))
    for check in ("check_code", "check_sources"):
        monkeypatch.setattr(encode, check, lambda *job: None)
    kept: list[dict] = []
    keeper = SimpleNamespace(keep=kept.append)
    return encode._encode_missing(job, items, len(items), keeper, 0), kept


def test_each_clip_is_encoded_once_and_kept_at_once_whatever_is_done_ahead(folder, monkeypatch):
    before, reads = counted().get("clips encoded", 0), []
    own = encode.read_bytes
    monkeypatch.setattr(encode, "read_bytes", lambda path: reads.append(path.name) or own(path))
    results = {}
    for device in ("cpu", "cuda"):
        ears, reads[:] = Ears(), []
        results[device], kept = encoded(folder, monkeypatch, ears, device)
        assert sorted(reads) == sorted(results[device]) == [f"{i:02}.wav" for i in range(40)]
        assert [len(batch) for batch in ears.batches] == [16, 16, 8]
        lengths = [length for batch in ears.batches for length in batch]
        assert lengths == sorted(ears.prepared, reverse=True)
        assert [len(part) for part in kept] == [16, 16, 8]
        for i, (_, one) in enumerate(sorted(results[device].items())):
            assert one.features[0].tolist() == pytest.approx(
                [0.01 * (i + 1), 800 + 37 * ((i * 17) % 40)]
            )
            assert one.lost == 0
    assert list(results["cpu"]) == list(results["cuda"])
    assert counted()["clips encoded"] - before == 80


def test_what_does_not_fit_is_encoded_in_halves(folder, monkeypatch):
    ears = Ears()
    ears.most = 5
    found, kept = encoded(folder, monkeypatch, ears, "cuda")
    assert len(found) == 40 == sum(map(len, kept))
    assert max(map(len, kept)) == 4
    assert sorted(ears.prepared) == sorted(length for batch in ears.batches for length in batch)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_an_edited_clip_is_named_and_what_came_before_it_kept(folder, monkeypatch, device):
    root, items = folder
    shortest = min(items, key=lambda item: item.clip_seconds)
    soundfile.write(root / shortest.clip, np.zeros(800, np.float32), RATE)
    ears = Ears()
    with pytest.raises(UserError, match=f"{shortest.clip}: changed"):
        encoded(folder, monkeypatch, ears, device)
    assert [len(batch) for batch in ears.batches] == [16, 16]
