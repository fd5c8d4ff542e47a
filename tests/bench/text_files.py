"""Random Llamas that write distinct words, and adapters for them."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.bench.wording import words
from tests.support.random_weights import randomise
from tests.support.tiny_text_files import edit_json, write_adapter

SPECIAL = ["<s>", "</s>", "<unk>"]
POSITIONS = 1024
RANK = 8
WEAK = 8
TIE = 30.0
"""How far the embeddings of tokens that follow each other are from the others'."""


def write_llama(
    folder: Path,
    width: int = 384,
    layers: int = 13,
    vocabulary: int = 4096,
    dtype: str = "float32",
    ends: float = 0.0,
    rambles: float = 0.0,
    steady: float = 1.0,
) -> Path:
    """Write a random Llama, of 26M parameters unless told otherwise, with its tokenizer.

    A token is a word, so that other tokens are another text. The share ``ends`` of the words ends
    a text, as generation_config.json says: answers then are as long as they happen to be. After one
    of the share ``rambles`` another of these follows, and none of them ends a text. Layers are
    weaker by the factor ``steady``: strong ones make much of rounding.
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=width * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        max_position_embeddings=POSITIONS,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = randomise(LlamaForCausalLM(config)).to(getattr(torch, dtype))
    for name, parameter in model.named_parameters():
        if ".layers." in name and parameter.dim() > 1:
            parameter.data *= steady
    # The end and what is no word are never the likeliest.
    model.lm_head.weight.data[: len(SPECIAL)] = 0
    rambling = range(vocabulary - round(rambles * vocabulary), vocabulary)
    _tie(model, rambling)
    model.save_pretrained(folder)
    write_word_tokenizer(folder, vocabulary)
    if ends:
        ending = range(len(SPECIAL), rambling.start, round(1 / ends))
        edit_json(folder / "generation_config.json", eos_token_id=[1, *ending])
    return folder


def _tie(model: LlamaForCausalLM, tokens: range) -> None:
    """Make one of these tokens follow another of them: a direction of the embeddings says so."""
    direction = torch.nn.functional.normalize(torch.randn(model.config.hidden_size), dim=0)
    model.get_input_embeddings().weight.data[tokens.start :] += TIE * direction
    model.lm_head.weight.data[tokens.start :] += direction


def write_word_tokenizer(folder: Path, vocabulary: int) -> None:
    """Write a tokenizer of whole words."""
    known = SPECIAL + [f"\u2581{word}" for word in words(vocabulary - len(SPECIAL))]
    names = {word: number for number, word in enumerate(known)}
    tokenizer = Tokenizer(models.WordLevel(names, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    made.save_pretrained(folder)


def write_lora(folder: Path, base: Path) -> Path:
    """Write a random adapter for a Llama.

    It is weak, as a strong one makes much of rounding: of two words that are nearly as likely, now
    the one and now the other is said.
    """
    made = write_adapter(folder, base, r=RANK, lora_alpha=RANK)
    path = made / "adapter_model.safetensors"
    weak = {n: t / WEAK if ".lora_B." in n else t for n, t in load_file(path).items()}
    save_file(weak, path, metadata={"format": "pt"})
    return made


def rescaled(adapter: Path, folder: Path, scaling: float) -> Path:
    """Copy an adapter so that its own scaling is another: what is done for tools without one."""
    shutil.copytree(adapter, folder)
    edit_json(folder / "adapter_config.json", lora_alpha=scaling * RANK)
    return folder
