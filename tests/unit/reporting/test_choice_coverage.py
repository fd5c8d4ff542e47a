"""The interval of a choice holds; `make coverage` looks at all cases."""

import pytest

from tests.simulation_choices import Study, held


@pytest.mark.parametrize(
    "study",
    [
        Study(5, 60, step=0.05),
        Study(5, 60, alike=0.0, step=0.1),
        Study(5, 30, step=0.05, sizes=(1, 2, 4)),
        Study(3, 40, step=0.1, kind="nats"),
    ],
)
def test_intervals_hold_and_the_best_is_as_optimistic_as_is_printed(study):
    found = held(study, 100, draws=40)
    assert min(found.chosen, found.procedure) >= 94
    assert abs(found.off) < 3 * found.error
    assert found.optimism == pytest.approx(found.too_good, abs=3 * found.error)
    assert found.too_good > 0
