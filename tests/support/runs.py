"""Scored runs made up for the tests of the report."""

import pandas as pd

from lorascope.reporting.scored import Scored


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
