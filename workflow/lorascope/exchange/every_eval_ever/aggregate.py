"""The aggregate: who answered what, and the value of each category."""

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from lorascope.exchange.answers import Answered, Score
from lorascope.exchange.every_eval_ever.values import LOCAL, SCHEMA, hub_of, texts, value_of
from lorascope.exchange.jsonl import settings_values
from lorascope.scoring.item_score import ACCURACY, Measure
from lorascope.study.scaling_words import in_words

HARMLESS = "writes what was decided elsewhere"


def aggregate(answered: Answered, model: str, identity: str, retrieved: str) -> dict[str, Any]:
    """Return the aggregate but for its reference to the samples.

    model: as `model_id` has it; identity: the evaluation's; retrieved: now, in seconds since 1970.
    """
    on_hub = not model.startswith(f"{LOCAL}/")
    finished = answered.finished
    return {
        "schema_version": SCHEMA,
        "evaluation_id": identity,
        "retrieved_timestamp": retrieved,
        **({} if finished is None else {"evaluation_timestamp": str(int(finished))}),
        "source_metadata": {
            "source_name": f"lorascope, experiment {answered.id}",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
        },
        "eval_library": {
            "name": "lorascope",
            "version": _version(),
            "additional_details": texts(answered.environment),
        },
        "model_info": {
            "name": _model_name(answered),
            "id": model,
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "open_weights" if on_hub else "unknown",
                **texts({"model": answered.model or None, "adapter": answered.adapter}),
                **texts({"lora_scaling": answered.lora_scaling, "lora_profile": answered.profile}),
                **texts({"strength": answered.strength}),
            },
        },
        "evaluation_results": [
            result
            for category, scores in answered.categories().items()
            if (result := _result(answered, category, scores))
        ],
    }


def _model_name(answered: Answered) -> str:
    """Return model, adapter, and scaling or strength, in words."""
    names = filter(None, [answered.settings.get("model"), answered.settings.get("adapter")])
    name, scaling = " + ".join(names) or answered.id, answered.lora_scaling
    if answered.profile is not None:
        return f"{name} at LoRA scalings {in_words(answered.profile)}"
    if answered.strength is not None:
        return f"{name} at strength {answered.strength:g}"
    return name if scaling is None else f"{name} at LoRA scaling {scaling:g}"


def _version() -> str:
    try:
        return version("lorascope")
    except PackageNotFoundError:
        return "unknown"


def _result(answered: Answered, category: str, scores: Sequence[Score]) -> dict[str, Any] | None:
    """Return a category as an evaluation result; None where it has no value."""
    measure = answered.measure(category)
    value = value_of(measure, scores)
    if value is None:
        return None
    unjudged = sum(score.is_unjudged for score in scores)
    counts = {"total": len(scores), "unjudged": unjudged}
    if measure.has_best:
        counts["correct"] = sum(bool(score.correct) for score in scores)
    return {
        "evaluation_result_id": category,
        "evaluation_name": category,
        "source_data": _data(answered, len(scores)),
        "metric_config": _metric(measure),
        "score_details": {
            "score": value,
            "details": texts(counts),
            "uncertainty": {"num_samples": len(scores)},
        },
        "generation_config": _generation(answered),
    }


def _data(answered: Answered, number: int) -> dict[str, Any]:
    source = answered.data.get("source")
    details = {"additional_details": texts(answered.data)}
    name = {"dataset_name": str(answered.settings["dataset"])}
    if hub := hub_of(source):
        return {**name, "source_type": "hf_dataset", "hf_repo": hub, **details} | {
            "samples_number": number
        }
    return {**name, "source_type": "other", **details}


def _metric(measure: Measure) -> dict[str, Any]:
    kind = re.sub(r"\W+", "_", measure.title.lower()).strip("_")
    lowest: float | str = 0.0 if measure.scale != "plain" or measure.bounded else "-Infinity"
    return {
        "metric_id": kind if measure == ACCURACY else f"lorascope.{kind}",
        "metric_name": measure.title,
        "metric_kind": kind,
        "metric_unit": "proportion" if measure.scale == "percent" else kind,
        "lower_is_better": not measure.higher_is_better,
        "score_type": "continuous",
        "min_score": lowest,
        "max_score": 1.0 if measure.bounded and measure.scale != "exponential" else "Infinity",
    }


def _generation(answered: Answered) -> dict[str, Any]:
    settings = settings_values(answered)
    own = settings.pop("generation", None) or {}
    arguments = {key: own[key] for key in ("temperature", "top_p", "top_k") if key in own}
    if "max_new_tokens" in own:
        arguments["max_tokens"] = own["max_new_tokens"]
    if isinstance(template := answered.model.get("prompt_template"), str):
        arguments["prompt_template"] = template
    is_text = any(answer.is_text for answer in answered.answers)
    return {
        "generation_args": arguments if is_text else {},
        "additional_details": texts(settings | ({"generation": own} if is_text else {})),
    }
