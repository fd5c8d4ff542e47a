"""What a task of lm-evaluation-harness says of replies, by its own filters and metrics."""

from lorascope.study.declarations import Scorer

HARMLESS = "declares; what decides a result lies in the functions that are named"

SCORER = Scorer(
    judges=("task",),
    modes=("generate", "choose", "loss"),
    metrics=lambda own: None,
    shares=False,
    score_item="lorascope.scoring.lm_eval.judge:score_item",
)
