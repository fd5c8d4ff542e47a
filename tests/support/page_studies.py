"""Made-up studies for the item page: who they compare, on which items, with what credits."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

CHUNK = 200
LETTERS = "abcd"
_OWN = "document.title='owned'"
ATTACK = f'<img src=x onerror="{_OWN}"> </script><script>{_OWN}</script>'
"""What a question and a response may hold; shown, it is these very characters."""
ACCURACY = {"title": "accuracy", "scale": "percent", "higher_is_better": True, "bounded": True}
ERRORS = {"title": "word error rate", "scale": "percent", "higher_is_better": False}


@dataclass(frozen=True)
class Made:
    """A made-up study; equal ones have equal files.

    ``scalings`` are those of its experiments, of which the last is the baseline; without ``swept``
    they are models. ``metrics`` are those of each item, "" for one. ``datasets`` are conditions of
    the same items.
    """

    items: int = 48
    scalings: Sequence[float] = (0, 1, 2, 3, 4, 8)
    categories: Sequence[str] = ("animal-single", "animal-multi", "emotion-single", "emotion-multi")
    metrics: Sequence[str] = ("",)
    datasets: Sequence[str] = ("clean",)
    swept: bool = True
    clips: bool = False
    likelihoods: bool = False
    judge: bool = False
    unjudged: bool = False
    measure: Mapping[str, Any] = field(default_factory=lambda: ACCURACY)
    seed: int = 7

    @cached_property
    def experiments(self) -> list[dict[str, Any]]:
        """The experiments, in the table's order."""
        return [
            self._experiment(dataset, place, scaling)
            for dataset in self.datasets
            for place, scaling in enumerate(self.scalings)
        ]

    def _experiment(self, dataset: str, place: int, scaling: float) -> dict[str, Any]:
        name = f"SF-{scaling:g}" if self.swept else f"MODEL-{place}"
        name += f"-{dataset}" if len(self.datasets) > 1 else ""
        last = place == len(self.scalings) - 1
        return {
            **{"id": name, "base": name, "run": 0, "model": "tiny", "adapter": "lora"},
            **{
                "lora_scaling": scaling if self.swept else 1.0,
                "dataset": dataset,
                "mode": "generate",
            },
            **{"scorer": "choice", "line": dataset if len(self.datasets) > 1 else ""},
            **{"is_baseline": last and dataset == self.datasets[0], "in_table": True},
            **{"settings": {"max_new_tokens": 20}, "n": self.items},
        }

    @property
    def baseline(self) -> str:
        """The ID that deltas refer to."""
        return next(one["id"] for one in self.experiments if one["is_baseline"])

    @property
    def ids(self) -> list[str]:
        """The items, of which the first has markup in its texts."""
        return [f"{self.category(i)}/{i:05d}" for i in range(self.items)]

    def category(self, item: int) -> str:
        return self.categories[item % len(self.categories)]

    def scored(self, item: int, metric: str) -> str:
        """The category as tables name it."""
        return f"{self.category(item)}-{metric}" if metric else self.category(item)

    @property
    def tabled(self) -> list[str]:
        """The categories as tables name them."""
        return [
            f"{name}-{metric}" if metric else name
            for name in self.categories
            for metric in self.metrics
        ]

    @cached_property
    def credits(self) -> dict[tuple[str, str], list[float | None]]:
        """(experiment, metric) -> what each item has."""
        dice = random.Random(self.seed)
        return {
            (one["id"], metric): [self._credit(dice, place, metric) for _ in range(self.items)]
            for place, one in enumerate(self.experiments)
            for metric in self.metrics
        }

    def _credit(self, dice: random.Random, place: int, metric: str) -> float | None:
        if self.unjudged and dice.random() < 0.05:
            return None
        if not self.measure["higher_is_better"]:
            return float(dice.choice((0, 0, 0, 1, 2)))
        drawn = dice.random() < 0.35 + 0.5 * (place % len(self.scalings)) / len(self.scalings)
        return float(drawn) if metric != "f1" else dice.choice((0.0, 0.5, 0.666667, 1.0))

    def change(self, experiment: str, metric: str, item: int) -> int:
        """1 where an item is better than in the baseline, -1 where it is worse."""
        ours, base = (self.credits[(name, metric)][item] for name in (experiment, self.baseline))
        if ours is None or base is None:
            return 0
        sign = (ours > base) - (ours < base)
        return sign if self.measure["higher_is_better"] else -sign
