import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, dynamic_module_utils

from lorascope.errors import UserError
from lorascope.models.hf_text import answerer
from tests.support.basics import GREEDY
from tests.support.settings import defaults
from tests.support.tiny_text_files import (
    BATCH,
    BOS,
    CHAT_TEMPLATE,
    EOS,
    EOT,
    MODELS,
    POSITIONS,
    QUESTIONS,
    edit_json,
    write_both,
    write_model,
    write_tokenizer,
)

GENERATIONS = {
    "greedy": GREEDY,
    "penalised": GREEDY | {"repetition_penalty": 1.3},
    "sampled": GREEDY | {"do_sample": True, "temperature": 1.5, "top_k": 50, "top_p": 0.9},
    "beams": GREEDY | {"num_beams": 2},
}


@pytest.fixture(scope="module", params=MODELS)
def files(request, tmp_path_factory) -> tuple[Path, Path]:
    return write_both(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def llama(tmp_path) -> Path:
    return write_model(tmp_path / "llama")


def load(model: Path, scaling=None, adapter=None, dtype="float32", **settings):
    adapter = adapter and str(adapter)
    settings = defaults("hf_text") | {"model": str(model)} | settings
    return answerer.load(settings, "cpu", dtype, scaling, adapter)


def answer(model, questions, generation=GREEDY):
    seeds = [BATCH.index(q) if q in BATCH else 0 for q in questions]
    return model.answer(questions, [None] * len(questions), generation, seeds)


@pytest.mark.parametrize("generation", GENERATIONS.values(), ids=GENERATIONS)
def test_answers_do_not_depend_on_the_batch(files, generation):
    model = load(files[0], 3.0, files[1])
    together = answer(model, BATCH, generation)
    assert len({tuple(a.tokens) for a in together}) > 4
    assert len({a.prompt_tokens for a in together}) > 3
    for size in (1, 4):
        batches = [BATCH[i : i + size] for i in range(0, len(BATCH), size)]
        assert [a for b in batches for a in answer(model, b, generation)] == together


def test_greedy_answers_are_the_likeliest_tokens_one_by_one(files):
    model = load(files[0])
    base = AutoModelForCausalLM.from_pretrained(files[0])
    for question, found in zip(QUESTIONS, answer(model, QUESTIONS), strict=True):
        ids = [0, *model.tokenizer(question, add_special_tokens=False).input_ids]
        assert found.prompt_tokens == len(ids)
        for token in found.tokens:
            with torch.inference_mode():
                assert base(torch.tensor([ids])).logits[0, -1].argmax() == token
            ids.append(token)
        text = model.tokenizer.decode(found.tokens, skip_special_tokens=True)
        assert found.text == text


def test_the_adapters_scaling_is_in_force_and_reported(files):
    base, own, zero, strong = (
        load(files[0]),
        load(files[0], None, files[1]),
        load(files[0], 0, files[1]),
        load(files[0], 5.0, files[1]),
    )
    assert (base.lora_scaling, base.parameters_adapted) == (0.0, 0)
    assert (own.lora_scaling, own.parameters_adapted) == (2.0, 4)
    assert (zero.lora_scaling, zero.parameters_adapted) == (0.0, 4)
    assert (strong.lora_scaling, strong.parameters_adapted) == (5.0, 4)
    answers = [[a.tokens for a in answer(model, BATCH)] for model in (base, zero, own, strong)]
    assert answers[0] == answers[1]
    assert answers[1] != answers[2] != answers[3]


def test_a_scaling_without_an_adapter_is_an_error(llama):
    assert load(llama, 0).lora_scaling == 0.0
    with pytest.raises(UserError, match=r"lora_scaling 2\.0 touches no layer.*no adapter"):
        load(llama, 2.0)


def test_automatic_placement_gives_the_same_answers(files):
    settings = defaults("hf_text") | {"model": str(files[0])}
    spread = answerer.load(settings, "auto", "float32", 3.0, str(files[1]))
    assert answer(spread, BATCH) == answer(load(files[0], 3.0, files[1]), BATCH)


def test_half_precision_reaches_the_model_and_leaves_the_adapter(files):
    model = load(files[0], 3.0, files[1], dtype="bfloat16")
    dtypes = {(".lora_" in name, p.dtype) for name, p in model.llm.named_parameters()}
    assert dtypes == {(True, torch.float32), (False, torch.bfloat16)}
    assert len(answer(model, BATCH)) == len(BATCH)


# ------------------------------------------------------------------------------- prompts


def test_a_raw_prompt_is_the_template_with_the_tokenizers_own_special_tokens(llama):
    model = load(llama, prompt_template="Q: {}\nA:")
    assert model.prompt("Is {} odd?") == "Q: Is {} odd?\nA:"
    assert model.tokenizer.decode(model.prompt_ids("Sad?")) == f"{BOS}Q: Sad?\nA:"
    bare = load(llama, add_special_tokens=False)
    assert bare.tokenizer.decode(bare.prompt_ids(" Sad? ")) == " Sad? "


def test_a_chat_prompt_brings_its_own_special_tokens(tmp_path):
    folder = write_model(tmp_path / "chat", chat_template=CHAT_TEMPLATE)
    model = load(folder, chat_template=True, system="Be brief.", prompt_template="Q: {}")
    text = f"{BOS}[system]Be brief.{EOT}[user]Q: Sad?{EOT}[assistant]"
    assert model.prompt("Sad?") == text
    assert model.prompt_ids("Sad?").count(model.tokenizer.bos_token_id) == 1
    assert model.tokenizer.decode(model.prompt_ids("Sad?")) == text
    assert load(folder, chat_template=True).prompt("Sad?") == f"{BOS}[user]Sad?{EOT}[assistant]"
    assert load(folder).prompt("Sad?") == "Sad?"


def test_a_chat_prompt_is_the_same_every_day(tmp_path):
    template = (
        "\n{% if strftime_now is defined %}{{ strftime_now('%d %b %Y, %A %Y-%m-%d') }}{% endif %}"
        "{% macro day() %}{{ strftime_now('%B') }}{% endmacro %} {{ day() }}: "
        "{{ messages[0]['content'] }}"
    )
    folder = write_model(tmp_path / "dated", chat_template=template)
    text = load(folder, chat_template=True).prompt("Sad?")
    assert text == "\n26 Jul 2024, Friday 2024-07-26 July: Sad?"


def test_a_template_that_refuses_the_system_turn_is_a_user_error(tmp_path):
    template = (
        "{% if messages[0]['role'] == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}{{ messages[0]['content'] }}"
    )
    folder = write_model(tmp_path / "gemma", chat_template=template)
    assert load(folder, chat_template=True).prompt("Sad?") == "Sad?"
    with pytest.raises(UserError, match=r"System role not supported.*Set system: null"):
        load(folder, chat_template=True, system="Be brief.").prompt("Sad?")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt_template": "Q:"}, r"prompt_template: 'Q:' needs exactly one \{\}"),
        ({"prompt_template": "{} {}"}, r"needs exactly one \{\}"),
        ({"chat_template": True}, "chat_template: the tokenizer in .* has none"),
        ({"system": "Be brief."}, "system: needs chat_template: true"),
    ],
)
def test_prompt_settings_that_do_not_fit_are_refused(llama, settings, message):
    with pytest.raises(UserError, match=message):
        load(llama, **settings)


