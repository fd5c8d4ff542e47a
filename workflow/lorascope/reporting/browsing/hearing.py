"""How much of each clip was heard: the limits of models, and what their answers say was lost."""

import math
from collections.abc import Mapping, Sequence

from lorascope.benchmarks.conditions import Condition
from lorascope.benchmarks.items import Item
from lorascope.reporting.browsing.clips import Clip


def clips_of(
    items: Sequence[Item],
    root: str,
    condition: Condition,
    rate: int,
    ears: Sequence[tuple[float | None, Mapping[str, float]]],
) -> dict[str, Clip]:
    """Return clip -> what was heard of it at ``rate`` Hz, by the ears that hear most.

    ears: of each, the seconds that it hears of any clip (None: no limit is known) and item ->
    seconds of the clip's own that were lost, which tell a limit that only the encoder knew.
    """
    found: dict[str, Clip] = {}
    for item in items:
        if item.clip and item.clip not in found:
            samples = math.ceil(item.clip_seconds * rate - 1e-6)
            limits = [
                _limit(samples, rate, condition, seconds, lost.get(item.item_id, 0.0))
                for seconds, lost in ears
            ]
            played = condition.presented_samples(samples, rate)
            found[item.clip] = Clip(
                root=root,
                path=item.clip,
                sha256=item.clip_sha256,
                samples=samples,
                rate=rate,
                heard=round(min(played, max(limits, default=played))),
                condition=condition,
            )
    return found


def _limit(
    samples: int, rate: int, condition: Condition, seconds: float | None, lost: float
) -> float:
    """Return how many samples are heard of a clip as it is presented, infinity without a limit."""
    limit = math.inf if seconds is None else seconds * rate
    kept = min(samples, condition.presented_samples(samples, rate))
    own = samples - round(lost * rate)
    # Beyond what was cut off to fit, more is lost only where the ears stop.
    return min(limit, condition.start(kept, rate) + own) if own < kept else limit
