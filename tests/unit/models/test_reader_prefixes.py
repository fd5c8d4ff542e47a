"""What prompts of a batch have in common is read once, and changes no number."""

import pytest
import torch

from lorascope.models import likelihood, packing
from lorascope.models.likelihood import Reader
from tests.support.likelihoods import as_expected, assert_close, plainly
from tests.support.readings import counted, given, ids, options, positions_of, random_model

SHOTS = ids(40, 1)
PASSAGES = [ids(50, 2), ids(35, 3)]


def few_shots(rows: int = 6) -> list[torch.Tensor]:
    """Prompts of one few-shot prefix, with questions of 1 to 9 tokens."""
    return given(*([*SHOTS, *ids(1 + 5 * i % 9, 10 + i)] for i in range(rows)))


def nested() -> list[torch.Tensor]:
    """Few-shots that all share, and passages that some share, beside a prompt that shares none."""
    rows = [[*SHOTS, *PASSAGES[i % 2], *ids(2 + i % 3, 20 + i)] for i in range(6)]
    return given(*rows, [*SHOTS, *ids(4, 30)], ids(30, 31), ids(3, 32))


BATCHES = {"few shots": few_shots, "nested": nested}


@pytest.fixture(scope="module")
def llama():
    return random_model("llama")


def used(model, like=None) -> Reader:
    """A reader that knows of its model how it may be read."""
    reader = Reader(model)
    reader.read(given([3, 4]) if like is None else [like], [[[5], [6, 7]]])
    return reader


@pytest.mark.parametrize(
    ("kind", "name", "most"),
    [
        *(("llama", name, most) for name in BATCHES for most in (0, 2048)),
        *(("sliding", name, 2048) for name in BATCHES),
        *(("wide", "nested", most) for most in (0, 2048)),
        ("recurrent", "few shots", 2048),
    ],
)
def test_sums_are_those_of_plain_forwards(kind, name, most, monkeypatch):
    monkeypatch.setattr(packing, "MOST_PACKED", most)
    model, prompts = random_model(kind), BATCHES[name]()
    several = options(len(prompts))
    for one, prompt, tokens in zip(
        Reader(model).read(prompts, several), prompts, several, strict=True
    ):
        assert one.prompt_tokens == len(prompt)
        expected = [plainly(model, prompt, row) for row in tokens]
        assert_close(one, expected)
        assert list(one.sums) == pytest.approx([row[0] for row in expected], rel=1e-5, abs=1e-5)


def test_a_few_shot_prefix_is_read_once(llama):
    prompts, several = few_shots(), options(6)
    reader = used(llama)
    with positions_of(llama) as seen, counted() as found:
        reader.read(prompts, several)
    rests = sum(len(prompt) - len(SHOTS) for prompt in prompts)
    assert found["prefill positions"] == len(SHOTS) + rests
    assert (found["prefixes shared"], found["prompts read"]) == (1, 6)
    assert found["continuations read"] == sum(map(len, several))
    widest = max(
        len(prompt) - len(SHOTS) + sum(len(tokens) - 1 for tokens in row)
        for prompt, row in zip(prompts, several, strict=True)
    )
    assert seen == [len(SHOTS), 6 * widest]


def test_what_prefixes_share_is_read_once_in_turn(llama):
    prompts = nested()[:6]
    reader = used(llama)
    with counted() as found:
        reader.read(prompts, options(6))
    own = sum(len(p) - len(SHOTS) - len(PASSAGES[i % 2]) for i, p in enumerate(prompts))
    assert found["prefixes shared"] == 3
    assert found["prefill positions"] == 40 + 50 + 35 + own


def test_a_short_prefix_is_read_with_each_prompt(llama):
    prompts = given(*([*SHOTS[:6], *ids(5, i)] for i in range(5)))
    reader = used(llama)
    with counted() as found:
        reader.read(prompts, options(5))
    assert found.get("prefixes shared", 0) == 0
    assert found["prefill positions"] == 5 * 11


