"""SAKURA's published files: a model's answers to a track and hop, and a judge's verdicts of them.

Answers, as the benchmark's `evaluation/README.md` has them and its judge reads them:
`{"attribute": track, "type": hop, "results": {clip: {"instruction", "response", "label"}}}`, where
the label is the gold answer, verbatim. Verdicts, as its `calculate_acc.py` counts them:
`{"judge_model", "temperature", "top_p", "max_tokens", "results": {clip: {"Explanation",
"Judgement", "instruction", "model_response", "label"}}}`, the judgement being `correct`,
`incorrect`, or what its judge notes where it found none. A file of verdicts does not say track and
hop: the clip and the question tell an item from all others.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from lorascope.benchmarks.items import Item
from lorascope.errors import UserError, shown
from lorascope.exchange.answers import Answer, Answered, Score
from lorascope.exchange.replies import Reply, read_json, text_of
from lorascope.scoring.item_score import ACCURACY
from lorascope.study.declarations import PredictionFormat
from lorascope.study.settings import PredictionSettings

NO_EXPLANATION = "No extracted explanation"
NO_JUDGEMENT = "No extracted judgement"
JUDGED = "judgements"
"""Folder of the verdicts, and the end of their files' names."""
_VERDICT = re.compile(r"[\W_]*(in)?correct[\W_]*", re.IGNORECASE)
Asked: TypeAlias = tuple[str, str]
"""The stem of a clip's name, and the words of a question."""


def files(answered: Answered) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield name and lines of each track's and hop's answers, and of the verdicts of these.

    UserError for answers to another benchmark, and for those that hold no text.
    """
    verdicts = has_verdicts(answered)
    for (track, hop), group in _groups(answered).items():
        name = f"{track}_{answered.id}_{hop}"
        yield f"{name}.json", _text(_results(track, hop, group))
        if verdicts:
            yield f"{JUDGED}/{name}_{JUDGED}.json", _text(_judgements(answered.scorer, group))


def notes(answered: Answered) -> list[str]:
    """Say what the format cannot hold."""
    found = ["settings, likelihoods and the audio condition have no place in SAKURA's files"]
    if not has_verdicts(answered):
        found.append("no judgements are written: the scores are not right or wrong alone")
    lost = sum(score.is_unjudged for a in answered.answers for score in a.scores.values())
    if lost:
        found.append(f"{lost} unjudged answers are {NO_JUDGEMENT!r}, which its script names")
    return found


def has_verdicts(answered: Answered) -> bool:
    """Return whether every score is right, wrong or unjudged, by one metric."""
    scores = [score for answer in answered.answers for score in answer.scores.values()]
    return len(scores) == len(answered.answers) and all(
        answered.measure(score.category) == ACCURACY
        and (score.is_unjudged or score.credit in (0, 1))
        for score in scores
    )


def clip_name(answer: Answer) -> str:
    """Return the name of the clip that a question is about, whatever clip was heard in its stead.

    Of a path in the published metadata it is the last part.
    """
    item = answer.item
    return item.item_id.partition("/")[2] + PurePosixPath(item.clip).suffix


def _groups(answered: Answered) -> dict[tuple[str, str], dict[str, Answer]]:
    """Return (track, hop) -> clip -> its answer; tracks as they are published, "Animal"."""
    groups: dict[tuple[str, str], dict[str, Answer]] = {}
    for answer in answered.answers:
        item = answer.item
        if not (item.track and item.hop):
            raise UserError(
                f"{answered.id}: dataset {answered.settings['dataset']!r} is not SAKURA: item "
                f"{item.item_id} has no track and hop; choose another format"
            )
        if not answer.is_text and not answer.response:
            raise UserError(
                f"{answered.id}: item {item.item_id} has a likelihood and no response, which "
                "SAKURA's files cannot hold; choose another format"
            )
        group = groups.setdefault((item.track.capitalize(), item.hop), {})
        if group.setdefault(clip_name(answer), answer) is not answer:
            raise UserError(
                f"{answered.id}: two items of {item.category} are about {clip_name(answer)}, and "
                "SAKURA's files hold one; choose another format"
            )
    return groups


def _results(track: str, hop: str, group: dict[str, Answer]) -> dict[str, Any]:
    results = {
        clip: {
            "instruction": answer.item.question,
            "response": answer.response,
            "label": answer.item.answer,
        }
        for clip, answer in group.items()
    }
    return {"attribute": track, "type": hop, "results": results}


def _judgements(scorer: str, group: dict[str, Answer]) -> dict[str, Any]:
    results = {clip: _judgement(answer) for clip, answer in group.items()}
    no_model = {"temperature": None, "top_p": None, "max_tokens": None}
    return {"judge_model": f"lorascope {scorer}", **no_model, "results": results}


def _judgement(answer: Answer) -> dict[str, str]:
    (score,) = answer.scores.values()
    explanation, judgement = _verdict(score)
    return {
        "Explanation": explanation,
        "Judgement": judgement,
        "instruction": answer.item.question,
        "model_response": answer.response,
        "label": answer.item.answer,
    }


def _verdict(score: Score) -> tuple[str, str]:
    if score.is_unjudged:
        return score.reason or NO_EXPLANATION, NO_JUDGEMENT
    return score.reason, "correct" if score.credit == 1 else "incorrect"


def _text(value: dict[str, Any]) -> list[str]:
    return json.dumps(value, indent=4, ensure_ascii=False, allow_nan=False).split("\n")


# --------------------------------------------------------------------------------------- reading


class SakuraPredictions(PredictionSettings):
    """Results in SAKURA's published format: answers, verdicts of them, or both."""


