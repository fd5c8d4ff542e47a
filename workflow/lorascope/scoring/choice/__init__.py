"""The deterministic scorer of replies to a question with options: which option does one choose?"""

from lorascope.study.declarations import Scorer

HARMLESS = "declares; what decides a result lies in the functions that are named"

SCORER = Scorer(
    judges=("options",),
    score_item="lorascope.scoring.choice.scorer:score_item",
    undecided=("none", "multiple", "contradictory"),
)
