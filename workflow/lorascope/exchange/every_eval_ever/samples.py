"""The samples: a line for each answer and metric."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from lorascope.exchange.answers import Answer, Answered, Score
from lorascope.exchange.every_eval_ever.values import SCHEMA, texts, value_of

HARMLESS = "writes what was decided elsewhere"


def samples(answered: Answered, model: str, identity: str) -> Iterator[dict[str, Any]]:
    """Yield the line of each score that is a number, of the categories that have a value.

    model: as `model_id` has it; identity: the aggregate's evaluation.
    """
    groups = answered.categories().items()
    kept = {c for c, own in groups if value_of(answered.measure(c), own) is not None}
    for answer in answered.answers:
        for metric, score in answer.scores.items():
            value = value_of(answered.measure(score.category), [score])
            if value is not None and score.category in kept:
                yield {
                    "schema_version": SCHEMA,
                    "evaluation_id": identity,
                    "model_id": model,
                    "evaluation_name": score.category,
                    "evaluation_result_id": score.category,
                    "sample_id": answer.item.item_id,
                    "sample_hash": _sample_hash(answer),
                    "input": _input(answer),
                    **_exchange(answer),
                    "answer_attribution": _attribution(answered, answer, score),
                    "evaluation": {
                        "score": value,
                        "is_correct": bool(score.correct),
                        "num_turns": len(answer.item.turns) + 1,
                    },
                    "token_usage": _tokens(answer),
                    "error": score.reason if score.status == "nonfinite" else None,
                    "metadata": _metadata(answer, metric, score),
                }


def _references(answer: Answer) -> list[str]:
    item = answer.item
    return [*(item.answers if answer.is_text or item.options else item.continuations)]


def _sample_hash(answer: Answer) -> str:
    """Return a hash of question and gold answers, by which runs of the same item are known."""
    asked = {"raw": answer.item.question, "reference": _references(answer)}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _input(answer: Answer) -> dict[str, Any]:
    choices = [text for _, text in answer.item.options]
    return {
        "raw": answer.item.question,
        "formatted": answer.prompt,
        "reference": _references(answer),
        "choices": choices or None,
    }


def _exchange(answer: Answer) -> dict[str, Any]:
    """Return what was said: one output, or the messages of a dialogue."""
    if not answer.item.turns:
        said = [answer.response] if answer.is_text or answer.response else []
        return {"interaction_type": "single_turn", "output": {"raw": said}, "messages": None}
    item, messages = answer.item, []
    if item.system:
        messages.append(("system", item.system))
    for question, reply in (*item.turns, (item.question, answer.response)):
        messages += [("user", question), ("assistant", reply)]
    told = [
        {"turn_idx": place, "role": role, "content": content}
        for place, (role, content) in enumerate(messages)
    ]
    return {"interaction_type": "multi_turn", "output": None, "messages": told}


def _attribution(answered: Answered, answer: Answer, score: Score) -> list[dict[str, Any]]:
    """Return what was taken from the response; nothing of one that was not said."""
    if not answer.response:
        return []
    turns = len(answer.item.turns)
    place = 2 * turns + 1 + bool(answer.item.system) if turns else 0
    options = dict(answer.item.options)
    taken = options.get(score.choice or "", score.choice or answer.response)
    return [
        {
            "turn_idx": place,
            "source": f"messages[{place}].content" if turns else "output.raw",
            "extracted_value": taken,
            "extraction_method": "llm_judge" if score.judge else answered.scorer,
            "is_terminal": True,
        }
    ]


def _tokens(answer: Answer) -> dict[str, int] | None:
    """Return the numbers of tokens, None where nobody counted them."""
    asked, said = answer.prompt_tokens, answer.response_tokens
    if not asked or said is None:
        return None
    return {"input_tokens": asked, "output_tokens": said, "total_tokens": asked + said}


def _metadata(answer: Answer, metric: str, score: Score) -> dict[str, str]:
    item = answer.item
    values = {
        "category": item.category,
        "metric": metric,
        "label": item.label,
        "clip": item.clip,
        "clip_sha256": item.clip_sha256,
        "clip_seconds": item.clip_seconds or "",
        "finish_reason": answer.finish_reason,
        "status": score.status,
        "choice": score.choice,
        "reason": score.reason,
        "judge": score.judge,
        "weight": score.weight if score.weight != 1 else "",
        "margin": score.margin,
        "loglikelihoods": answer.loglikelihoods,
    }
    return {key: text for key, text in texts(values).items() if text}
