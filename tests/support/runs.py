"""Scored runs made up for the tests of the report."""

import numpy as np
import pandas as pd

from lorascope.reporting.measures import Pair
from lorascope.reporting.retention import Retained, retained
from lorascope.reporting.scored import Scored
from lorascope.scoring.item_score import Measure

WORDS = Measure("word error rate", "percent", higher_is_better=False, bounded=False)
TOKENS = Measure("perplexity by token", "exponential", higher_is_better=False, bounded=False)
BITS = Measure("bits per byte", "plain", higher_is_better=False, bounded=False)


def run(experiment, correct, base=None, run_num=0, in_table=True, scaling=1.0):
    """Build a Scored from {category: flags}; flag i of a category is about clip <track><i>."""
    rows = [
        {
            "item_id": f"{category}/clip{i}",
            "category": category,
            "clip": f"{category.split('-')[0]}/clip{i}.wav",
            "options": 4,
            "credit": None if flag is None else float(flag),
        }
        for category, flags in correct.items()
        for i, flag in enumerate(flags)
    ]
    scores = pd.DataFrame(rows)
    return Scored(experiment, base or experiment, run_num, scaling, in_table, "clips", scores)


def flags(correct, total):
    return [True] * correct + [False] * (total - correct)


def text_run(experiment, f1, em, passages=None, dataset="squad", scaling=0.0):
    """Build a Scored with the metrics squad-f1 and squad-em of the same items."""
    clips = passages or [f"passage {i}" for i in range(len(f1))]
    rows = [
        {"item_id": f"q{i}", "category": f"squad-{metric}", "clip": clips[i], "options": 0}
        | {"credit": float(credit)}
        for metric, credits in (("em", em), ("f1", f1))
        for i, credit in enumerate(credits)
    ]
    return Scored(experiment, experiment, 0, scaling, True, dataset, pd.DataFrame(rows))


def measured_run(experiment, measures, items, dataset="texts", scaling=0.0):
    """Build a Scored from {category: measure} and {category: [(credit, weight), ...]}."""
    rows = [
        {"item_id": f"{category}/{i}", "category": category, "clip": "", "options": 0}
        | {"credit": credit, "weight": weight, "status": "scored", "finish_reason": "eos"}
        for category, found in items.items()
        for i, (credit, weight) in enumerate(found)
    ]
    scores = pd.DataFrame(rows)
    return Scored(
        experiment, experiment, 0, scaling, True, dataset, scores, "model", dict(measures)
    )


def pair(credits, base, weights=None, base_weights=None, clips=None):
    """Build a pair of runs, of items of weight 1 and clips of their own if nothing else is said."""
    each = np.ones(len(base)) if weights is None else np.asarray(weights, dtype=float)
    others = each if base_weights is None else np.asarray(base_weights, dtype=float)
    credits, base = np.asarray(credits, dtype=float), np.asarray(base, dtype=float)
    clips = np.arange(len(base)) if clips is None else np.asarray(clips)
    return Pair(credits, each, base, others, clips)


def retained_shares(credits, base, clips, *asked, **how) -> Retained:
    return retained(pair(credits, base, clips=clips), *asked, **how)