def test_clips_of_one_name_are_read_once(llama):
    torch.manual_seed(1)
    clips = {name: torch.randn(40, 32) for name in "ab"}
    embed = llama.get_input_embeddings()
    prompts, keys = [], []
    for i, name in enumerate("abaab"):
        texts = ids(4, 5), ids(2 + i, 50 + i)
        before, after = (embed(torch.tensor(text)).detach() for text in texts)
        prompts.append(torch.cat([before, clips[name], after]))
        keys.append([*texts[0], *((name, place) for place in range(40)), *texts[1]])
    several = options(5)
    reader = used(llama, prompts[0])
    with counted() as found:
        shared = reader.read(prompts, several, keys)
    assert found["prefill positions"] == 2 * 44 + sum(2 + i for i in range(5))
    with counted() as alone:
        apart = reader.read(prompts, several)
    assert alone["prefill positions"] == sum(map(len, prompts))
    for one, other, prompt, rows in zip(shared, apart, prompts, several, strict=True):
        expected = [plainly(llama, prompt, row) for row in rows]
        assert_close(one, expected)
        assert_close(other, expected)


def test_half_precision_reads_prefixes_once_and_packs_nothing():
    model, prompts = random_model("llama", torch.bfloat16), nested()
    several = options(len(prompts))
    reader = Reader(model)
    with counted() as found:
        read = reader.read(prompts, several)
    assert not reader._packs
    assert found["prefill positions"] < sum(map(len, prompts)) - 100
    for one, prompt, rows in zip(read, prompts, several, strict=True):
        for total, row in zip(one.sums, rows, strict=True):
            assert abs(total - plainly(model, prompt, row)[0]) < 0.2 * len(row)


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_overflow_of_a_prefix_is_that_of_its_rows_alone(llama, value):
    prompts = [llama.get_input_embeddings()(row).detach() for row in nested()]
    keys = [row.tolist() for row in nested()]
    several = options(len(prompts))
    sound = Reader(llama).read(prompts, several, keys)
    for i in (0, 2, 4):  # those of the first passage
        prompts[i] = prompts[i].clone()
        prompts[i][60, 3] = value
    found = Reader(llama).read(prompts, several, keys)
    for i, (one, other) in enumerate(zip(found, sound, strict=True)):
        if i in (0, 2, 4):
            assert not any(torch.tensor(one.sums).isfinite())
        else:
            assert_close(one, as_expected(other))


def test_overflow_of_an_option_is_not_its_neighbours(llama):
    model = random_model("llama")
    with torch.no_grad():
        model.get_input_embeddings().weight[9] = float("inf")
    prompts, several = given(ids(8, 1), ids(5, 2)), [[[5, 6], [7, 9, 8]], [[4, 5, 6]]]
    for rows in several:
        for row in rows:
            row[:] = [i if i == 9 else 10 + i for i in row]
    prompts = [prompt.masked_fill(prompt == 9, 10) for prompt in prompts]
    found = Reader(model).read(prompts, several)
    assert not torch.tensor(found[0].sums[1]).isfinite()
    for one, prompt, rows in zip(found, prompts, several, strict=True):
        for k, row in enumerate(rows):
            if 9 not in row:
                assert one.sums[k] == pytest.approx(plainly(model, prompt, row)[0], abs=1e-4)


def test_scores_and_positions_of_a_pass_are_bounded(llama, monkeypatch):
    prompts, several = few_shots(), options(6)
    reader, expected = used(llama), Reader(llama).read(prompts, several)
    heads = []
    monkeypatch.setattr(packing, "CPU_POSITIONS", 30)
    monkeypatch.setattr(likelihood, "MOST_SCORES", 12 * 64)
    head = llama.get_output_embeddings()
    with (
        positions_of(llama) as seen,
        head.register_forward_hook(lambda m, a, output: heads.append(output.numel())),
    ):
        found = reader.read(prompts, several)
    assert max(seen[1:]) <= 30
    assert max(heads) <= 12 * 64
    for one, other in zip(found, expected, strict=True):
        assert_close(one, as_expected(other))


def test_a_model_that_heeds_no_mask_of_rows_is_read_apart(llama, monkeypatch):
    monkeypatch.setattr(packing.Packed, "mask", lambda self, before, dtype: torch.zeros(1, 1, 1, 1))
    reader = used(llama)
    assert reader._packs is False
    (found,) = reader.read(given(ids(5, 1)), [[[4, 5], [6, 7]]])
    assert_close(found, [plainly(llama, torch.tensor(ids(5, 1)), row) for row in ([4, 5], [6, 7])])


def test_windows_shorter_than_a_row_are_read_apart():
    reads = {kind: used(random_model(kind)) for kind in ("llama", "sliding", "wide")}
    assert [reads[kind]._packer._widest(20) for kind in reads] == [2048, -9, 479]
