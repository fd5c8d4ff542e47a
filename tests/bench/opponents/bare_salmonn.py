"""A SALMONN without a workflow: peft's LoRA, transformers' generate, and a loop."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import AutoTokenizer, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

# No other package has BEATs and the Q-Former: the audio path is lorascope's own, clip by clip.
from lorascope.models.salmonn.encoder import load as load_encoder

WINDOW = {"second_per_window": 0.333333, "second_stride": 0.333333, "qformer_heads": 12}
HOPS = ("single", "multi")
ALPHA = 32
disable_progress_bar()


@dataclass(frozen=True)
class Asked:
    """A question about a clip, with lorascope's name for it."""

    item: str
    clip: Path
    question: str


def questions(root: Path, hops: Sequence[str] = HOPS) -> list[Asked]:
    """Return the questions of a folder in SAKURA's layout."""
    return [
        Asked(f"{table.parent.name.lower()}-{hop}/{clip.stem}", clip, row[f"{hop}_instruction"])
        for table in sorted(root.glob("data/*/metadata.csv"))
        for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())
        for clip in [table.parent / "audio" / Path(row["file"]).name]
        for hop in hops
    ]


class BareSalmonn:
    """A model in memory: ``sources`` are the keys of a study's model that name files."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.encoder = load_encoder({**sources, **WINDOW}, "cpu")
        self.tokenizer = AutoTokenizer.from_pretrained(sources["llm"])
        tensors = torch.load(sources["checkpoint"], weights_only=True)["model"]
        self.llm = self._llm(sources["llm"], tensors)
        weight = tensors["speech_llama_proj.weight"]
        self.projection = nn.Linear(weight.shape[1], weight.shape[0])
        self.projection.load_state_dict(
            {"weight": weight, "bias": tensors["speech_llama_proj.bias"]}
        )

    @staticmethod
    def _llm(folder: str, tensors: Mapping[str, Tensor]) -> nn.Module:
        llm = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
        lora = {
            name.removeprefix("llama_model.").replace(".default", ""): tensor
            for name, tensor in tensors.items()
            if ".lora_" in name
        }
        rank = min(next(iter(lora.values())).shape)
        config = LoraConfig(r=rank, lora_alpha=ALPHA, target_modules=["q_proj", "v_proj"])
        adapted = get_peft_model(llm, config)
        set_peft_model_state_dict(adapted, lora)
        return adapted.eval()

    def scale(self, scaling: float) -> None:
        """Set the LoRA's absolute scaling."""
        for module in self.llm.modules():
            if isinstance(module, LoraLayer):
                module.scaling["default"] = scaling

    def encode(self, clip: Path) -> Tensor:
        """Return the features of a clip."""
        wave, rate = soundfile.read(clip, dtype="float32", always_2d=True)
        assert rate == self.encoder.sampling_rate, clip
        return self.encoder.encode([wave[:, 0]])[0]

    @torch.inference_mode()
    def answer(
        self,
        asked: Sequence[tuple[str, Tensor]],
        batch_size: int,
        new_tokens: int,
        beams: int = 1,
    ) -> Iterator[tuple[int, str]]:
        """Yield place and answer of questions with features, in batches, the longest first."""
        order = sorted(range(len(asked)), key=lambda i: -len(asked[i][0]))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            rows = [self._embed(*asked[i]) for i in batch]
            longest = max(map(len, rows))
            embeddings = torch.zeros(len(rows), longest, rows[0].shape[1])
            mask = torch.zeros(len(rows), longest, dtype=torch.long)
            for place, row in enumerate(rows):
                embeddings[place, -len(row) :], mask[place, -len(row) :] = row, 1
            said = self.llm.generate(
                inputs_embeds=embeddings,
                attention_mask=mask,
                max_new_tokens=new_tokens,
                num_beams=beams,
                do_sample=False,
                temperature=None,
                top_p=None,
                pad_token_id=self.tokenizer.eos_token_id,
            )
            texts = self.tokenizer.batch_decode(said, skip_special_tokens=True)
            yield from zip(batch, texts, strict=True)

    def _embed(self, question: str, features: Tensor) -> Tensor:
        before, after = "USER: <Speech>", f"</Speech> {question.strip()}\nASSISTANT:"
        ids = [self.tokenizer(t, add_special_tokens=False).input_ids for t in (before, after)]
        words = self.llm.get_input_embeddings()
        first, rest = (torch.tensor(i) for i in ([self.tokenizer.bos_token_id, *ids[0]], ids[1]))
        return torch.cat([words(first), self.projection(features), words(rest)])
