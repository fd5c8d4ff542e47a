"""SALMONN's LoRA, and its bridge, trained on clips by the same stage."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lorascope.benchmarks.audio import read_clip
from lorascope.benchmarks.examples import Pair
from lorascope.benchmarks.sakura import items as sakura
from lorascope.errors import UserError
from lorascope.identity.sources import SourceIndex
from lorascope.models.finetuning.clips import Clips
from lorascope.models.finetuning.trainee import Scratch
from lorascope.models.salmonn.answerer import load as load_answerer
from lorascope.models.salmonn.answerer import load_base
from lorascope.models.salmonn.encoder import load as load_encoder
from lorascope.models.salmonn.training import Listener, below, collate, encode_pair
from lorascope.planning.finetune import FinetuneJob
from lorascope.storage.records import read_json, read_table
from tests.support.basics import GREEDY, ROOT
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.trainings import TRAIN, Killed, kill_after, train

SAKURA = ROOT / "resources" / "mini-sakura"
DATA = {"format": "sakura", "tracks": ["animal"], "hops": ["single"], "limit": 6}
SETTINGS = {
    "epochs": 4,
    "batch_size": 3,
    "sequence_length": 200,
    "save_steps": 2,
    "warmup_ratio": 0,
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, str]:
    return write_salmonn(tmp_path_factory.mktemp("salmonn"))


@pytest.fixture(scope="module")
def settings(sources) -> dict[str, Any]:
    return defaults("salmonn") | sources


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return sakura.read_examples(DATA, SAKURA)


def write_job(path: Path, sources: dict[str, str], **train: Any) -> Path:
    index = SourceIndex(path.with_name("index.json"))
    own = TRAIN | SETTINGS | {"bridge": False} | train
    job = FinetuneJob(
        fingerprint={
            "stage": "finetune",
            "family": "salmonn",
            "settings": defaults("salmonn"),
            "sources": {key: index.local(Path(file)) for key, file in sources.items()},
            "train": {key: value for key, value in own.items() if key != "save_steps"},
            "data": DATA,
            "data_source": index.files(sakura.training_files(SAKURA, DATA), SAKURA),
            "code": {},
        },
        digest="0123456789ab",
        adapter="tuned",
        prepare="lorascope.models.salmonn.training:prepare",
        measure="lorascope.models.finetuning.trainee:measure_folder",
        language_model="llm",
        sources=sources,
        read="lorascope.benchmarks.sakura.items:read_examples",
        source_files="lorascope.benchmarks.sakura.items:training_files",
        root=str(SAKURA),
        clips=str(SAKURA),
        local=True,
        save_steps=own["save_steps"],
        tracking=[],
        study="study",
    )
    path.write_text(job.json)
    return path


@pytest.fixture(scope="module", params=[False, True], ids=["lora", "bridge"])
def trained(request, sources, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    job = write_job(folder / "job.json", sources, bridge=request.param, epochs=12)
    return train(job, folder / "out")


@pytest.mark.parametrize("bridge", [False, True])
def test_the_trained_model_reads_what_the_answerer_reads(settings, pairs, tmp_path, bridge) -> None:
    encoder = load_encoder(settings, "cpu")
    answerer = load_base(settings, "cpu", "float32")
    clips = Clips(Scratch(tmp_path, "0123456789ab"))
    clips.encode(
        encoder,
        SAKURA,
        {pair.clip: pair.clip_sha256 for pair in pairs[:3]},
        partial(below, encoder, bridge),
    )
    rows = [encode_pair(answerer, pair, clips) for pair in pairs[:3]]
    windows = (encoder.window, encoder.stride) if bridge else None
    batch = collate(rows, clips, windows)
    labels = batch.pop("labels")
    batch.pop("attention_mask")
    listener = Listener(answerer.llm, encoder.bridge if bridge else answerer.projection)
    with torch.no_grad():
        embeds = listener.embed(**batch)
    for pair, row, embed, label in zip(pairs[:3], rows, embeds, labels, strict=True):
        features = encoder.encode([read_clip(SAKURA / pair.clip)])[0]
        prompt = answerer.embed(pair.prompt, features)
        torch.testing.assert_close(embed[: len(prompt)], prompt)
        response = [*answerer.tokenizer(pair.response, add_special_tokens=False).input_ids, 2]
        assert label.tolist()[: len(prompt)] == [-100] * len(prompt)
        assert label.tolist()[len(prompt) : len(row["labels"])] == response
        assert set(label.tolist()[len(row["labels"]) :]) <= {-100}


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "another clip's", "foreign"])
def test_a_clip_that_is_not_as_it_was_encoded_is_encoded_again(
    settings, pairs, tmp_path, damage
) -> None:
    encoder, scratch = load_encoder(settings, "cpu"), Scratch(tmp_path, "0123456789ab")
    hashes = {pair.clip: pair.clip_sha256 for pair in pairs[:6]}
    clips = Clips(scratch)
    clips.encode(encoder, SAKURA, {clip: hashes[clip] for clip in clips.missing(hashes)})
    assert clips.missing(hashes) == []
    (first, sha256), (_, second) = list(hashes.items())[:2]
    before = clips.read(sha256, ["features"])[0].clone()  # it lies in the file
    path = tmp_path / "clips" / f"{sha256}.safetensors"
    data = path.read_bytes()
    flipped = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    other = path.with_name(f"{second}.safetensors").read_bytes()
    damaged = {"flip": flipped, "truncate": data[:-4], "another clip's": other}
    path.write_bytes(damaged.get(damage, b""))
    if damage == "foreign":
        Clips(Scratch(tmp_path, "f" * 12)).encode(encoder, SAKURA, {first: sha256})
    with pytest.raises(UserError, match=rf"{sha256}\.safetensors: .*moved aside"):
        clips.read(sha256, ["features"])
    assert clips.missing(hashes) == [first]
    clips.encode(encoder, SAKURA, {first: sha256})
    (after,) = clips.read(sha256, ["features"])
    assert torch.equal(before, after)


def test_training_lowers_the_loss_and_the_answerer_takes_the_adapter(
    settings, pairs, trained
) -> None:
    losses = read_table(trained / "training.parquet", "training")["loss"].to_pylist()
    assert len(losses) == 24
    assert sum(losses[-2:]) < 0.8 * sum(losses[:2])
    brings = (trained / "bridge.safetensors").exists()
    heard = settings | ({"adapter": str(trained)} if brings else {})
    encoder = load_encoder(heard, "cpu")
    features = encoder.encode([read_clip(SAKURA / pairs[0].clip)])
    own = load_answerer(settings, "cpu", "float32", None, str(trained))
    assert own.lora_scaling == TRAIN["alpha"] / TRAIN["rank"]
    assert own.parameters_adapted == 4  # q and v of two layers
    base = load_answerer(settings, "cpu", "float32", 0.0, str(trained))
    question = [pairs[0].prompt]
    assert own.answer(question, features, GREEDY, [0]) != base.answer(
        question, features, GREEDY, [0]
    )
    # The loss of the finished adapter, computed by the answerer's own parts.
    prompt = own.embed(pairs[0].prompt, features[0])
    response = [*own.tokenizer(pairs[0].response, add_special_tokens=False).input_ids, 2]
    words = own.llm.get_input_embeddings()(torch.tensor(response))
    with torch.inference_mode():
        logits = own.llm(inputs_embeds=torch.cat([prompt, words])[None]).logits[0]
    logs = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    assert -logs[range(len(response)), response].mean() < losses[0]


def test_the_files_are_peft_s_and_the_bridge_has_its_own(sources, trained) -> None:
    config = read_json(trained / "adapter_config.json")
    assert config["base_model_name_or_path"] == sources["llm"]
    assert config["modules_to_save"] is config["exclude_modules"] is None
    names = load_file(trained / "adapter_model.safetensors").keys()
    assert names == {
        f"base_model.model.model.layers.{layer}.self_attn.{module}.lora_{side}.weight"
        for layer in range(2)
        for module in ("q_proj", "v_proj")
        for side in "AB"
    }
    groups = read_json(trained / "parameter_groups.json")
    account = read_json(trained / "training.json")
    if not (trained / "bridge.safetensors").exists():
        assert set(groups) == {"decay"}
        assert all(".llm." not in name for name in groups["decay"]["params"])
        assert account["trainable_parameters"] == 2 * 2 * 4 * 64
        return
    bridge = load_file(trained / "bridge.safetensors")
    released = torch.load(sources["checkpoint"], weights_only=True)["model"]
    assert all(name in released and name in bridge for name in bridge)
    assert any(not torch.equal(bridge[name], released[name]) for name in bridge)
    assert "bridge.ln_speech.weight" in groups["no_decay"]["params"]
    assert "bridge.speech_llama_proj.weight" in groups["decay"]["params"]
    sizes = sum(tensor.numel() for tensor in bridge.values())
    assert account["trainable_parameters"] == 2 * 2 * 4 * 64 + sizes


def test_an_adapter_without_a_bridge_gives_none_to_the_encoder(settings, trained) -> None:
    if not (trained / "bridge.safetensors").exists():
        with pytest.raises(UserError, match=r"no bridge\.safetensors"):
            load_encoder(settings | {"adapter": str(trained)}, "cpu")


@pytest.mark.parametrize("bridge", [False, True])
def test_a_broken_training_goes_on(sources, tmp_path, bridge) -> None:
    job = write_job(tmp_path / "job.json", sources, bridge=bridge, dropout=0.2)
    unbroken, out = train(job, tmp_path / "unbroken"), tmp_path / "broken"
    with pytest.MonkeyPatch.context() as patch:
        kill_after(patch, 5)
        with pytest.raises(Killed):
            train(job, out)
    train(job, out)
    for path in unbroken.glob("*.safetensors"):
        assert path.read_bytes() == (out / path.name).read_bytes(), path.name
    assert (out / "bridge.safetensors").exists() == bridge


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"target_modules": ["query"]}, "no linear layer named query"),
        ({"sequence_length": 20}, r"train\.sequence_length: 20 is too short"),
        ({"parameter_names": "mindpet", "bridge": True}, "parameter_names: peft"),
    ],
)
def test_settings_that_do_not_do_are_refused(sources, tmp_path, settings, message) -> None:
    with pytest.raises(UserError, match=message):
        train(write_job(tmp_path / "job.json", sources, **settings), tmp_path / "out")
