import doctest

import pytest

from lorascope.identity import digests
from lorascope.identity.digests import canonical, digest, text_digest


def test_the_examples_are_true():
    found = doctest.testmod(digests)
    assert found.attempted and not found.failed


def test_canonical_json_ignores_key_order_and_number_spelling():
    assert canonical({"b": 60.0, "a": [1, 2.5]}) == canonical({"a": (1.0, 2.5), "b": 60})
    assert canonical({"a": True}) != canonical({"a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
    assert len(digest({})) == 12


def test_canonical_json_refuses_numbers_that_are_not_finite():
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})


def test_a_digest_is_that_of_the_canonical_json():
    value = {"ä": [1.0, None], "a": {"b": "two"}}
    assert digest(value) == text_digest('{"a":{"b":"two"},"ä":[1,null]}')
