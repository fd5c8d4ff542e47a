"""A scorer that looks at the last word alone."""

from lorascope.benchmarks.items import Item
from lorascope.scoring.item_score import ItemScore
from lorascope.study.declarations import Scorer


def score_item(response: str, item: Item) -> list[ItemScore]:
    said = response.lower().split()[-1:]
    letters = [letter for letter, text in item.options if [text.lower()] == said]
    if not letters:
        return [ItemScore("", 0.0, "none", None, "no option is the last word")]
    right = letters == [item.gold]
    return [ItemScore("", float(right), "valid", letters[0], "it is the last word")]


SCORER = Scorer(judges=("options",), score_item="last_word:score_item")