def test_prompts_that_the_model_cannot_take_are_refused(llama):
    model = load(llama, add_special_tokens=False)
    with pytest.raises(UserError, match="empty prompt"):
        model.prompt_ids("")
    long = "Which? " * POSITIONS
    tokens = len(model.prompt_ids(long))
    with pytest.raises(UserError, match=rf"{tokens} tokens.*{POSITIONS} positions.*'Which\? Which"):
        answer(model, ["Sad?", long])
    fits = QUESTIONS[1]
    room = POSITIONS - len(model.prompt_ids(fits))
    answer(model, [fits], GREEDY | {"max_new_tokens": room})
    with pytest.raises(UserError, match="more than the model's"):
        answer(model, [fits], GREEDY | {"max_new_tokens": room + 1})


def test_a_tokenizer_that_ends_prompts_is_refused(llama):
    write_tokenizer(llama, adds=f"{BOS} $A {EOS}")
    with pytest.raises(UserError, match=r"add_special_tokens: .* eos token"):
        load(llama).prompt_ids("Sad?")
    assert load(llama, add_special_tokens=False).prompt_ids("Sad?")


def test_a_tokenizer_of_another_model_is_refused(llama):
    llm = AutoModelForCausalLM.from_pretrained(llama)
    llm.resize_token_embeddings(40)
    llm.save_pretrained(llama)
    with pytest.raises(UserError, match=r"tokenizer gives the id .* which the model does not have"):
        load(llama).prompt_ids("Sad?")


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_tokenizers_padding_side_does_not_matter(llama, side):
    expected = answer(load(llama), BATCH)
    edit_json(llama / "tokenizer_config.json", padding_side=side)
    assert answer(load(llama), BATCH) == expected


