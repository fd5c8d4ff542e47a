"""Questions about features to answers."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import PreTrainedModel

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError, listing
from lorascope.models import decoding, lora
from lorascope.models.adapter_config import CONFIG
from lorascope.models.hf_audio.architecture import load_full, on_device, verify
from lorascope.models.hf_audio.listening import audio_part, heard
from lorascope.models.hf_audio.prompting import Prompter, load_prompter
from lorascope.models.likelihood import Reader, check_room, most_positions, turn_ids
from lorascope.models.pretrained import check_eos, embedding_weight, eos_token_ids
from lorascope.models.protocol import Answer, Answerer, Dialogue, Question
from lorascope.models.weights import existing

log = logging.getLogger("lorascope")


class AudioAnswerer(Answerer):
    """An audio language model with or without LoRA, asked in its processor's chat template."""

    def __init__(
        self, model: PreTrainedModel, prompter: Prompter, eos_token_ids: Sequence[int]
    ) -> None:
        self.model, self.prompter = model, prompter
        self.eos_token_ids = list(eos_token_ids)
        self.lora_scaling, self.parameters_adapted = 0.0, 0
        self.reader = Reader(model)

    def adapt(self, adapter: str | Path | None, scaling: float | None) -> None:
        """Answer with an adapter from now on, see ``lorascope.models.lora.adapt``."""
        self.lora_scaling, self.parameters_adapted = lora.adapt(self.model, adapter, scaling)

    def adapted_outside(self) -> list[str]:
        """Return the names of the adapted layers that are not the language model's."""
        decoder = self.model.get_decoder()
        part = audio_part(decoder)
        inside = {*decoder.modules(), *self.model.get_output_embeddings().modules()}
        inside -= set() if part is None else {*part.modules()}
        layers = lora.lora_layers(self.model)
        return [name for name, layer in layers.items() if layer not in inside]

    def prompt(self, question: Question) -> str:
        """Return the prompt's text, with the processor's audio token where the audio goes."""
        return self.prompter.text(question)

    def effective_generation(
        self, generation: Mapping[str, Any], prompt_tokens: int
    ) -> dict[str, Any]:
        """Return the settings that generation really has."""
        tokenizer = self.prompter.tokenizer
        return decoding.effective_generation(
            generation,
            self.eos_token_ids,
            prompt_tokens,
            tokenizer.bos_token_id,
            tokenizer.pad_token_id,
        )

    @property
    def template_date(self) -> str | None:
        """The day that the chat template takes for today, None where it does not say the date."""
        return self.prompter.template_date

    def embed(self, question: Question, features: Tensor) -> Tensor:
        """Return the embeddings [positions, width] of a prompt.

        ``features`` are the encoder's: audio embeddings [audio tokens, width], or a waveform
        [samples, 1] that the audio encoder has yet to hear.
        """
        text = self.prompt(question)
        if features.shape[1] == 1:
            return heard(
                self.model,
                on_device(self.prompter.inputs(text, features[:, 0].numpy()), self.model),
            )
        return self._merge(self.prompter.ids(text, len(features)), features)

    @torch.inference_mode()
    def _merge(self, ids: Sequence[int], features: Tensor) -> Tensor:
        """Return the embeddings of a prompt's tokens, the audio's in the places of its token."""
        embedding = self.model.get_input_embeddings()
        width = self.model.config.get_text_config(decoder=True).hidden_size
        if features.shape[1] != width:
            raise UserError(
                f"features of width {features.shape[1]} for a language model of width {width}: "
                "encode the clips with this model."
            )
        tokens = torch.tensor(ids, device=embedding_weight(self.model).device)
        is_audio = tokens == self.prompter.audio_token_id
        # As Granite Speech does: its audio token lies beyond its vocabulary.
        embeddings = embedding(tokens.masked_fill(is_audio, 0))
        embeddings[is_audio] = features.to(embeddings.device, embeddings.dtype)
        return embeddings

    def answer(
        self,
        questions: Sequence[Question],
        features: Sequence[Tensor | None],
        generation: Mapping[str, Any],
        seeds: Sequence[int],
    ) -> list[Answer]:
        """Answer one batch, see ``lorascope.models.protocol.Answerer``."""
        rows = self._rows(questions, features)
        self._check_positions(max(map(len, rows)), generation["max_new_tokens"])
        tokenizer = self.prompter.tokenizer
        return decoding.respond(self.model, tokenizer, rows, generation, self.eos_token_ids, seeds)

    def choose(
        self,
        questions: Sequence[Question],
        features: Sequence[Tensor | None],
        continuations: Sequence[Sequence[str]],
    ) -> list[Likelihoods]:
        """Return the likelihoods of one batch, see ``lorascope.models.protocol.Answerer``."""
        rows = self._rows(questions, features)
        tokenizer = self.prompter.tokenizer
        ids = [turn_ids(tokenizer, self.model, several) for several in continuations]
        for question, row, several in zip(questions, rows, ids, strict=True):
            asked = question.question if isinstance(question, Dialogue) else question
            check_room(most_positions(self.model), len(row), several, asked)
        longest = max(len(tokens) for several in ids for tokens in several)
        self._check_positions(max(map(len, rows)), longest)
        return self.reader.read(rows, ids)

    def _rows(
        self, questions: Sequence[Question], features: Sequence[Tensor | None]
    ) -> list[Tensor]:
        clips = decoding.about_clips(features)
        return [self.embed(q, clip) for q, clip in zip(questions, clips, strict=True)]

    def _check_positions(self, prompt: int, new: int) -> None:
        """UserError for rows of a length from which the model turns a whole batch otherwise.

        Phi-4-multimodal has one set of rotary frequencies for short rows and one for long ones.
        """
        config = self.model.config.get_text_config(decoder=True)
        limit = getattr(config, "original_max_position_embeddings", None)
        if limit is not None and prompt + new > limit:
            raise UserError(
                f"a prompt of {prompt} positions and an answer of up to {new} tokens exceed the "
                f"{limit} positions that {config.model_type} was trained with. Use shorter clips, "
                "or a lower max_new_tokens."
            )


def load(
    settings: Mapping[str, Any],
    device: str,
    dtype: str,
    lora_scaling: float | None,
    adapter: str | None,
) -> AudioAnswerer:
    """Load the answerer that ``lorascope.models.hf_audio`` describes; UserError for a misfit."""
    folder = existing(settings, "model", "config.json").parent
    trust = settings["trust_remote_code"]
    prompter = load_prompter(folder, settings["system"], trust, settings["date"])
    eos = eos_token_ids(prompter.tokenizer, folder, "model")
    model = load_full(folder, device, dtype, trust)
    check_eos(model, eos, folder, "model")
    verify(model, prompter)
    answerer = AudioAnswerer(model, prompter, eos)
    chosen = _adapter(folder, adapter)
    answerer.adapt(chosen, lora_scaling)
    outside = answerer.adapted_outside()
    if outside and settings["encode_once"]:
        raise UserError(
            f"encode_once: {chosen} adapts the audio encoder ({listing(outside)}), so that "
            "features encoded once are not its own. Set encode_once: false of the model."
        )
    return answerer


def _adapter(folder: Path, adapter: str | None) -> str | Path | None:
    """Return the adapter to answer with: the study's, else the one that lies with the model."""
    own = (folder / CONFIG).exists()
    if adapter is None and own:
        log.info("%s: answering with the adapter that lies with the model", folder)
        return folder
    if adapter is not None and own and Path(adapter).resolve() != folder.resolve():
        log.info("%s: replaces the adapter that lies with the model in %s", adapter, folder)
    return adapter
