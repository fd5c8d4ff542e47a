"""Mode drift after a clip and a question, clips encoded once or heard anew by each model."""

import pytest
import torch

from lorascope.models.hf_audio.answerer import load as load_answerer
from lorascope.models.hf_audio.architecture import load_full
from lorascope.models.hf_audio.encoder import load as load_encoder
from tests.support.audio_cases import FIXTURES, QUESTIONS, own_inputs
from tests.support.drifts import CLOSE, drift_of, largest_gap, plain_drift
from tests.support.tiny_audio_models import LORA_TARGETS, write_adapter

kind, folder, settings, waves, features, answerer, own = FIXTURES
TEXTS = [" (a) dog", " cow", " Spain"]


def at_scaling(folder, adapter, scaling):
    """Return the model's own class with the adapter by peft, at an absolute scaling."""
    from peft import PeftModel

    whole = load_full(folder, "cpu", "float32", trust_remote_code=False)
    model = PeftModel.from_pretrained(whole, adapter).eval()
    for module in model.modules():
        if isinstance(getattr(module, "scaling", None), dict):
            module.scaling["default"] = scaling
    return model


class Given:
    """A model that is given a clip's inputs beside the ids of a row."""

    def __init__(self, model, inputs):
        self.model, self.inputs = model, inputs

    def __call__(self, input_ids):
        return self.model(
            **{**self.inputs, "input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
        )


@pytest.mark.parametrize("encode_once", [True, False])
def test_numbers_are_those_of_two_models(kind, folder, settings, own, waves, encode_once, tmp_path):
    plain = load_full(folder, "cpu", "float32", trust_remote_code=False)
    adapter = str(write_adapter(plain, tmp_path / "adapter", LORA_TARGETS[kind]))
    settings = settings | {"encode_once": encode_once}
    features = load_encoder(settings, "cpu").encode(waves)
    answerer = load_answerer(settings, "cpu", "float32", 1.5, adapter)
    models = [at_scaling(folder, adapter, scaling) for scaling in (0.0, 1.5)]
    for over in ("both", "answer"):
        found = answerer.drift(QUESTIONS, features, TEXTS, {"over": over})
        for i, one in enumerate(map(drift_of, found)):
            inputs = own_inputs(own[1], answerer.prompt(QUESTIONS[i]), waves[i])
            prompt, text = inputs["input_ids"][0].tolist(), TEXTS[i].lstrip()
            tokens = answerer.prompter.tokenizer(text, add_special_tokens=False).input_ids
            row, start = [*prompt, *tokens], len(prompt) if over == "answer" else 1
            audio = answerer.prompter.audio_token_id
            places = [(j, row[j]) for j in range(start, len(row)) if row[j] != audio]
            pair = tuple(Given(model, inputs) for model in models)
            assert largest_gap(one, plain_drift(pair, torch.tensor(row[:-1]), places)) < CLOSE
            assert one.ids == tuple(token for _, token in places)
            assert max(one.kl) > 0
