"""What differs between two fingerprints, in words."""

from lorascope.planning.reasons import differences


def fingerprint(**changes):
    train = {"rank": 8, "data_source": {"x.jsonl": "1"}}
    return {
        "lora_scaling": 2,
        "sources": {"model": {"a": "1"}},
        "adapter": {"train": train | changes.pop("train", {})},
        "code": {f"{letter}.py": "1" for letter in "abcdef"} | changes.pop("code", {}),
        **changes,
    }


def test_each_kind_of_change_has_its_words():
    after = fingerprint(
        lora_scaling=None,
        sources={"model": {"a": "2"}},
        train={"rank": 16, "data_source": {"x.jsonl": "2"}},
        code={"b.py": "2"},
    )
    assert differences(fingerprint(), after) == [
        "code of b.py changed",
        "training data changed",
        "adapter.train.rank 8 -> 16",
        "lora_scaling 2 -> none",
        "model changed",
    ]


def test_a_new_version_is_summed_up():
    after = fingerprint(code={f"{letter}.py": "2" for letter in "abcde"})
    assert differences(fingerprint(), after) == ["code of 5 modules changed"]


def test_equal_fingerprints_differ_in_nothing():
    assert differences(fingerprint(), fingerprint()) == []
