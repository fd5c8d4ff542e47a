"""Prompts to answers."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import PreTrainedModel
from transformers.models.auto.modeling_auto import AutoModelForCausalLM
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError
from lorascope.models import decoding
from lorascope.models.batching import make_batches
from lorascope.models.engine.drift import DriftReader, Reading
from lorascope.models.engine.engine import Engine
from lorascope.models.engine.lanes import Prompt
from lorascope.models.hf_text.windows import windows
from lorascope.models.likelihood import Reader, check_ids, check_room, most_positions, turn_ids
from lorascope.models.pretrained import (
    ANOTHER_DAY,
    ChatTemplateError,
    chat_text,
    check_eos,
    embedding_weight,
    eos_token_ids,
    load_model,
    load_tokenizer,
    refuse_adapter,
)
from lorascope.models.profiles import Scaling
from lorascope.models.protocol import Answer, Answerer, Asked, Dialogue, Question, Room, plain
from lorascope.models.strength import adapting
from lorascope.models.strength.references import Base
from lorascope.models.weights import existing


class TextAnswerer(Answerer):
    """A causal language model with or without LoRA, asked in its own chat template or in plain."""

    def __init__(
        self,
        llm: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        eos_token_ids: Sequence[int],
        settings: Mapping[str, Any],
    ) -> None:
        self.llm, self.tokenizer = llm, tokenizer
        self.eos_token_ids, self.settings = list(eos_token_ids), settings
        self.lora_scaling, self.parameters_adapted = 0.0, 0
        self.reader, self.engine, self.drifts = Reader(llm), Engine(llm), DriftReader(llm)

    def adapt(
        self, adapter: str | None, scaling: Scaling | None, strength: float | None = None
    ) -> None:
        """Answer with an adapter from now on, see ``lorascope.models.strength.adapting.adapt``."""
        if adapter is None:
            refuse_adapter(existing(self.settings, "model", "config.json").parent, "model")
        adapted = adapting.adapt(self.llm, adapter, scaling, strength, self._base())
        self.lora_scaling, self.strength, self.parameters_adapted = adapted

    def _base(self) -> Base:
        def load(folder: Path, dtype: str, key: str) -> PreTrainedModel:
            return _load_llm(folder, "cpu", dtype, key, self.settings["trust_remote_code"])

        return Base(existing(self.settings, "model", "config.json").parent, load)

    def prompt(self, question: Question) -> str:
        """Return the text whose tokens the model continues; BOS may come before it."""
        return self._prompt(question, self.settings["date"])

    @property
    def template_date(self) -> str | None:
        """The day that the chat template takes for today, None where it does not say the date."""
        day: str = self.settings["date"]
        return day if self._prompt("?", day) != self._prompt("?", ANOTHER_DAY) else None

    def _prompt(self, question: Question, day: str) -> str:
        if not self.settings["chat_template"]:
            return self._asked(plain(question))
        turns = self._turns(question)
        try:
            return chat_text(self.tokenizer, self.tokenizer.get_chat_template(), turns, day)
        except ChatTemplateError as error:
            raise UserError(
                f"chat_template: the tokenizer's template refuses the prompt: {error}. "
                "Set system: null or chat_template: false."
            ) from error

    def _asked(self, question: str) -> str:
        template: str = self.settings["prompt_template"]
        return template.replace("{}", question)

    def _turns(self, question: Question) -> list[dict[str, str]]:
        """Return the messages of a prompt; a dialogue's system takes the place of the model's."""
        dialogue = question if isinstance(question, Dialogue) else Dialogue(question)
        system = dialogue.system or self.settings["system"]
        turns = [] if system is None else [{"role": "system", "content": system}]
        for asked, said in dialogue.turns:
            turns.append({"role": "user", "content": self._asked(asked)})
            turns.append({"role": "assistant", "content": said})
        return [*turns, {"role": "user", "content": self._asked(dialogue.question)}]

    def prompt_ids(self, question: Question) -> list[int]:
        """Return the prompt's token ids; UserError where the model cannot take them."""
        return self._ids(self.prompt(question))

    def _ids(self, text: str) -> list[int]:
        # A chat template writes BOS itself: the tokenizer would add a second one.
        special = self.settings["add_special_tokens"] and not self.settings["chat_template"]
        ids: list[int] = self.tokenizer(text, add_special_tokens=special).input_ids
        if not ids:
            raise UserError("prompt_template: an empty prompt has no tokens to continue.")
        if special and ids[-1] in self.eos_token_ids:
            raise UserError(
                "add_special_tokens: the tokenizer ends every prompt with its eos token, after "
                "which there is nothing to say. Set it to false."
            )
        check_ids(self.llm, ids, text)
        return ids

    def effective_generation(
        self, generation: Mapping[str, Any], prompt_tokens: int
    ) -> dict[str, Any]:
        """Return the settings that generation really has.

        A tokenizer without a pad token pads with its eos token, as is said of Llama 3.
        """
        return decoding.effective_generation(
            generation,
            self.eos_token_ids,
            prompt_tokens,
            self.tokenizer.bos_token_id,
            self.tokenizer.pad_token_id,
        )

    @property
    def scales_rows(self) -> bool:
        """Whether rows may have scalings of their own now, see ``lorascope.models.lora``."""
        return self.parameters_adapted > 0 and self.engine.scales_rows

    def decode(
        self, asked: Sequence[Asked], generation: Mapping[str, Any], room: Room
    ) -> Iterator[list[tuple[int, Answer]]]:
        """Answer a lane, see ``lorascope.models.protocol.Answerer``."""
        new = generation["max_new_tokens"]
        prompts = [self._read(row, new) for row in asked]
        return self.engine.answer(self.tokenizer, prompts, generation, self.eos_token_ids, room)

    def _read(self, row: Asked, new_tokens: int) -> Prompt:
        ids = self.prompt_ids(row.question)
        self._check_length(row.question, len(ids), new_tokens)
        return Prompt(len(ids), lambda: self._tensor(ids), ids, row.seed, row.scaling)

    def _tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(ids, device=embedding_weight(self.llm).device)

    def _check_length(self, question: Question, prompt_tokens: int, new_tokens: int) -> None:
        most = most_positions(self.llm)
        if most is not None and prompt_tokens + new_tokens > most:
            raise UserError(
                f"max_new_tokens: {prompt_tokens} tokens of prompt and {new_tokens} new ones are "
                f"more than the model's {most} positions. Lower it, or leave out the item that "
                f"starts {self.prompt(question)[:80]!r}."
            )

    # -------------------------------------------------------------------------- likelihoods

    def choose(
        self,
        questions: Sequence[Question],
        features: Sequence[Tensor | None],
        continuations: Sequence[Sequence[str]],
        scalings: Sequence[Scaling | None] | None = None,
        clips: Sequence[str] | None = None,
    ) -> list[Likelihoods]:
        """Return the likelihoods of one batch, see ``lorascope.models.protocol.Answerer``."""
        pairs = [
            self._pair(q, several) for q, several in zip(questions, continuations, strict=True)
        ]
        most = most_positions(self.llm)
        for question, (prompt, several) in zip(questions, pairs, strict=True):
            check_room(most, len(prompt), several, self.prompt(question))
        rows = [self._tensor(ids) for ids, _ in pairs]
        return self.reader.read(rows, [ids for _, ids in pairs], scalings=scalings)

    def _pair(
        self, question: Question, continuations: Sequence[str]
    ) -> tuple[list[int], list[list[int]]]:
        """Return the ids of a prompt and of each continuation.

        In plain, a continuation is what the prompt's tokens lack of those of the whole text, to
        which the blanks at the prompt's end belong, as in lm-evaluation-harness. After nothing but
        blanks it is read from the token on with which the model begins a text.
        """
        if self.settings["chat_template"]:
            return self.prompt_ids(question), turn_ids(self.tokenizer, self.llm, continuations)
        text = self.prompt(question)
        start = text.rstrip()
        rests = [text[len(start) :] + continuation for continuation in continuations]
        if not start:
            return [self._beginning()], [self._text_ids(rest) for rest in rests]
        prompt = self._ids(start)
        found = [self._ids(start + rest)[len(prompt) :] for rest in rests]
        for ids, continuation in zip(found, continuations, strict=True):
            check_ids(self.llm, ids, continuation)
        return prompt, found

    def _text_ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        check_ids(self.llm, ids, text)
        return ids

    def _beginning(self) -> int:
        """Return the token with which the model begins a text: bos, or else eos."""
        bos: int | None = self.tokenizer.bos_token_id
        return self.eos_token_ids[0] if bos is None else bos

    def loss(
        self,
        questions: Sequence[Question],
        texts: Sequence[str],
        settings: Mapping[str, Any],
        scalings: Sequence[Scaling | None] | None = None,
    ) -> list[Likelihoods]:
        """Return the likelihoods of one batch, see ``lorascope.models.protocol.Answerer``."""
        parts = [
            (number, context, tokens)
            for number, (question, text) in enumerate(zip(questions, texts, strict=True))
            for context, tokens in self._parts(question, text, settings)
        ]
        found: dict[int, list[Likelihoods]] = {number: [] for number in range(len(texts))}
        lengths = [len(context) + len(tokens) for _, context, tokens in parts]
        for batch in make_batches(lengths, len(texts)):
            prompts = [self._tensor(parts[i][1]) for i in batch]
            own = scalings and [scalings[parts[i][0]] for i in batch]
            read = self.reader.read(prompts, [[parts[i][2]] for i in batch], scalings=own)
            for i, likelihoods in zip(batch, read, strict=True):
                found[parts[i][0]].append(likelihoods)
        return [_joined(found[number], bool(question)) for number, question in enumerate(questions)]

    def drift(
        self,
        questions: Sequence[Question],
        features: Sequence[Tensor | None],
        texts: Sequence[str],
        settings: Mapping[str, Any],
        scalings: Sequence[Scaling | None] | None = None,
        clips: Sequence[str] | None = None,
    ) -> list[Likelihoods]:
        """Return the drift of one batch, see ``lorascope.models.protocol.Answerer``."""
        pairs = zip(questions, texts, strict=True)
        items = [[*self._readings(*pair, settings)] for pair in pairs]
        prompts = [len(i[0].ids) if q else 0 for i, q in zip(items, questions, strict=True)]
        return self.drifts.replies(items, prompts, self.tokenizer, scalings)

    def _readings(
        self, question: Question, text: str, settings: Mapping[str, Any]
    ) -> Iterator[Reading]:
        """Yield what is read of an item: one row, or the windows of a long text."""
        over = settings["over"]
        if question and over == "prompt":
            prompt = self.prompt_ids(question)
            check_room(self._window(settings), len(prompt), [], self.prompt(question))
            parts: list[tuple[Sequence[int], Sequence[int]]] = [(prompt, [])]
        else:
            parts = self._parts(question, text, settings)
        for ids, tokens in parts:
            start = 1 if question and over != "answer" else len(ids)
            key = (*ids, -1, *tokens)
            yield Reading(partial(self._tensor, ids), ids, tokens, start, key)

    def _parts(
        self, question: Question, text: str, settings: Mapping[str, Any]
    ) -> list[tuple[Sequence[int], Sequence[int]]]:
        """Return the (context, predicted) ids of a text: one pair, or the windows of a long one."""
        window = self._window(settings)
        if not question:
            tokens = self._text_ids(text)
            return [*windows(tokens, self._beginning(), window, settings["context"])]
        prompt, (tokens,) = self._pair(question, [text])
        check_room(window, len(prompt), [tokens], self.prompt(question))
        return [(prompt, tokens)]

    def _window(self, settings: Mapping[str, Any]) -> int:
        """Return the most tokens that are read at once; UserError where the model cannot."""
        most, window = most_positions(self.llm), settings["window"]
        found = most if window is None else int(window)
        if found is None:
            raise UserError(
                "loss.window: the model's config.json does not say how many positions it has; set "
                "the window."
            )
        if most is not None and found > most:
            raise UserError(f"loss.window: {found} is more than the model's {most} positions.")
        if settings["context"] >= found:
            raise UserError(
                f"loss.context: {settings['context']} leaves no room in a window of {found}."
            )
        return found