# ---------------------------------------------------------------------------- generation


def test_any_of_several_eos_tokens_ends_an_answer(llama):
    free = answer(load(llama), BATCH)
    ending = free[0].tokens[3]
    listed = {"eos_token_id": [1, ending, 2]}
    (llama / "generation_config.json").write_text(json.dumps(listed))
    model = load(llama)
    assert model.eos_token_ids == [1, ending, 2]
    stopped = answer(model, BATCH)
    first = free[0].tokens.index(ending)
    assert stopped[0].tokens == free[0].tokens[: first + 1]
    assert stopped[0].finish_reason == "eos"
    for long, short in zip(free, stopped, strict=True):
        assert long.tokens[: len(short.tokens)] == short.tokens


def test_the_folders_sampling_defaults_are_not_used(llama):
    expected = answer(load(llama), BATCH)
    defaults = {"do_sample": True, "temperature": 9.0, "max_new_tokens": 2, "eos_token_id": 1}
    (llama / "generation_config.json").write_text(json.dumps(defaults))
    assert answer(load(llama), BATCH) == expected


def test_effective_generation_has_the_models_own_token_ids(tmp_path, llama):
    bare = load(llama).effective_generation(GREEDY, 207)
    assert bare["max_length"] == 219
    ids = [bare[f"{name}_token_id"] for name in ("pad", "bos", "eos")]
    assert ids == [1, 0, 1]
    padded = write_model(tmp_path / "padded", pad_token=EOT)
    (padded / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 2]}))
    found = load(padded).effective_generation(GREEDY, 207)
    assert (found["pad_token_id"], found["eos_token_id"]) == (2, [1, 2])


def test_a_model_without_an_eos_token_is_refused(tmp_path):
    folder = write_model(tmp_path / "endless", eos_token=None)
    (folder / "generation_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"generation_config\.json has an eos token"):
        load(folder)


# ---------------------------------------------------------------------------- bad files


def test_the_models_own_code_does_not_run_unasked(tmp_path, llama, monkeypatch):
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    edit_json(
        llama / "config.json",
        model_type="homemade",
        auto_map={
            "AutoConfig": "homemade.HomemadeConfig",
            "AutoModelForCausalLM": "homemade.HomemadeForCausalLM",
        },
    )
    ran = tmp_path / "ran"
    (llama / "homemade.py").write_text(
        f"open({str(ran)!r}, 'w').close()\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class HomemadeConfig(LlamaConfig):\n    model_type = 'homemade'\n"
        "class HomemadeForCausalLM(LlamaForCausalLM):\n    config_class = HomemadeConfig\n"
    )
    with pytest.raises(UserError, match=r"brings its own Python code.*trust_remote_code: true"):
        load(llama)
    assert not ran.exists()
    assert answer(load(llama, trust_remote_code=True), BATCH[:2])
    assert ran.exists()


def test_a_folder_that_does_not_load_names_what_is_wrong(tmp_path, llama):
    with pytest.raises(UserError, match=r"model: .*config\.json does not exist"):
        load(tmp_path)
    weights = llama / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors is not a readable safetensors"):
        load(llama)
    weights.write_bytes(whole)
    edit_json(llama / "config.json", num_hidden_layers=3)
    with pytest.raises(UserError, match=r"model: .*missing keys: model\.layers\.2"):
        load(llama)
    edit_json(llama / "config.json", num_hidden_layers=2)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (llama / name).unlink()
    with pytest.raises(UserError, match=r"model: .* has no tokenizer that loads"):
        load(llama)
