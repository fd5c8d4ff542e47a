"""What a notebook makes of scores: accuracies, intervals, paired tests, and the answers as JSON."""

import argparse
import sys
from pathlib import Path

import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from tests.bench.places import write_answers

BASELINE = "SF-0"


def table(results: Path) -> pd.DataFrame:
    """Return a row for each experiment and category."""
    read = {
        path.parts[-3]: pd.read_parquet(path).set_index("item_id")
        for path in sorted(results.glob("experiments/*/*/scores-*.parquet"))
    }
    found = []
    for name, scores in read.items():
        pairs = scores.join(read[BASELINE]["correct"].rename("correct_base"))
        for category, rows in pairs.groupby("category"):
            right, total = int(rows["correct"].sum()), len(rows)
            low, high = proportion_confint(right, total, method="wilson")
            counts = pd.crosstab(rows["correct"], rows["correct_base"])
            counts = counts.reindex(index=[False, True], columns=[False, True], fill_value=0)
            test = mcnemar(counts.to_numpy(), exact=True)
            found.append(
                {"experiment": name, "category": category, "accuracy": 100 * right / total}
                | {"low": 100 * low, "high": 100 * high, "p_value": test.pvalue}
            )
    return pd.DataFrame(found)


def main() -> int:
    """Write the table as CSV and HTML, and what was answered as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    given = parser.parse_args()
    found = table(given.results)
    found.to_csv("accuracy.csv", index=False)
    found.to_html("index.html", index=False)
    for path in given.results.glob("experiments/*/*/predictions.parquet"):
        pd.read_parquet(path).to_json(f"{path.parts[-3]}.json", orient="records")
    rows = found.itertuples()
    write_answers(
        Path("answers.json"), {f"{row.experiment} {row.category}": row.accuracy for row in rows}
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
