"""Clips to what is said in them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessor,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
)
from transformers.modeling_outputs import BaseModelOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError, listing, shown
from lorascope.models import decoding
from lorascope.models.hf_speech.prompting import Start, read_start
from lorascope.models.hf_speech.reading import transcripts
from lorascope.models.hf_speech.recogniser import (
    Ears,
    encode,
    encoded,
    folder_of,
    generation_of,
    load_recogniser,
)
from lorascope.models.likelihood import check_ids
from lorascope.models.pretrained import (
    check_eos,
    embedding_weight,
    eos_token_ids,
    load_tokenizer,
    refuse_adapter,
)
from lorascope.models.profiles import Scaling
from lorascope.models.protocol import Answer, Answerer, Asked, Question, Room, plain
from lorascope.models.row_scalings import row_scalings, scales_rows
from lorascope.models.strength import adapting
from lorascope.models.strength.references import Base
from lorascope.models.weights import UNREADABLE, first_line
from lorascope.storage.files import read_object


class SpeechAnswerer(Answerer):
    """A recogniser with or without LoRA.

    ``folder`` is that of its files; ``encode_once`` says that the clips it is asked about were
    encoded once for all adapters.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        ears: Ears,
        tokenizer: PreTrainedTokenizerBase,
        eos_token_ids: Sequence[int],
        start: Start,
        folder: Path,
        encode_once: bool,
    ) -> None:
        self.folder, self.encode_once = folder, encode_once
        # Any: which methods a model has is known to its class alone.
        self.model: Any = model
        self.ears, self.tokenizer, self.start = ears, tokenizer, start
        self.eos_token_ids = list(eos_token_ids)
        self.lora_scaling, self.parameters_adapted = 0.0, 0

    def adapt(
        self,
        adapter: str | Path | None,
        scaling: Scaling | None,
        strength: float | None = None,
    ) -> None:
        """Answer with an adapter from now on, see ``lorascope.models.strength.adapting.adapt``.

        UserError, too, for one that adapts the encoder where clips are encoded once.
        """
        if adapter is None:
            refuse_adapter(self.folder, "model")
        base = Base(self.folder, lambda place, kind, key: load_recogniser(place, "cpu", kind, key))
        adapted = adapting.adapt(self.model, adapter, scaling, strength, base)
        self.lora_scaling, self.strength, self.parameters_adapted = adapted
        if self.encode_once and (outside := self.adapted_outside()):
            adapting.detach(self.model, base)
            raise UserError(
                f"encode_once: {adapter} adapts the encoder ({listing(outside)}), so that features "
                "encoded once are not its own. Set encode_once: false of the model."
            )

    def adapted_outside(self) -> list[str]:
        """Return the names of the adapted modules that are the encoder's."""
        if not self.parameters_adapted:
            return []
        inside = {*self.model.get_encoder().modules()}
        modules = adapting.adapted_modules(self.model)
        return [name for name, module in modules.items() if module in inside]

    def prompt(self, question: Question) -> str:
        """Return the tokens with which the decoder starts; UserError for a question."""
        _refuse_questions([question])
        tokens = [
            "<|language|>" if i is None else str(self.tokenizer.decode([i])) for i in self.start.ids
        ]
        return "".join(tokens)

    def effective_generation(
        self, generation: Mapping[str, Any], prompt_tokens: int
    ) -> dict[str, Any]:
        """Return the settings that generation really has."""
        return decoding.effective_generation(
            generation,
            self.eos_token_ids,
            prompt_tokens,
            self.tokenizer.bos_token_id,
            self.tokenizer.pad_token_id,
        )

    @property
    def scales_rows(self) -> bool:
        """Whether rows may have scalings of their own now: where the decoder alone is adapted."""
        return self.parameters_adapted > 0 and scales_rows(self.model, self._read_silence)

    @torch.inference_mode()
    def _read_silence(self) -> None:
        weight = embedding_weight(self.model)
        clips = encoded(self.model.config.model_type, [weight.new_zeros(2, weight.shape[1])] * 2)
        ids = torch.zeros(2, 3, dtype=torch.long, device=weight.device)
        self.model(encoder_outputs=clips, decoder_input_ids=ids, use_cache=False)

    def decode(
        self, asked: Sequence[Asked], generation: Mapping[str, Any], room: Room
    ) -> Iterator[list[tuple[int, Answer]]]:
        """Answer a lane, see ``lorascope.models.protocol.Answerer``: batch by batch.

        Features are the encoder's last hidden states [positions, width], or waveforms [samples, 1]
        that it has yet to hear. The positions that count are those of the decoder.
        """
        _refuse_questions([row.question for row in asked])
        new = generation["max_new_tokens"]
        self._check_length(new)
        size = room.rows or max(1, len(asked))
        if room.tokens is not None:
            size = max(1, min(size, room.tokens // (len(self.start.ids) + new)))
        for start in range(0, len(asked), size):
            yield [*enumerate(self._answers(asked[start : start + size], generation), start)]

    def _answers(self, asked: Sequence[Asked], generation: Mapping[str, Any]) -> list[Answer]:
        clips = self.read(decoding.about_clips([row.features for row in asked]))
        scalings = [row.scaling for row in asked]
        with row_scalings(self.model, scalings):
            rows = self.starts(clips)
        heard = decoding.Heard(clips, self._rules(len(self.start.ids)))
        seeds = [row.seed for row in asked]
        beams = [scaling for scaling in scalings for _ in range(generation["num_beams"])]
        with row_scalings(self.model, beams):
            return decoding.respond(
                self.model, self.tokenizer, rows, generation, self.eos_token_ids, seeds, heard
            )

    def choose(
        self,
        questions: Sequence[Question],
        features: Sequence[Tensor | None],
        continuations: Sequence[Sequence[str]],
        scalings: Sequence[Scaling | None] | None = None,
        clips: Sequence[str] | None = None,
    ) -> list[Likelihoods]:
        """Return the log-likelihoods of transcripts, see ``lorascope.models.protocol.Answerer``."""
        _refuse_questions(questions)
        tokens = [[self._ids(text) for text in texts] for texts in continuations]
        self._check_length(max((len(ids) for several in tokens for ids in several), default=0))
        heard, own = self.read(decoding.about_clips(features)), scalings or [None] * len(features)
        with row_scalings(self.model, own):
            starts = self.starts(heard)
        return transcripts(self.model, heard, starts, tokens, own)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        check_ids(self.model, ids, text)
        return ids

    @torch.inference_mode()
    def read(self, clips: Sequence[Tensor]) -> BaseModelOutput:
        """Return what the decoder reads of clips, given as ``answer`` is given them."""
        weight = embedding_weight(self.model)
        rows = [self._hear(clip).to(weight.device, weight.dtype) for clip in clips]
        if (width := rows[0].shape[1]) != weight.shape[1]:
            raise UserError(
                f"features of width {width} for a decoder of width {weight.shape[1]}: encode the "
                "clips with this model."
            )
        return encoded(self.model.config.model_type, rows)

    def _hear(self, clip: Tensor) -> Tensor:
        if clip.shape[1] > 1:
            return clip
        return encode(self.model.get_encoder(), self.ears.inputs(clip[:, 0].numpy()))

    @torch.inference_mode()
    def starts(self, clips: BaseModelOutput) -> list[Tensor]:
        """Return the ids with which the decoder starts for each clip of a batch."""
        hidden: Any = clips.last_hidden_state
        given = [0 if i is None else i for i in self.start.ids]
        rows = torch.tensor(given, device=hidden.device).repeat(len(hidden), 1)
        if None in self.start.ids:
            place = self.start.ids.index(None)
            logits = self.model(
                encoder_outputs=clips, decoder_input_ids=rows[:, :place], use_cache=False
            ).logits[:, -1]
            spoken = torch.tensor(self.start.languages, device=logits.device)
            rows[:, place] = spoken[logits[:, spoken].argmax(-1)]
        return list(rows)

    def _rules(self, prompt: int) -> list[LogitsProcessor]:
        """Return what the model does not say, where a prompt has so many tokens."""
        device = str(self.model.device)
        rules: list[LogitsProcessor] = []
        if self.start.never:
            rules.append(SuppressTokensLogitsProcessor([*self.start.never], device))
        if self.start.never_first:
            first = [*self.start.never_first]
            rules.append(SuppressTokensAtBeginLogitsProcessor(first, prompt, device))
        return rules

    def _check_length(self, new_tokens: int) -> None:
        most = getattr(self.model.config, "max_target_positions", None)
        if most is not None and len(self.start.ids) + new_tokens > most:
            raise UserError(
                f"max_new_tokens: {len(self.start.ids)} tokens to start with and {new_tokens} more "
                f"exceed the decoder's {most} positions. Lower it to {most - len(self.start.ids)}."
            )


def _refuse_questions(questions: Sequence[Question]) -> None:
    for question in questions:
        if text := plain(question):
            raise UserError(
                f"a recogniser takes no question, and is asked {shown(text)}; leave the question "
                "of the dataset out"
            )


def _start(folder: Path, settings: Mapping[str, Any]) -> Start:
    config, generation = read_object(folder / "config.json"), generation_of(folder)
    try:
        return read_start(config, generation, settings["language"], settings["task"])
    except UserError:
        raise
    except UNREADABLE as error:  # of odd files, which may hold anything
        raise UserError(
            f"model: generation_config.json in {folder} does not say how an answer starts: "
            f"{first_line(error)}. Download it again."
        ) from error


def _check_start(model: PreTrainedModel, start: Start, folder: Path) -> None:
    ids = [i for i in (*start.ids, *start.languages) if i is not None]
    tokens = len(embedding_weight(model))
    if odd := [i for i in ids if not 0 <= i < tokens]:
        raise UserError(
            f"model: {folder}: an answer starts with token {odd[0]}, which is none of the model's "
            f"{tokens}. Are generation_config.json and model of one model?"
        )


def load(
    settings: Mapping[str, Any],
    device: str,
    dtype: str,
    lora_scaling: Scaling | None,
    adapter: str | None,
    strength: float | None = None,
) -> SpeechAnswerer:
    """Load the answerer that ``lorascope.models.hf_speech`` describes; UserError for a misfit."""
    folder = folder_of(settings)
    if adapter is None:
        refuse_adapter(folder, "model")
    tokenizer = load_tokenizer(folder, "model")
    start = _start(folder, settings)
    eos = eos_token_ids(tokenizer, folder, "model")
    model = load_recogniser(folder, device, dtype)
    check_eos(model, eos, folder, "model")
    _check_start(model, start, folder)
    once = settings["encode_once"]
    answerer = SpeechAnswerer(model, Ears(folder), tokenizer, eos, start, folder, once)
    answerer.adapt(adapter, lora_scaling, strength)
    return answerer
