"""Questions about features to answers."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import PreTrainedModel

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError, listing
from lorascope.models import decoding
from lorascope.models.adapter_config import CONFIG
from lorascope.models.engine.drift import DriftReader, Reading
from lorascope.models.engine.engine import Engine
from lorascope.models.engine.lanes import Prompt, clip_keys
from lorascope.models.hf_audio.architecture import load_full, on_device, verify
from lorascope.models.hf_audio.listening import audio_part, heard
from lorascope.models.hf_audio.prompting import Prompter, load_prompter
from lorascope.models.likelihood import Reader, check_room, most_positions, turn_ids
from lorascope.models.pretrained import check_eos, embedding_weight, eos_token_ids
from lorascope.models.profiles import Scaling
from lorascope.models.protocol import (
    Answer,
    Answerer,
    Asked,
    Question,
    Room,
    last_turn,
    rows_asked,
)
from lorascope.models.strength import adapting
from lorascope.models.strength.references import Base
from lorascope.models.weights import existing

log = logging.getLogger("lorascope")

_HEARD = 64
"""Clips that are heard before the questions about them are answered, where they are heard anew."""


class AudioAnswerer(Answerer):
    """An audio language model with or without LoRA, asked in its processor's chat template.

    ``base`` is where its files lie; ``encode_once`` says that the clips it is asked about were
    encoded once for all adapters.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        prompter: Prompter,
        eos_token_ids: Sequence[int],
        base: Base,
        encode_once: bool,
    ) -> None:
        self.base, self.encode_once = base, encode_once
        self.model, self.prompter = model, prompter
        self.eos_token_ids = list(eos_token_ids)
        self.lora_scaling, self.parameters_adapted = 0.0, 0
        self.reader, self.engine, self.drifts = Reader(model), Engine(model), DriftReader(model)

    def adapt(
        self, adapter: str | None, scaling: Scaling | None, strength: float | None = None
    ) -> None:
        """Answer with an adapter from now on, see ``lorascope.models.strength.adapting.adapt``.

        None is the one that lies with the model, if any. UserError, too, for one that adapts the
        audio encoder where clips are encoded once.
        """
        chosen = _adapter(self.base.folder, adapter)
        adapted = adapting.adapt(self.model, chosen, scaling, strength, self.base)
        self.lora_scaling, self.strength, self.parameters_adapted = adapted
        if self.encode_once and (outside := self.adapted_outside()):
            adapting.detach(self.model, self.base)
            raise UserError(
                f"encode_once: {chosen} adapts the audio encoder ({listing(outside)}), so that "
                "features encoded once are not its own. Set encode_once: false of the model."
            )

    def adapted_outside(self) -> list[str]:
        """Return the names of the adapted modules that are not the language model's."""
        decoder = self.model.get_decoder()
        part = audio_part(decoder)
        inside = {*decoder.modules(), *self.model.get_output_embeddings().modules()}
        inside -= set() if part is None else {*part.modules()}
        modules = adapting.adapted_modules(self.model) if self.parameters_adapted else {}
        return [name for name, module in modules.items() if module not in inside]

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
        self._check_width(features)
        embedding = self.model.get_input_embeddings()
        tokens = torch.tensor(ids, device=embedding_weight(self.model).device)
        is_audio = tokens == self.prompter.audio_token_id
        # As Granite Speech does: its audio token lies beyond its vocabulary.
        embeddings = embedding(tokens.masked_fill(is_audio, 0))
        embeddings[is_audio] = features.to(embeddings.device, embeddings.dtype)
        return embeddings

    def _check_width(self, features: Tensor) -> None:
        width = self.model.config.get_text_config(decoder=True).hidden_size
        if features.shape[1] != width:
            raise UserError(
                f"features of width {features.shape[1]} for a language model of width {width}: "
                "encode the clips with this model."
            )

    @property
    def scales_rows(self) -> bool:
        """Whether rows may have scalings of their own now, see ``lorascope.models.lora``."""
        return self.parameters_adapted > 0 and self.engine.scales_rows

    def decode(
        self, asked: Sequence[Asked], generation: Mapping[str, Any], room: Room
    ) -> Iterator[list[tuple[int, Answer]]]:
        """Answer a lane, see ``lorascope.models.protocol.Answerer``."""
        clips = decoding.about_clips([row.features for row in asked])
        new = generation["max_new_tokens"]
        unheard = any(clip.shape[1] == 1 for clip in clips)
        size = _HEARD if unheard else max(1, len(asked))
        for start in range(0, len(asked), size):
            part = slice(start, start + size)
            prompts = [
                self._read(row, clip) for row, clip in zip(asked[part], clips[part], strict=True)
            ]
            self._check_positions(max(prompt.length for prompt in prompts), new)
            for found in self.engine.answer(
                self.prompter.tokenizer, prompts, generation, self.eos_token_ids, room
            ):
                yield [(start + i, answer) for i, answer in found]

    def _read(self, row: Asked, features: Tensor) -> Prompt:
        if features.shape[1] == 1:  # how long it is shows once it is heard
            embeddings = self.embed(row.question, features)
            return Prompt(len(embeddings), lambda: embeddings, (), row.seed, row.scaling)
        self._check_width(features)
        ids = self.prompter.ids(self.prompt(row.question), len(features))
        audio = iter(clip_keys(row.clip, len(features)))
        keys = [next(audio, i) if i == self.prompter.audio_token_id else i for i in ids]
        return Prompt(len(ids), lambda: self._merge(ids, features), keys, row.seed, row.scaling)

    def choose(
        self,
        questions: Sequence[Question],
        features: Sequence[Tensor | None],
        continuations: Sequence[Sequence[str]],
        scalings: Sequence[Scaling | None] | None = None,
        clips: Sequence[str] | None = None,
    ) -> list[Likelihoods]:
        """Return the likelihoods of one batch, see ``lorascope.models.protocol.Answerer``."""
        heard = decoding.about_clips(features)
        rows = rows_asked(questions, features, scalings, clips)
        prompts = [self._read(row, clip) for row, clip in zip(rows, heard, strict=True)]
        tokenizer = self.prompter.tokenizer
        ids = [turn_ids(tokenizer, self.model, several) for several in continuations]
        for question, prompt, several in zip(questions, prompts, ids, strict=True):
            check_room(most_positions(self.model), prompt.length, several, last_turn(question))
        longest = max(len(tokens) for several in ids for tokens in several)
        self._check_positions(max(prompt.length for prompt in prompts), longest)
        return self.reader.choose(prompts, ids)

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
        heard = decoding.about_clips(features)
        rows = rows_asked(questions, features, scalings, clips)
        readings = [
            self._reading(row, clip, text, settings["over"])
            for row, clip, text in zip(rows, heard, texts, strict=True)
        ]
        self._check_positions(max(reading.length for reading in readings), 1)
        prompts = [len(reading.ids) for reading in readings]
        items = [[reading] for reading in readings]
        return self.drifts.replies(items, prompts, self.prompter.tokenizer, scalings)

    def _reading(self, row: Asked, features: Tensor, text: str, over: str) -> Reading:
        prompt = self.prompt(row.question)
        if unheard := features.shape[1] == 1:
            inputs = self.prompter.inputs(prompt, features[:, 0].numpy())
            positions = inputs["input_ids"][0].tolist()
        else:
            positions = self.prompter.ids(prompt, len(features))
        ids = [None if i == self.prompter.audio_token_id else i for i in positions]
        audio = iter(clip_keys("" if unheard else row.clip, len(ids)))
        keys = [next(audio) if i is None else i for i in ids]
        texts = [] if over == "prompt" else [text]
        [tokens] = turn_ids(self.prompter.tokenizer, self.model, texts) or [[]]
        check_room(most_positions(self.model), len(ids), [tokens], last_turn(row.question))
        start = len(ids) if over == "answer" else 1
        read = partial(self.embed, row.question, features)
        return Reading(read, ids, tokens, start, (*keys, *tokens))

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
    lora_scaling: Scaling | None,
    adapter: str | None,
    strength: float | None = None,
) -> AudioAnswerer:
    """Load the answerer that ``lorascope.models.hf_audio`` describes; UserError for a misfit."""
    folder = existing(settings, "model", "config.json").parent
    trust = settings["trust_remote_code"]
    prompter = load_prompter(folder, settings["system"], trust, settings["date"])
    eos = eos_token_ids(prompter.tokenizer, folder, "model")
    model = load_full(folder, device, dtype, trust)
    check_eos(model, eos, folder, "model")
    verify(model, prompter)
    base = Base(folder, lambda place, kind, key: load_full(place, "cpu", kind, trust, key))
    answerer = AudioAnswerer(model, prompter, eos, base, settings["encode_once"])
    answerer.adapt(adapter, lora_scaling, strength)
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
