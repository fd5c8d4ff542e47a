"""Generation, shared by the model families.

Rows of a batch do not influence each other beyond rounding: prompts are padded on the left and
masked, each row stops at its own end of sequence or stop string, and each row samples from its own
seed. A row whose numbers overflow ends there, as ``nonfinite``: what a model says after that is no
answer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.generation.configuration_utils import GenerationConfig
from transformers.generation.logits_process import (
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.generation.stopping_criteria import StoppingCriteriaList
from transformers.generation.utils import GenerationMixin
from transformers.modeling_outputs import BaseModelOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lorascope.errors import UserError
from lorascope.models.engine.sampler import RowSampler
from lorascope.models.protocol import Answer, FinishReason
from lorascope.models.stop_strings import Stopping, StopStrings

_OUTRANKS = 1e6
"""A score above that of any beam, and too small to reopen a row whose search is over (-1e9)."""


@dataclass(frozen=True)
class Completion:
    """The tokens generated for one row, up to and with the one that ends it.

    That is an end-of-sequence token, or the one that completes a stop string.
    Those of a ``nonfinite`` row are the ones chosen before its numbers ceased to be finite.
    """

    tokens: list[int]
    finish_reason: FinishReason


@dataclass(frozen=True)
class Heard:
    """What the decoder of an encoder-decoder model reads beside its own tokens, one batch.

    ``encoded`` are the encoder's outputs, which say where they are padding, and ``rules`` the
    model's own of which tokens it may say.
    """

    encoded: BaseModelOutput
    rules: Sequence[LogitsProcessor]

    @property
    def hidden(self) -> Tensor:
        """The encoder's last hidden states [rows, positions, width]."""
        hidden: Any = self.encoded.last_hidden_state
        return hidden


