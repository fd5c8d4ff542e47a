"""Examples as token ids, with labels on what is to be learnt."""

from collections.abc import Mapping, Sequence
from typing import Any

from lorascope.benchmarks.examples import Conversation, Example, Pair
from lorascope.errors import UserError
from lorascope.models.finetuning.batches import IGNORED, Row, fitting
from lorascope.models.hf_text.answerer import TextAnswerer
from lorascope.models.pretrained import ChatTemplateError, chat_text


def encode(answerer: TextAnswerer, examples: Sequence[Example], sequence_length: int) -> list[Row]:
    """Return the examples as {input_ids, attention_mask, labels}, as far as they are fitting."""
    return fitting([encode_example(answerer, example) for example in examples], sequence_length)


def encode_example(answerer: TextAnswerer, example: Example) -> Row:
    """Return one example; its prompt has the very tokens that the model is asked with."""
    if isinstance(example, Pair):
        return _row(*_pair(answerer, example))
    return _row(*_conversation(answerer, example))


def _row(ids: list[int], labels: list[int]) -> Row:
    # Nothing comes before the first token from which it could be predicted.
    return {
        "input_ids": ids,
        "attention_mask": [1] * len(ids),
        "labels": [IGNORED, *labels[1:]],
    }


def _pair(answerer: TextAnswerer, pair: Pair) -> tuple[list[int], list[int]]:
    try:
        prompt = answerer.prompt_ids(pair.prompt)
    except UserError as error:
        raise UserError(f"{pair.where}: {error}") from error
    # On its own, not after the prompt's text: an answer begins with a token of its own too.
    response = answerer.tokenizer(pair.response, add_special_tokens=False).input_ids
    response = [*response, answerer.eos_token_ids[0]]
    return prompt + response, [IGNORED] * len(prompt) + response


def _conversation(
    answerer: TextAnswerer, conversation: Conversation
) -> tuple[list[int], list[int]]:
    """Label what the chat template adds for each turn of the assistant, its end included."""
    turns, system = list(conversation.messages), answerer.settings["system"]
    if system is not None and turns[0]["role"] != "system":
        turns.insert(0, {"role": "system", "content": system})
    ids: list[int] = []
    labels: list[int] = []
    for number, turn in enumerate(turns):
        if turn["role"] == "assistant":
            asked = _chat(answerer, turns[:number], conversation.where, prompt=True)
            answered = _chat(answerer, turns[: number + 1], conversation.where, prompt=False)
            if answered[: len(asked)] != asked or asked[: len(ids)] != ids:
                raise UserError(
                    f"{conversation.where}: the tokenizer's chat template rewrites earlier turns, "
                    "so that what the assistant says cannot be told apart; give it as a prompt "
                    "and a response"
                )
            labels += [IGNORED] * (len(asked) - len(ids)) + answered[len(asked) :]
            ids = answered
    return ids, labels


def _chat(
    answerer: TextAnswerer, turns: Sequence[Mapping[str, str]], where: str, prompt: bool
) -> list[int]:
    tokenizer: Any = answerer.tokenizer
    if not tokenizer.chat_template:
        raise UserError(
            f"{where}: a conversation needs a chat template, and the model's tokenizer has none; "
            "give prompts and responses"
        )
    try:
        day = answerer.settings["date"]
        text = chat_text(tokenizer, tokenizer.get_chat_template(), turns, day, prompt)
    except ChatTemplateError as error:
        raise UserError(f"{where}: the tokenizer's chat template refuses it: {error}") from error
    # The template writes BOS itself.
    return tokenizer(text, add_special_tokens=False).input_ids