def _joined(parts: Sequence[Likelihoods], asked: bool) -> Likelihoods:
    """Return the likelihood of a text that was read in parts."""
    return Likelihoods(
        sums=(sum(part.sums[0] for part in parts),),
        tokens=(sum(part.tokens[0] for part in parts),),
        greedy=(all(part.greedy[0] for part in parts),),
        prompt_tokens=parts[0].prompt_tokens if asked else 0,
    )


def load(
    settings: Mapping[str, Any],
    device: str,
    dtype: str,
    lora_scaling: Scaling | None,
    adapter: str | None,
    strength: float | None = None,
) -> TextAnswerer:
    """Load the answerer that ``lorascope.models.hf_text`` describes; UserError for a misfit."""
    template = settings["prompt_template"]
    if template.count("{}") != 1:
        raise UserError(f"prompt_template: {template!r} needs exactly one {{}} for the question.")
    if settings["system"] is not None and not settings["chat_template"]:
        raise UserError("system: needs chat_template: true; put the text into prompt_template.")
    folder = existing(settings, "model", "config.json").parent
    if adapter is None:
        refuse_adapter(folder, "model")
    trust = settings["trust_remote_code"]
    tokenizer = load_tokenizer(folder, "model", trust)
    if settings["chat_template"] and not tokenizer.chat_template:
        raise UserError(
            f"chat_template: the tokenizer in {folder} has none. Set chat_template: false, or use "
            "the model's chat version."
        )
    eos = eos_token_ids(tokenizer, folder, "model")
    llm = _load_llm(folder, device, dtype, "model", trust)
    check_eos(llm, eos, folder, "model")
    answerer = TextAnswerer(llm, tokenizer, eos, settings)
    answerer.adapt(adapter, lora_scaling, strength)
    return answerer


def _load_llm(folder: Path, device: str, dtype: str, key: str, trust: bool) -> PreTrainedModel:
    llm: PreTrainedModel = load_model(AutoModelForCausalLM, folder, device, dtype, key, trust)
    return llm