def left_pad(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack rows of several lengths: embeddings [positions, width] or token ids [positions].

    Returns them as [rows, longest, ...] and the attention mask [rows, longest], 0 where padded.
    Embeddings are zero there. Ids are the row's own first: they are masked, but a repetition
    penalty counts all the ids it sees, and a padding id would be a word the prompt does not hold.
    """
    longest = max(len(row) for row in rows)
    padded = rows[0].new_zeros(len(rows), longest, *rows[0].shape[1:])
    mask = torch.zeros(len(rows), longest, dtype=torch.long, device=padded.device)
    for i, row in enumerate(rows):
        if row.dim() == 1:
            padded[i] = row[0]
        padded[i, longest - len(row) :] = row
        mask[i, longest - len(row) :] = 1
    return padded, mask


def about_clips(features: Sequence[Tensor | None]) -> list[Tensor]:
    """Return the features of questions about clips; ValueError where a question has none."""
    found = [tensor for tensor in features if tensor is not None]
    if len(found) < len(features):
        raise ValueError("a question without a clip, for a model that hears one with each")
    return found


class Soundness:
    """Counts for how many tokens each row of a batch rests on finite numbers, and ends it there.

    A row is sound while the embeddings of its prompt are finite and the model's own logits have a
    highest one that is: NaN or +inf among them, or nothing but -inf, leaves no choice (-inf beside
    finite ones is an impossible token, and the choice is the right one). ``hear`` is a forward hook
    of the model, so that no processor has touched the logits. Everything stays on the device: the
    host waits for none of it.

    A beam search is sound while all of its live beams are: one that cannot go on might have won.
    There the object is the last logits processor, too, by which the end outranks what the search
    had finished before; a search that is over is not touched, so that a row ends as it would alone.
    """

    def __init__(self, prompts: Tensor, eos_token_id: int, beams: int) -> None:
        # Embeddings [rows, positions, width], or ids [rows, positions], which are finite.
        self.sound = torch.isfinite(prompts).flatten(1).all(1)
        self.steps = torch.zeros(len(prompts), dtype=torch.long, device=prompts.device)
        self.eos_token_id, self.beams = eos_token_id, beams

    def hear(self, model: nn.Module, arguments: Any, output: Any) -> None:
        """Look at the logits [rows x beams, positions, vocabulary] of one step."""
        logits = output.logits[:, -1]
        highest = logits.amax(-1)  # NaN if one is
        # A CPU may look without waiting, and save the rest.
        if not (highest.is_cpu and math.isfinite(highest.sum())):
            finite = (highest - highest == 0).view(-1, self.beams).all(1)
            self.sound &= finite.to(self.sound.device)
            if self.beams == 1:
                logits.copy_(self(None, logits))
        self.steps += self.sound

    def __call__(self, input_ids: Tensor | None, scores: Tensor) -> Tensor:
        """Return scores [rows x beams, vocabulary] after which what is not sound ends."""
        end = torch.full_like(scores[0], -torch.inf)
        end[self.eos_token_id] = _OUTRANKS if self.beams > 1 else 0.0
        sound = self.sound.to(scores.device).repeat_interleave(self.beams)
        return torch.where(sound[:, None], scores, end)


def cut(completion: Completion, sound: int) -> Completion:
    """Return a completion whose first ``sound`` tokens rest on finite numbers, cut there."""
    if sound >= len(completion.tokens):
        return completion
    return Completion(completion.tokens[:sound], "nonfinite")


def generation_config(
    settings: Mapping[str, Any], eos_token_ids: Sequence[int]
) -> GenerationConfig:
    """Return transformers' configuration for a study's generation settings.

    ``settings`` holds max_new_tokens, num_beams, do_sample, min_length, temperature, top_p, top_k,
    repetition_penalty and length_penalty. ``min_length`` counts the beginning-of-sequence token,
    as in the published SALMONN code, whose transformers returned it: 1 allows an empty answer.
    UserError for sampling within a beam search.
    """
    beams = settings["num_beams"]
    if settings["do_sample"] and beams > 1:
        raise UserError(f"do_sample: true does not go with num_beams: {beams}; set num_beams: 1.")
    return GenerationConfig(
        max_new_tokens=settings["max_new_tokens"],
        min_new_tokens=max(settings["min_length"] - 1, 0) or None,
        num_beams=beams,
        length_penalty=settings["length_penalty"] if beams > 1 else None,
        do_sample=False,  # see _processors, for the repetition penalty too
        eos_token_id=list(eos_token_ids),
        pad_token_id=eos_token_ids[0],  # fills finished rows; trimmed
    )


def effective_generation(
    settings: Mapping[str, Any],
    eos_token_ids: Sequence[int],
    prompt_tokens: int,
    bos_token_id: int | None = None,
    pad_token_id: int | None = None,
) -> dict[str, Any]:
    """Return what generation really does with a study's settings, by MindFormers' names.

    max_length is that of one prompt: its tokens and those generated at most. Values that have no
    effect (temperature of a greedy choice) are the neutral ones.
    """
    config = generation_config(settings, eos_token_ids)
    sampled = settings["do_sample"]
    return {
        "max_length": prompt_tokens + config.max_new_tokens,
        "max_new_tokens": config.max_new_tokens,
        "min_length": 0,
        "min_new_tokens": config.min_new_tokens,
        "stop": list(settings.get("stop", ())),
        "num_beams": config.num_beams,
        "do_sample": sampled,
        "use_past": True,
        "temperature": float(settings["temperature"]) if sampled else 1.0,
        "top_k": settings["top_k"] if sampled else 0,
        "top_p": settings["top_p"] if sampled else 1,
        "repetition_penalty": settings["repetition_penalty"],
        "encoder_repetition_penalty": 1.0,
        "renormalize_logits": False,
        "length_penalty": config.length_penalty,
        "pad_token_id": config.pad_token_id if pad_token_id is None else pad_token_id,
        "bos_token_id": bos_token_id,
        "eos_token_id": eos_token_ids[0] if len(eos_token_ids) == 1 else list(eos_token_ids),
        "_from_model_config": False,
    }


def _processors(
    settings: Mapping[str, Any], seeds: Sequence[int], rules: Sequence[LogitsProcessor]
) -> LogitsProcessorList:
    """Return what changes the logits before the likeliest token is taken, in transformers' order.

    ``rules`` are the model's own. transformers' own repetition penalty overlooks as many tokens as
    a row has padding: those that pad ids, but the first of an answer where prompts are embeddings.
    Here there are none to overlook, see ``left_pad``.
    """
    processors = LogitsProcessorList()
    if settings["repetition_penalty"] != 1.0:
        processors.append(RepetitionPenaltyLogitsProcessor(float(settings["repetition_penalty"])))
    processors.extend(rules)
    if settings["do_sample"]:
        processors.extend([*warpers(settings), RowSampler(seeds)])
    return processors


def warpers(settings: Mapping[str, Any]) -> list[LogitsProcessor]:
    """Return what changes the scores of tokens before one is drawn, in transformers' order."""
    found: list[LogitsProcessor] = []
    if settings["temperature"] != 1.0:
        found.append(TemperatureLogitsWarper(settings["temperature"]))
    if settings["top_k"]:
        found.append(TopKLogitsWarper(settings["top_k"]))
    if settings["top_p"] < 1.0:
        found.append(TopPLogitsWarper(settings["top_p"]))
    return found


def trim(
    tokens: Sequence[int], eos_token_ids: Sequence[int], stops: StopStrings | None = None
) -> Completion:
    """Cut a generated row after its first end-of-sequence token, or the end of a stop string."""
    ends = [i for i, token in enumerate(tokens) if token in eos_token_ids]
    kept = list(tokens[: ends[0] + 1] if ends else tokens)
    count = stops.count(kept) if stops else None
    if count is not None and not (ends and count == len(kept)):
        return Completion(kept[:count], "stop")
    return Completion(kept, "eos" if ends else "length")


def generate(
    model: PreTrainedModel,
    rows: Sequence[Tensor],
    settings: Mapping[str, Any],
    eos_token_ids: Sequence[int],
    seeds: Sequence[int],
    stops: StopStrings | None = None,
    heard: Heard | None = None,
) -> list[Completion]:
    """Complete one batch of prompts, given as embeddings [positions, width] or ids [positions].

    ``settings`` are those of ``generation_config``; ``seeds`` has one for each row and matters
    when sampling only. The model's own generation defaults are not used. A repetition penalty
    counts the tokens of prompts given as ids, as transformers does; embeddings have none. A row
    that overflows ends as ``nonfinite``, see ``Soundness``. A beam that comes to a stop string is
    finished, as one that comes to an end-of-sequence token is. With ``heard`` the model is an
    encoder and a decoder, and the rows, all of one length, are the ids with which its decoder
    starts.
    """
    prompts, mask = left_pad(rows)
    given = "inputs_embeds" if prompts.is_floating_point() else "input_ids"
    # transformers returns the prompts too, where it was given their tokens.
    start = prompts.shape[1] if given == "input_ids" else 0
    # generate() fills what a configuration leaves open from the model's own.
    model.generation_config = GenerationConfig()
    complete: Any = model.generate
    inputs: dict[str, Any] = {given: prompts, "attention_mask": mask}
    config = generation_config(settings, eos_token_ids)
    if heard is not None:
        # Not Whisper's own, which has timestamps, fallbacks and defaults of its own in mind.
        whole: Any = model
        complete = partial(GenerationMixin.generate, whole)
        inputs = {"decoder_input_ids": prompts, "encoder_outputs": heard.encoded}
        config.decoder_start_token_id = int(prompts[0, 0])
    beams = settings["num_beams"]
    processors = _processors(settings, seeds, heard.rules if heard else ())
    soundness = Soundness(heard.hidden if heard else prompts, eos_token_ids[0], beams)
    if beams > 1:
        processors.append(soundness)
    with model.register_forward_hook(soundness.hear):
        output: Tensor = complete(
            **inputs,
            generation_config=config,
            logits_processor=processors,
            stopping_criteria=StoppingCriteriaList([Stopping(stops, start)] if stops else []),
        )
    found = [trim(row, eos_token_ids, stops) for row in output[:, start:].tolist()]
    return [cut(row, sound) for row, sound in zip(found, soundness.steps.tolist(), strict=True)]


def respond(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Tensor],
    settings: Mapping[str, Any],
    eos_token_ids: Sequence[int],
    seeds: Sequence[int],
    heard: Heard | None = None,
) -> list[Answer]:
    """Return the answers to one batch of prompts, which end at the settings' stop strings, too."""
    stops = stop_strings(tokenizer, settings)
    completions = generate(model, rows, settings, eos_token_ids, seeds, stops, heard)
    return [
        answer(tokenizer, len(row), completion, stops)
        for row, completion in zip(rows, completions, strict=True)
    ]


def stop_strings(
    tokenizer: PreTrainedTokenizerBase, settings: Mapping[str, Any]
) -> StopStrings | None:
    """Return where answers stop beside the end of sequence; None where nowhere."""
    strings = [string for string in settings.get("stop", ()) if string]
    return StopStrings(tokenizer, strings) if strings else None


def answer(
    tokenizer: PreTrainedTokenizerBase,
    prompt: int,
    completion: Completion,
    stops: StopStrings | None = None,
) -> Answer:
    """Return the answer to a prompt of so many positions, decoded; "" for a nonfinite one."""
    tokens, reason = completion.tokens, completion.finish_reason
    if reason == "nonfinite":
        text = ""
    elif stops:
        text = stops.visible(tokens)
    else:
        text = str(tokenizer.decode(tokens, skip_special_tokens=True))
    return Answer(tokens, text, reason, prompt)
