"""Chat templates: their day, their end, and what they raise."""

import json
from pathlib import Path

import pytest

from lorascope.errors import UserError
from lorascope.models.hf_audio.prompting import load_prompter
from lorascope.models.hf_text import answerer as hf_text
from lorascope.planning.plan import load_plan
from tests.support.settings import defaults
from tests.support.tiny_audio_models import build
from tests.support.tiny_text_files import CHAT_TEMPLATE, edit_json, write_model, write_tokenizer

DATED = "{{ strftime_now('%d %b %Y; %-d.%-m. %H:%M') }} {{ messages[-1]['content'] }}"
LLAMA_3_1 = (
    "{% if not date_string is defined %}{% set date_string = '26 Jul 2024' %}{% endif %}"
    "Today Date: {{ date_string }} {{ messages[-1]['content'] }}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model whose template each test changes."""
    folder = write_model(
        tmp_path_factory.mktemp("templates") / "model", chat_template=CHAT_TEMPLATE
    )
    settings = defaults("hf_text") | {"model": str(folder), "chat_template": True}
    return hf_text.load(settings, "cpu", "float32", None, None)


def ask(model: hf_text.TextAnswerer, template: str, **settings) -> hf_text.TextAnswerer:
    changed = {**model.settings, **settings}
    model.tokenizer.chat_template = template
    return hf_text.TextAnswerer(model.llm, model.tokenizer, model.eos_token_ids, changed)


def test_the_day_of_a_template(model):
    assert ask(model, DATED).prompt("Sad?") == "26 Jul 2024; 26.7. 00:00 Sad?"
    other = ask(model, DATED, date="2031-02-09")
    assert other.prompt("Sad?") == "09 Feb 2031; 9.2. 00:00 Sad?"
    assert other.template_date == "2031-02-09"
    assert ask(model, CHAT_TEMPLATE).template_date is None
    assert ask(model, DATED, chat_template=False).template_date is None


def test_the_day_of_a_template_that_has_one_of_its_own(model):
    assert ask(model, LLAMA_3_1).prompt("Sad?") == "Today Date: 26 Jul 2024 Sad?"
    other = ask(model, LLAMA_3_1, date="2031-02-09")
    assert other.prompt("Sad?") == "Today Date: 09 Feb 2031 Sad?"
    assert other.template_date == "2031-02-09"


BROKEN = {
    "{{ 1 + 'a' }}": "TypeError: unsupported operand",
    "{{ 1 // 0 }}": "ZeroDivisionError",
    "{{ [].pop() }}": "access to attribute 'pop' of 'list' object is unsafe",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}": "RecursionError",
    "{{ messages[9].content.strip() }}": "has no element 9",
    "{{ raise_exception('one\ntwo') }}": "one",
    "{% if %}": "Expected an expression",
    "{{ 'a'.encode('unheard-of') }}": "LookupError",
}


@pytest.mark.parametrize(("template", "message"), BROKEN.items(), ids=BROKEN)
def test_a_template_that_raises_ends_in_one_message(model, template, message):
    expected = f"chat_template: .* refuses the prompt: .*{message}"
    with pytest.raises(UserError, match=expected) as error:
        ask(model, template).prompt("Sad?")
    assert "\n" not in str(error.value)


def test_a_template_of_an_audio_model(tmp_path):
    folder = build("qwen2_audio", tmp_path / "model")
    text = "{% for m in messages %}{{ m['content'] + '' }}{% endfor %}"
    for template, day in ((text, None), ("{{ strftime_now('%d %B') }} " + text, "2031-02-09")):
        (folder / "chat_template.jinja").write_text(template)
        prompter = load_prompter(folder, None, False, "2031-02-09")
        assert prompter.text("Sad?").endswith("<|AUDIO|>Sad?")
        assert prompter.template_date == day
    assert prompter.text("Sad?").startswith("09 February ")
    for template, message in BROKEN.items():
        (folder / "chat_template.jinja").write_text(template)
        # One that adds text to a list is asked in another form, and has no place there either.
        expected = f"has no place|refuses the prompt: .*{message}"
        with pytest.raises(UserError, match=expected) as error:
            load_prompter(folder, None, False, "2031-02-09").text("Sad?")
        assert "\n" not in str(error.value)


# -------------------------------------------------------------------------------- while planning


def plan(model: object, family: str = "hf_text", **settings):
    benchmark = {"hf_text": "squad", "hf_audio": "sakura"}[family]
    if family == "hf_text":
        settings = {"chat_template": True} | settings
    study = {
        "study": "s",
        "models": {"m": {"family": family, "model": model} | settings},
        "datasets": {"d": {"benchmark": benchmark, "source": "nowhere"}},
        "experiments": [{"id": "A", "model": "m", "dataset": "d"}],
        "baseline": "A",
    }
    return load_plan(study, "study.yaml")


@pytest.fixture
def chat(tmp_path, monkeypatch) -> Path:
    """A folder with what planning reads of a model whose turns end with <|eot|>."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "chat"
    folder.mkdir()
    write_tokenizer(folder, chat_template=CHAT_TEMPLATE)
    return folder


def test_a_stop_that_ends_no_answer_is_refused_while_planning(chat):
    with pytest.raises(UserError) as error:
        plan(str(chat))
    assert str(error.value).startswith(
        f"study.yaml: models.m.chat_template: the template in {chat} ends an answer with <|eot|>, "
        "which is no eos token, so that answers would run on; "
    )
    assert plan(str(chat), chat_template=False)
    (chat / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 2]}))
    assert plan(str(chat))


def test_a_stop_that_the_tokenizer_does_not_know(chat):
    template = CHAT_TEMPLATE.replace("<|eot|>", "<|im_end|>\n")
    (chat / "chat_template.jinja").write_text(template)
    with pytest.raises(UserError, match=r"<\|im_end\|>, which its tokenizer does not know"):
        plan(str(chat))


TOLD_OR_NOT = ["{{ eos_token }}", "<|end|>", "", "\n", "{{ 1 // 0 }}", " END", "<|eot|><|end|>"]


@pytest.mark.parametrize("end", TOLD_OR_NOT)
def test_stops_that_do_or_cannot_be_told(chat, end):
    (chat / "chat_template.jinja").write_text(CHAT_TEMPLATE.replace("<|eot|>", end))
    assert plan(str(chat))


def test_where_files_are_broken_or_elsewhere(chat):
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        text = (chat / name).read_text()
        for broken in ("", "[1", "[]", '{"added_tokens": [3]}', "null"):
            (chat / name).write_text(broken)
            if name != "tokenizer_config.json":  # without it <|eot|> is still no eos token
                assert plan(str(chat))
        (chat / name).write_text(text)
    edit_json(
        chat / "tokenizer_config.json", chat_template=(chat / "chat_template.jinja").read_text()
    )
    (chat / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no eos token"):
        plan(str(chat))
    assert plan("nowhere")
    assert plan({"hub": "a/b"})


def test_a_template_of_an_audio_model_with_another_tokenizer(chat):
    assert plan(str(chat), "hf_audio")
    (chat / "chat_template.jinja").write_text(CHAT_TEMPLATE.replace("<|eot|>", "<end_of_turn>"))
    with pytest.raises(UserError, match=r"models\.m\.model: .* <end_of_turn>, which its tokenizer"):
        plan(str(chat), "hf_audio")
