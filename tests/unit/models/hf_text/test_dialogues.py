"""A question with turns before it, in a text model's chat template."""

from pathlib import Path

import pytest

from lorascope.errors import UserError
from lorascope.models.hf_text import FAMILY, TextModel
from lorascope.models.hf_text.answerer import load
from lorascope.models.protocol import Dialogue
from tests.support.basics import GREEDY
from tests.support.settings import defaults
from tests.support.tiny_text_files import BOS, CHAT_TEMPLATE, EOT, write_model

TURNS = (("Two?", "2"), ("Three?", "3"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("chat") / "llama", chat_template=CHAT_TEMPLATE)


def chat(folder: Path, **settings):
    settings = defaults("hf_text") | {"model": str(folder), "chat_template": True} | settings
    return load(settings, "cpu", "float32", None, None)


def written(*turns: str) -> str:
    return BOS + "".join(f"{turn}{EOT}" for turn in turns) + "[assistant]"


def test_turns_come_before_the_question_each_in_the_prompts_template(folder):
    model = chat(folder, prompt_template="Q: {}")
    assert model.prompt(Dialogue("Four?", turns=TURNS)) == written(
        *("[user]Q: Two?", "[assistant]2", "[user]Q: Three?", "[assistant]3", "[user]Q: Four?")
    )


@pytest.mark.parametrize("own", [None, "Be long."])
def test_the_dialogues_system_replaces_the_models(folder, own):
    model = chat(folder, system=own)
    assert model.prompt(Dialogue("Four?", "Be brief.")) == written(
        "[system]Be brief.", "[user]Four?"
    )
    assert model.prompt(Dialogue("Four?")) == model.prompt("Four?")


def test_every_mode_reads_the_dialogue(folder):
    model, asked = chat(folder), Dialogue("Four?", "Be brief.", TURNS)
    ids = model.tokenizer(model.prompt(asked), add_special_tokens=False).input_ids
    answers = model.answer([asked, "Four?"], [None] * 2, GREEDY, [0] * 2)
    chosen = model.choose([asked, "Four?"], [None] * 2, [[" 4", " 5"]] * 2)
    read = model.loss([asked, "Four?"], [" 4", " 4"], {"window": None, "context": 1})
    for found in (answers, chosen, read):
        assert [one.prompt_tokens for one in found] == [len(ids), len(model.prompt_ids("Four?"))]
    assert abs(chosen[0].sums[0] - read[0].sums[0]) < 1e-4
    assert abs(chosen[0].sums[0] - chosen[1].sums[0]) > 1e-2


def test_a_model_without_a_chat_template_takes_none(folder):
    for chat_template in (True, False):
        settings = TextModel(family="hf_text", model="m", chat_template=chat_template)
        assert FAMILY.takes_dialogues(settings) == chat_template
    with pytest.raises(UserError, match="has turns before it"):
        chat(folder, chat_template=False).prompt(Dialogue("Four?", turns=TURNS))


def test_a_template_that_refuses_turns_is_a_user_error(tmp_path):
    template = (
        "{% if messages | length > 1 %}{{ raise_exception('One turn only') }}{% endif %}"
        "{{ messages[0]['content'] }}"
    )
    model = chat(write_model(tmp_path, chat_template=template))
    assert model.prompt("Four?") == "Four?"
    with pytest.raises(UserError, match="refuses the prompt: One turn only"):
        model.prompt(Dialogue("Four?", turns=TURNS))
