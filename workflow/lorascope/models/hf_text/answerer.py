"""Prompts to answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import PreTrainedModel
from transformers.models.auto.modeling_auto import AutoModelForCausalLM
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lorascope.errors import UserError
from lorascope.models import decoding, lora
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
from lorascope.models.protocol import Answer, Answerer, Question, plain
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

    def adapt(self, adapter: str | None, scaling: float | None) -> None:
        """Answer with an adapter from now on, see ``lorascope.models.lora.adapt``."""
        self.lora_scaling, self.parameters_adapted = lora.adapt(self.llm, adapter, scaling)

    def prompt(self, question: Question) -> str:
        """Return the text whose tokens the model continues; BOS may come before it."""
        return self._prompt(plain(question), self.settings["date"])

    @property
    def template_date(self) -> str | None:
        """The day that the chat template takes for today, None where it does not say the date."""
        day: str = self.settings["date"]
        return day if self._prompt("?", day) != self._prompt("?", ANOTHER_DAY) else None

    def _prompt(self, question: str, day: str) -> str:
        text = self.settings["prompt_template"].replace("{}", question)
        if not self.settings["chat_template"]:
            return text
        system = self.settings["system"]
        turns = [] if system is None else [{"role": "system", "content": system}]
        turns.append({"role": "user", "content": text})
        try:
            return chat_text(self.tokenizer, self.tokenizer.get_chat_template(), turns, day)
        except ChatTemplateError as error:
            raise UserError(
                f"chat_template: the tokenizer's template refuses the prompt: {error}. "
                "Set system: null or chat_template: false."
            ) from error

    def prompt_ids(self, question: Question) -> list[int]:
        """Return the prompt's token ids; UserError where the model cannot take them."""
        text = self.prompt(question)
        # A chat template writes BOS itself: the tokenizer would add a second one.
        special = self.settings["add_special_tokens"] and not self.settings["chat_template"]
        ids = self.tokenizer(text, add_special_tokens=special).input_ids
        if not ids:
            raise UserError("prompt_template: an empty prompt has no tokens to continue.")
        if special and ids[-1] in self.eos_token_ids:
            raise UserError(
                "add_special_tokens: the tokenizer ends every prompt with its eos token, after "
                "which there is nothing to say. Set it to false."
            )
        if max(ids) >= len(embedding_weight(self.llm)):
            raise UserError(
                f"model: its tokenizer gives the id {max(ids)}, which the model does not have. "
                "Are both from one model?"
            )
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

    def answer(
        self,
        questions: Sequence[Question],
        features: Sequence[Tensor | None],
        generation: Mapping[str, Any],
        seeds: Sequence[int],
    ) -> list[Answer]:
        """Answer one batch, see ``lorascope.models.protocol.Answerer``."""
        prompts = [self.prompt_ids(question) for question in questions]
        for question, ids in zip(questions, prompts, strict=True):
            self._check_length(question, len(ids), generation["max_new_tokens"])
        device = embedding_weight(self.llm).device
        rows = [torch.tensor(ids, device=device) for ids in prompts]
        completions = decoding.generate(self.llm, rows, generation, self.eos_token_ids, seeds)
        return decoding.answers(self.tokenizer, rows, completions)

    def _check_length(self, question: Question, prompt_tokens: int, new_tokens: int) -> None:
        config = self.llm.config.get_text_config()
        most = getattr(config, "max_position_embeddings", None)
        if most is not None and prompt_tokens + new_tokens > most:
            raise UserError(
                f"max_new_tokens: {prompt_tokens} tokens of prompt and {new_tokens} new ones are "
                f"more than the model's {most} positions. Lower it, or leave out the item that "
                f"starts {self.prompt(question)[:80]!r}."
            )


def load(
    settings: Mapping[str, Any],
    device: str,
    dtype: str,
    lora_scaling: float | None,
    adapter: str | None,
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
    llm = load_model(AutoModelForCausalLM, folder, device, dtype, "model", trust)
    check_eos(llm, eos, folder, "model")
    answerer = TextAnswerer(llm, tokenizer, eos, settings)
    answerer.adapt(adapter, lora_scaling)
    return answerer