def read(files: Sequence[Path], items: Sequence[Item], own: Mapping[str, Any]) -> list[Reply]:
    """Return the replies in all files, each with its verdict where that is published, too.

    UserError for a file that holds no such results.
    """
    known: dict[Asked, str] = {}
    for item in items:
        # A shuffled item has the name of its own clip in its ID, whatever it hears.
        key = (item.item_id.partition("/")[2], _words(item.question))
        if known.setdefault(key, item.item_id) != item.item_id:
            known[key] = ""
    found: dict[tuple[str, str], list[Reply]] = {}
    for file in files:
        for reply in _replies(file, known):
            _join(found.setdefault((reply.item, reply.response), []), reply)
    return [reply for alike in found.values() for reply in alike]


def _join(alike: list[Reply], reply: Reply) -> None:
    """Add a reply to those of the same item and words; a verdict joins the answer it is of."""
    for place, other in enumerate(alike):
        if bool(other.published) != bool(reply.published):
            alike[place] = replace(other, published=other.published or reply.published)
            return
    alike.append(reply)


def _replies(file: Path, known: Mapping[Asked, str]) -> Iterator[Reply]:
    whole = read_json(file)
    results = whole.get("results") if isinstance(whole, dict) else None
    if not isinstance(results, dict):
        raise UserError(f"{file}: holds no results of SAKURA, by clip under the key results")
    track, hop = whole.get("attribute"), whole.get("type")
    category = f"{track}-{hop}".lower() if isinstance(track, str) and isinstance(hop, str) else ""
    for clip, result in results.items():
        where = f"{file}: {clip}"
        if not isinstance(result, dict):
            raise UserError(f"{where}: {shown(result)} is no result; expected its keys")
        yield _reply(clip, result, category, where, known)


def _reply(
    clip: str, result: Mapping[str, Any], category: str, where: str, known: Mapping[Asked, str]
) -> Reply:
    question = text_of(result.get("instruction"), where, "instruction")
    key = "model_response" if "model_response" in result else "response"
    stem = PurePosixPath(clip).stem
    item = known.get((stem, _words(question)))
    if item == "":
        raise UserError(f"{where}: clip and question stand for two items of the dataset")
    if item is None or (category and not item.startswith(f"{category}/")):
        item = f"{category}/{stem}: {shown(question, 50)}".lstrip("/")
    said = result.get("Judgement")
    judged = _VERDICT.fullmatch(said) if isinstance(said, str) else None
    return Reply(
        item=item,
        where=where,
        response=text_of(result.get(key), where, key),
        prompt=question,
        published={"": 0.0 if judged[1] else 1.0} if judged else {},
    )


def _words(text: str) -> str:
    """Return a question without what copying changes: blanks at its ends, and their number."""
    return " ".join(text.split())


PREDICTIONS = PredictionFormat(
    settings=SakuraPredictions, read="lorascope.exchange.sakura:read", files="*.json"
)
