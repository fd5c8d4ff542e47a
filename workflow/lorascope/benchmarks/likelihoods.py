"""What a model says of texts that it is given, instead of a text of its own."""

from dataclasses import dataclass

HARMLESS = "types"


@dataclass(frozen=True)
class Likelihoods:
    """Log-likelihoods (natural) of an item's continuations, each after its question.

    sums: of each continuation, over its tokens. Not finite where the model's numbers are not.
    tokens: the number of its tokens.
    greedy: whether each of its tokens is the likeliest one after those before it.
    prompt_tokens: positions of the question, audio included; 0 where there is none.
    """

    sums: tuple[float, ...]
    tokens: tuple[int, ...]
    greedy: tuple[bool, ...]
    prompt_tokens: int = 0
