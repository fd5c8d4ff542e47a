"""What is decoded at once fits into the memory there is, and in half precision never asks."""

from types import SimpleNamespace

import pytest
import torch
from transformers import GPT2Config, LlamaConfig, MambaConfig

from lorascope.errors import UserError
from lorascope.models import footprint as sizes
from lorascope.models.footprint import Footprint, fitted, footprint
from lorascope.models.protocol import Room
from lorascope.running import free
from lorascope.running.memory import Halving

MIB, GIB = 2**20, 2**30
LLAMA_8B = LlamaConfig(
    vocab_size=128256,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
)


def test_bytes_follow_from_the_configuration():
    taken = footprint(LLAMA_8B)
    assert taken is not None
    cache = 2 * 32 * 8 * 128 * 4  # 256 KiB a position in float32
    assert cache < taken.position < 3 * cache
    assert taken.row == 3 * 128256 * 4
    whole = footprint(LLAMA_8B, all_logits=True)
    assert whole == Footprint(taken.position + taken.row, taken.row)
    many = footprint(LlamaConfig(num_key_value_heads=None))  # 32 of 32 heads
    assert many is not None and many.position > 2 * 32 * 4096 * 4
    gpt2 = footprint(GPT2Config())
    assert gpt2 is not None and gpt2.position > 2 * 12 * 768 * 4
    assert footprint(MambaConfig()) is None  # keeps no positions


@pytest.fixture
def device(monkeypatch):
    """A device with so much memory, in which rows of so many positions lie."""

    def make(memory: int, row: int, taken: Footprint):
        monkeypatch.setattr(sizes, "free_bytes", lambda name: memory)
        made = []

        def decode(rows):
            if len(rows) * (row * taken.position + taken.row) > memory:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            made.append(len(rows))
            return rows

        return decode, made

    return make


@pytest.mark.parametrize("memory", [90 * MIB, GIB, 5 * GIB, 60 * GIB])
@pytest.mark.parametrize("row", [1, 100, 2000])
@pytest.mark.parametrize("room", [Room(), Room(rows=64), Room(tokens=100_000)], ids=str)
def test_a_room_shrinks_to_what_is_free_and_everything_is_answered(device, memory, row, room):
    taken = Footprint(position=40_000, row=400_000)
    decode, made = device(memory, row, taken)
    smaller = fitted(room, taken, "cuda", "float32")
    assert room.rows is None or smaller.rows <= room.rows
    assert room.tokens is None or smaller.tokens <= room.tokens
    most = max(1, min(smaller.rows, smaller.tokens // row))
    halving, rows = Halving(decode, "rows"), list(range(200))
    answered = [
        one
        for start in range(0, len(rows), most)
        for part, found in halving(rows[start : start + most])
        for one in found
    ]
    assert answered == rows
    assert halving.halvings == 0
    fits = memory // (row * taken.position + taken.row)
    asked = min(room.rows or 10**9, (room.tokens or 10**9) // row)
    assert max(made) == min(most, 200)
    assert most >= min(0.2 * fits - 1, asked)  # not much is left unused


def test_a_row_that_does_not_fit_is_said_to_not_fit(device):
    taken = Footprint(position=40_000, row=400_000)
    decode, _ = device(10 * MIB, 2000, taken)
    room = fitted(Room(), taken, "cuda", "float32")
    assert room.tokens < 2000 and room.rows >= 1
    with pytest.raises(UserError, match="not even a single one fits into memory"):
        list(Halving(decode, "rows")(range(1)))


def test_where_it_would_change_answers_or_nothing_is_known_the_room_stays(monkeypatch):
    monkeypatch.setattr(sizes, "free_bytes", lambda device: 0)
    taken, room = Footprint(1, 1), Room(rows=5, tokens=1000)
    for dtype in ("bfloat16", "float16"):
        assert fitted(room, taken, "cuda", dtype) == room
        assert fitted(Room(), taken, "cuda", dtype) == Room()
    assert fitted(room, None, "cuda", "float32") == room
    assert fitted(room, taken, "cpu", "float32") == Room(rows=1, tokens=1)


def test_what_is_free_on_gpus(monkeypatch):
    left = [30 * GIB, 20 * GIB]
    fake = SimpleNamespace(
        device_count=lambda: 2,
        mem_get_info=lambda i: (left[i], 80 * GIB),
        memory_reserved=lambda i: 3 * GIB,
        memory_allocated=lambda i: 2 * GIB,
    )
    monkeypatch.setattr(torch, "cuda", fake)
    assert free.free_bytes("cuda") == 31 * GIB
    assert free.free_bytes("auto") == 2 * 21 * GIB


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """The files by which a kernel tells of memory: 8 GiB free, no groups."""
    for name in ("CGROUPS", "OWN"):
        monkeypatch.setattr(free, name, tmp_path / name)
        (tmp_path / name).mkdir()
    monkeypatch.setattr(free, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.delenv("SLURM_MEM_PER_NODE", raising=False)
    (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {8 * MIB} kB\n")
    (tmp_path / "OWN/cgroup").write_text("")
    (tmp_path / "OWN/status").write_text(f"VmRSS: 7 kB\nRssAnon: {MIB} kB\n")
    return tmp_path


def test_what_is_free_on_the_cpu(machine, monkeypatch):
    assert free.free_bytes("cpu") == 8 * GIB
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "0")
    assert free.free_bytes("cpu") == 8 * GIB
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "3072")
    assert free.free_bytes("cpu") == 2 * GIB
    (machine / "OWN/cgroup").write_text("5:cpu,cpuacct:/a\n4:memory:/slurm/job\n")
    job = machine / "CGROUPS/memory/slurm/job"
    job.mkdir(parents=True)
    (machine / "CGROUPS/memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    (job / "memory.limit_in_bytes").write_text(f"{2 * GIB}\n")
    (job / "memory.usage_in_bytes").write_text(f"{GIB + GIB // 2}\n")
    (job / "memory.stat").write_text(f"inactive_file 5\ntotal_inactive_file {GIB // 4}\n")
    assert free.free_bytes("cpu") == 3 * GIB // 4
    (machine / "OWN/cgroup").write_text("0::/user/job/step\n")
    job = machine / "CGROUPS/user/job"
    (job / "step").mkdir(parents=True)
    (job / "step/memory.max").write_text("max\n")
    (job / "memory.max").write_text(f"{GIB}\n")
    (job / "memory.current").write_text(f"{GIB + 5}\n")
    assert free.free_bytes("cpu") == 0


def test_this_machine_tells(monkeypatch):
    assert MIB < free.free_bytes("cpu") < 2**50


def test_a_machine_that_says_nothing_of_its_memory_has_all_of_it(monkeypatch, tmp_path):
    for name in ("CGROUPS", "MEMINFO", "OWN"):
        monkeypatch.setattr(free, name, tmp_path / "no-such")
    monkeypatch.delenv("SLURM_MEM_PER_NODE", raising=False)
    assert free.free_bytes("cpu") > 2**30
