"""A processor's prompts: a user's turn of one clip and one question."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.feature_extraction_utils import BatchFeature
from transformers.models.auto.processing_auto import AutoProcessor
from transformers.processing_utils import ProcessorMixin
from transformers.utils import logging as transformers_log

from lorascope.errors import UserError
from lorascope.models.hf_audio.mel import serve_granite
from lorascope.models.hf_audio.phi4 import Phi4AudioProcessor
from lorascope.models.pretrained import ANOTHER_DAY, ChatTemplateError, chat_text
from lorascope.models.protocol import Dialogue, Question
from lorascope.models.remote_code import refuse_code
from lorascope.models.weights import UNREADABLE, first_line, no_panic
from lorascope.storage.files import read_object

_FRAME = 0.05
"""Seconds that a spectrogram's frames may leave over."""
_REFUSED = {
    "voxtral": "its processor takes clips in requests of mistral-common alone, not among the text "
    "of a chat template, which hf_audio does not support.",
    "phi4mm": "Phi-4-multimodal by Python code of its own, for older transformers. Use its "
    "revision refs/pr/70, which is in transformers' layout (phi4_multimodal).",
}
"""Model types -> why not."""


class Prompter:
    """The processor of a model folder, with the system's turn and the day of its prompts.

    ``audio_token`` is the placeholder of the audio in a prompt's text, ``audio_token_id`` its id.
    """

    def __init__(
        self, processor: ProcessorMixin, folder: Path, system: str | None, day: str
    ) -> None:
        self.processor, self.folder, self.system, self.day = processor, folder, system, day
        self.tokenizer = processor.tokenizer
        # transformers' names for the part that takes waveforms
        names = ("feature_extractor", "audio_processor")
        listener = next((getattr(processor, n) for n in names if hasattr(processor, n)), None)
        audio_token = getattr(processor, "audio_token", None)
        if listener is None or audio_token is None:
            raise UserError(f"model: the processor in {folder} takes no audio.")
        self.audio_token: str = audio_token
        self.sampling_rate: int = listener.sampling_rate
        self.audio_token_id: int = self.tokenizer.convert_tokens_to_ids(self.audio_token)
        template = processor.chat_template or getattr(self.tokenizer, "chat_template", None)
        if not isinstance(template, str):
            raise UserError(
                f"model: the {type(processor).__name__} in {folder} has no chat template. Use the "
                "model's chat (instruct) version, or add the file chat_template.jinja."
            )
        self.template = template
        self._heard = 0
        self._limit: int | None = None  # what hears() has found so far

    def text(self, question: Question) -> str:
        """Return the prompt's text with one ``audio_token``; UserError where there is none.

        The turns of a dialogue are texts; the audio is in the question's.
        """
        dialogue = question if isinstance(question, Dialogue) else Dialogue(question)
        for text in (dialogue.system, *chain(*dialogue.turns), dialogue.question):
            if self.audio_token in text:
                raise UserError(
                    f"the question holds {self.audio_token}, the mark of the audio: {text!r}"
                )
        return self._text(dialogue, self.day)

    @property
    def template_date(self) -> str | None:
        """The day that the chat template takes for today, None where it does not say the date."""
        texts = [self._text(Dialogue("?"), day) for day in (self.day, ANOTHER_DAY)]
        return self.day if texts[0] != texts[1] else None

    def _text(self, dialogue: Dialogue, day: str) -> str:
        refusal, system = None, dialogue.system or self.system
        said = [system or "", *chain(*dialogue.turns), dialogue.question]
        for turns in self._forms(dialogue, system):
            try:
                text = chat_text(self.tokenizer, self.template, turns, day)
            except ChatTemplateError as error:
                if not isinstance(error.__cause__, TypeError):
                    refusal = error
                continue
            whole = all(one.strip() in text for one in said)
            if whole and text.count(self.audio_token) == 1:
                return text
        where = f"model: the chat template in {self.folder}"
        before, remedy = "", "Set system: null."
        if dialogue.turns or dialogue.system:
            before, remedy = (
                "turns before it",
                "Put what the dataset says before into the question.",
            )
        elif self.system:
            before = "a system's turn"
        if refusal:
            raise UserError(f"{where} refuses the prompt: {refusal}. {remedy}")
        raise UserError(
            f"{where} has no place for one clip and a question"
            + (f", with {before}. {remedy}" if before else ".")
        )

    def _forms(self, dialogue: Dialogue, system: str | None) -> Iterator[list[dict[str, Any]]]:
        """Yield the messages of a prompt, in the forms that templates take contents in."""
        question = dialogue.question
        parts = [{"type": "audio"}, {"type": "text", "text": question}]
        forms: list[Callable[[str], Any]] = [str]
        if system is not None or dialogue.turns:
            forms.append(lambda text: [{"type": "text", "text": text}])
        # Templates such as Granite Speech's know plain texts only: there the mark is written out.
        for content, form in product((parts, self.audio_token + question), forms):
            turns = [] if system is None else [("system", form(system))]
            for asked, answered in dialogue.turns:
                turns += [("user", form(asked)), ("assistant", form(answered))]
            turns.append(("user", content))
            yield [{"role": role, "content": text} for role, text in turns]

    def ids(self, text: str, audio_positions: int) -> list[int]:
        """Return the token ids of a prompt's text whose audio takes so many positions."""
        expanded = text.replace(self.audio_token, self.audio_token * audio_positions)
        return self.tokenizer(expanded, **self._special(text)).input_ids

    def inputs(self, text: str, wave: NDArray[np.float32]) -> BatchFeature:
        """Return what the model takes of a prompt's text and a waveform [samples].

        UserError where the processor makes nothing of the waveform.
        """
        try:
            inputs = self.processor(
                text=[text],
                audio=[wave],
                return_tensors="pt",
                text_kwargs=self._special(text),
                audio_kwargs={"sampling_rate": self.sampling_rate},
            )
        except UNREADABLE as error:
            seconds = len(wave) / self.sampling_rate
            raise UserError(
                f"model: the processor in {self.folder} refuses a clip of {seconds:g} s: "
                f"{first_line(error)}"
            ) from error
        for name in getattr(self.processor, "unused_input_names", ()):
            inputs.pop(name, None)
        return inputs

    def hears(self, samples: int) -> int:
        """Return how many samples, from the first on, reach the model of a clip of ``samples``.

        Found by trying: processors cut at lengths that each of them keeps in its own way. What the
        model gets of noise does not change with what is not heard.
        """
        if self._limit is None and samples > self._heard:
            before = transformers_log.get_verbosity()
            transformers_log.set_verbosity_error()  # some say at every try that they cut
            try:
                self._try_hearing(samples)
            finally:
                transformers_log.set_verbosity(before)
        return samples if self._limit is None else min(samples, self._limit)

    def _try_hearing(self, samples: int) -> None:
        text, noise = self.text("?"), np.random.default_rng(0).standard_normal(samples, np.float32)
        whole = self.inputs(text, noise)

        def matters(start: int) -> bool:
            changed = self.inputs(text, np.concatenate([noise[:start], 0 * noise[start:]]))
            return any(not torch.equal(whole[name], changed[name]) for name in whole)

        # A last frame that is not full may be left out.
        if matters(max(0, samples - round(_FRAME * self.sampling_rate))):
            self._heard = samples
            return
        cut = bisect_left(range(samples), True, key=lambda start: not matters(start))
        unit = self.sampling_rate // 100
        self._limit = -(-cut // unit) * unit  # the edge of a frame hardly shows

    def expands_by_repetition(self) -> bool:
        """Tell whether the processor writes its audio token once for each audio position.

        If so, ``ids`` are the processor's own.
        """
        text = self.text("?")
        ids = self.inputs(text, np.zeros(self.sampling_rate, np.float32))["input_ids"][0].tolist()
        return ids == self.ids(text, ids.count(self.audio_token_id))

    def _special(self, text: str) -> dict[str, bool]:
        """Return whether the tokenizer adds its BOS: not to a template that writes it itself."""
        bos = self.tokenizer.bos_token
        return {"add_special_tokens": bos is None or not text.startswith(bos)}


def load_prompter(
    folder: Path, system: str | None, trust_remote_code: bool, day: str = ANOTHER_DAY
) -> Prompter:
    """Load the processor in ``folder``; UserError when there is none that takes audio."""
    kind = read_object(folder / "config.json").get("model_type")
    if kind in _REFUSED:
        raise UserError(f"model: {folder} is a {kind} model: {_REFUSED[kind]}")
    refuse_code(folder, "model", trust_remote_code)
    serve_granite()
    loader = Phi4AudioProcessor if kind == "phi4_multimodal" else AutoProcessor
    try:
        with no_panic():
            processor = loader.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_remote_code
            )
    except ImportError as error:
        raise UserError(
            f"model: the processor in {folder} needs a package that is not installed: "
            f"{' '.join(str(error).split())}"
        ) from error
    except UNREADABLE as error:
        raise UserError(
            f"model: {folder} has no processor that loads: {first_line(error)}"
        ) from error
    # Without a processor's files, transformers returns the folder's tokenizer.
    if not isinstance(processor, ProcessorMixin):
        raise UserError(f"model: {folder} has no processor of audio and text, only a tokenizer.")
    return Prompter(processor, folder, system, day)
