"""A task's settings of generation, in the words of a study."""

from collections.abc import Mapping
from typing import Any

from lorascope.errors import UserError

LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""The harness's names for one thing, the first that is given counts."""
DEFAULT_LENGTH = 256
SAMPLING = ("temperature", "top_p", "top_k")
OTHERS = ("num_beams", "repetition_penalty", "length_penalty")


def generation_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of generation for a task's generation_kwargs, read as the harness reads them.

    As in `lm_eval.models.utils.normalize_gen_kwargs`, without do_sample a temperature above 0 asks
    for sampling. UserError for a key that a study does not have.
    """
    rest = {key: value for key, value in given.items() if value is not None}
    until = rest.pop("until", [])
    found: dict[str, Any] = {"stop": [text for text in _listed(until) if text]}
    lengths = [int(rest.pop(name)) for name in LENGTHS if name in rest]
    found["max_new_tokens"] = lengths[0] if lengths else DEFAULT_LENGTH
    warm = float(rest.get("temperature", 0)) > 0
    found["do_sample"] = bool(rest.pop("do_sample", warm))
    sampling = {key: rest.pop(key) for key in SAMPLING if key in rest}
    if found["do_sample"]:
        if "temperature" in sampling and not warm:
            raise UserError(
                "generation_kwargs: do_sample with temperature 0 is neither sampling nor greedy"
            )
        found |= {"temperature": 1.0, **sampling}
    found |= {key: rest.pop(key) for key in OTHERS if key in rest}
    if rest:
        raise UserError(f"generation_kwargs: {', '.join(rest)} has no counterpart here")
    return found


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
