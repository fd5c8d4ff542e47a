"""Questions about features to answers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaForCausalLM
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError
from lorascope.models import decoding, lora
from lorascope.models.engine.drift import DriftReader, Reading
from lorascope.models.engine.engine import Engine
from lorascope.models.engine.lanes import Prompt, clip_keys
from lorascope.models.likelihood import Reader, check_room, most_positions, turn_ids
from lorascope.models.pretrained import (
    check_eos,
    embedding_weight,
    load_model,
    load_tokenizer,
    refuse_adapter,
)
from lorascope.models.profiles import Scaling
from lorascope.models.protocol import (
    Answer,
    Answerer,
    Asked,
    Question,
    Room,
    plain,
    rows_asked,
)
from lorascope.models.salmonn.checkpoint import (
    LORA_PREFIX,
    bridge_file,
    load_strictly,
    read_bridge,
    split,
)
from lorascope.models.strength import adapting
from lorascope.models.strength.references import Base
from lorascope.models.weights import check_finite, existing
from lorascope.storage.files import read_object

AUDIO = "<SpeechHere>"
"""The place of the audio in a prompt's text."""


class SalmonnAnswerer(Answerer):
    """A Llama with LoRA that reads projected audio features between the words of its prompt.

    ``bridge`` is the file that its projection was read from.
    """

    def __init__(
        self,
        llm: LlamaForCausalLM,
        tokenizer: PreTrainedTokenizerBase,
        projection: nn.Linear,
        settings: Mapping[str, Any],
        bridge: Path,
    ) -> None:
        self.llm, self.tokenizer, self.projection = llm, tokenizer, projection
        self.settings, self._bridge = settings, bridge
        self.prompt_template: str = settings["prompt_template"]
        self.lora_scaling, self.parameters_adapted = 0.0, 0
        self.reader, self.engine, self.drifts = Reader(llm), Engine(llm), DriftReader(llm)

    def adapt(
        self, adapter: str | None, scaling: Scaling | None, strength: float | None = None
    ) -> None:
        """Answer with an adapter from now on, see ``lorascope.models.strength.adapting.adapt``.

        None is the checkpoint's LoRA, which an adapter takes the place of. One that has a bridge
        gives the projection, too, whatever its scaling or strength.
        """
        if (path := bridge_file(self.settings, adapter)) != self._bridge:
            self.projection = _load_projection(read_bridge(path), self.llm, path)
            self._bridge = path
        if adapter is not None:
            adapted = adapting.adapt(self.llm, adapter, scaling, strength, self._base())
        else:
            adapting.refuse_strength(None, strength)
            adapting.restore(self.llm, self._base())
            name = f"checkpoint {self.settings['checkpoint']}"
            found, layers = lora.adapt_by(self.llm, name, scaling, self._attach_own)
            adapted = adapting.Adapted(found, None, layers)
        self.lora_scaling, self.strength, self.parameters_adapted = adapted

    def _base(self) -> Base:
        folder = existing(self.settings, "llm", "config.json").parent
        return Base(folder, lambda place, dtype, key: _load_llm(place, "cpu", dtype, key))

    def _attach_own(self) -> None:
        """Attach the checkpoint's LoRA."""
        path = existing(self.settings, "checkpoint")
        tensors = split(path)[1]
        check_finite(tensors, str(path))
        source = f"{path}, below {LORA_PREFIX.rstrip('.')}"
        lora.attach(self.llm, tensors, self.settings["lora_alpha"], source)

    def prompt(self, question: Question) -> str:
        """Return the prompt's text, with ``AUDIO`` where the features go."""
        text = plain(question).strip()
        return self.prompt_template.replace("{}", f"<Speech>{AUDIO}</Speech> {text}")

    def prompt_ids(self, question: Question) -> tuple[list[int], list[int]]:
        """Return the token ids before and after the audio, without the leading BOS."""
        halves = self.prompt(question).split(AUDIO)
        if len(halves) != 2:
            raise UserError(f"the question holds {AUDIO}, the mark of the audio: {question!r}")
        before, after = (self.tokenizer(h, add_special_tokens=False).input_ids for h in halves)
        return before, after

    def effective_generation(
        self, generation: Mapping[str, Any], prompt_tokens: int
    ) -> dict[str, Any]:
        """Return the settings that generation really has."""
        tokenizer = self.tokenizer
        return decoding.effective_generation(
            generation, [tokenizer.eos_token_id], prompt_tokens, tokenizer.bos_token_id
        )

    @torch.inference_mode()
    def embed(self, question: Question, features: Tensor) -> Tensor:
        """Return the prompt's embeddings [positions, width]: BOS, text, audio, text.

        ``features`` are the encoder's, [windows, Q-Former width].
        """
        self._check_width(features)
        before, after = self.prompt_ids(question)
        device = self.projection.weight.device
        ids = torch.tensor([self.tokenizer.bos_token_id, *before, *after], device=device)
        text = self.llm.get_input_embeddings()(ids)
        audio = self.projection(features.to(device, torch.float32)).to(text.dtype)
        return torch.cat([text[: 1 + len(before)], audio, text[1 + len(before) :]])

    def _check_width(self, features: Tensor) -> None:
        if features.shape[1] != self.projection.in_features:
            raise UserError(
                f"features of width {features.shape[1]} for a projection that takes "
                f"{self.projection.in_features}: encode the clips with this model."
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
        prompts = [self._read(row, clip) for row, clip in zip(asked, clips, strict=True)]
        eos = [self.tokenizer.eos_token_id]
        return self.engine.answer(self.tokenizer, prompts, generation, eos, room)

    def _read(self, row: Asked, features: Tensor) -> Prompt:
        self._check_width(features)
        before, after = self.prompt_ids(row.question)
        audio = clip_keys(row.clip, len(features))
        keys = [self.tokenizer.bos_token_id, *before, *audio, *after]
        return Prompt(
            len(keys), lambda: self.embed(row.question, features), keys, row.seed, row.scaling
        )

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
        asked = rows_asked(questions, features, scalings, clips)
        prompts = [self._read(row, clip) for row, clip in zip(asked, heard, strict=True)]
        ids = [turn_ids(self.tokenizer, self.llm, several) for several in continuations]
        for question, prompt, several in zip(questions, prompts, ids, strict=True):
            check_room(most_positions(self.llm), prompt.length, several, plain(question))
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
        asked = rows_asked(questions, features, scalings, clips)
        readings = [
            self._reading(row, clip, text, settings["over"])
            for row, clip, text in zip(asked, heard, texts, strict=True)
        ]
        prompts = [len(reading.ids) for reading in readings]
        items = [[reading] for reading in readings]
        return self.drifts.replies(items, prompts, self.tokenizer, scalings)

    def _reading(self, row: Asked, features: Tensor, text: str, over: str) -> Reading:
        prompt = self._read(row, features)
        ids = [key if isinstance(key, int) else None for key in prompt.keys]
        tokens = [] if over == "prompt" else turn_ids(self.tokenizer, self.llm, [text])[0]
        check_room(most_positions(self.llm), prompt.length, [tokens], plain(row.question))
        start = len(ids) if over == "answer" else 1
        return Reading(prompt.read, ids, tokens, start, (*prompt.keys, *tokens))


def load(
    settings: Mapping[str, Any],
    device: str,
    dtype: str,
    lora_scaling: Scaling | None,
    adapter: str | None = None,
    strength: float | None = None,
) -> SalmonnAnswerer:
    """Load the answerer that ``lorascope.models.salmonn`` describes; UserError for a misfit.

    An ``adapter``, a folder of peft's files, takes the place of the checkpoint's LoRA.
    """
    answerer = load_base(settings, device, dtype, adapter)
    answerer.adapt(adapter, lora_scaling, strength)
    return answerer


def load_base(
    settings: Mapping[str, Any], device: str, dtype: str, adapter: str | None = None
) -> SalmonnAnswerer:
    """Load the answerer without LoRA; an ``adapter`` that has a bridge gives the projection."""
    template = settings["prompt_template"]
    if template.count("{}") != 1:
        raise UserError(f"prompt_template: {template!r} needs exactly one {{}} for the question.")
    bridge = bridge_file(settings, adapter)
    tensors = read_bridge(bridge)
    llm = _load_llm(existing(settings, "llm", "config.json").parent, device, dtype)
    projection = _load_projection(tensors, llm, bridge)
    tokenizer = _load_tokenizer(settings["llm"])
    check_eos(llm, [tokenizer.eos_token_id], Path(settings["llm"]), "llm")
    return SalmonnAnswerer(llm, tokenizer, projection, settings, bridge)


def _load_llm(folder: Path, device: str, dtype: str, key: str = "llm") -> LlamaForCausalLM:
    """Load the language model straight into ``dtype``, without the folder's sampling defaults."""
    if (kind := read_object(folder / "config.json").get("model_type")) != "llama":
        raise UserError(f"{key}: {folder} is a {kind} model; SALMONN takes a llama.")
    refuse_adapter(folder, key)
    return load_model(LlamaForCausalLM, folder, device, dtype, key)


def _load_projection(bridge: Mapping[str, Tensor], llm: LlamaForCausalLM, path: Path) -> nn.Linear:
    """Return what takes features to the embeddings of ``llm``, of the bridge in a file."""
    prefix, width = "speech_llama_proj.", llm.config.hidden_size
    tensors = {n.removeprefix(prefix): t for n, t in bridge.items() if n.startswith(prefix)}
    if tensors.keys() != {"weight", "bias"}:
        raise UserError(f"{path}: {prefix}weight and {prefix}bias are expected, not {[*tensors]}.")
    if tensors["weight"].ndim != 2:
        raise UserError(f"{path}: {prefix}weight is no matrix. Is it a SALMONN checkpoint?")
    outputs, inputs = tensors["weight"].shape
    if outputs != width:
        raise UserError(
            f"{path} projects into a language model of width {outputs}; llm has {width}. Set llm "
            "to the model it was trained with."
        )
    with torch.device("meta"):
        projection = nn.Linear(inputs, outputs)
    return load_strictly(projection, tensors, str(path), str(embedding_weight(llm).device))


def _load_tokenizer(folder: str) -> PreTrainedTokenizerBase:
    tokenizer = load_tokenizer(Path(folder), "llm")
    for name in ("bos_token_id", "eos_token_id"):
        if getattr(tokenizer, name) is None:
            raise UserError(f"llm: the tokenizer in {folder} has no {name.removesuffix('_id')}.")
    return tokenizer
