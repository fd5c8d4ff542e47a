from lorascope.models.batching import make_batches
from tests.support.basics import printed


def test_batches_hold_every_index_once_the_longest_first_and_ties_in_order():
    assert make_batches([3, 9, 3, 7, 9], 2) == [[1, 4], [3, 0], [2]]
    assert make_batches([], 2) == []


def test_batching_imports_no_torch():
    code = "import sys, lorascope.models.batching; print('torch' in sys.modules)"
    assert printed(code) == "False\n"
