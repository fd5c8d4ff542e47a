import pytest

from lorascope.benchmarks.examples import Conversation, Pair
from lorascope.errors import UserError
from lorascope.models.finetuning.batches import collator
from lorascope.models.hf_text.answerer import load
from lorascope.models.hf_text.encoding import encode, encode_example
from tests.support.settings import defaults
from tests.support.tiny_text_files import CHAT_TEMPLATE, write_model

TALK = (
    {"role": "user", "content": "Cat?"},
    {"role": "assistant", "content": "Meow."},
    {"role": "user", "content": "Dog?"},
    {"role": "assistant", "content": "Woof."},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"), chat_template=CHAT_TEMPLATE)


def answerer(folder, **settings):
    settings = defaults("hf_text") | {"model": str(folder)} | settings
    return load(settings, "cpu", "float32", None, None)


def learnt(model, row) -> str:
    return model.tokenizer.decode([label for label in row["labels"] if label != -100])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"prompt_template": "Q: {}\nA:", "add_special_tokens": False},
        {"chat_template": True},
        {"chat_template": True, "system": "Be brief."},
    ],
    ids=["plain", "template", "chat", "system"],
)
def test_the_prompt_is_the_one_of_the_evaluation_and_only_the_response_is_learnt(
    folder, settings
) -> None:
    model = answerer(folder, **settings)
    row = encode_example(model, Pair("Which animal?", " A cat.", "x:1"))
    prompt = model.prompt_ids("Which animal?")
    assert row["input_ids"][: len(prompt)] == prompt
    assert row["labels"][: len(prompt)] == [-100] * len(prompt)
    assert row["labels"][len(prompt) :] == row["input_ids"][len(prompt) :]
    assert learnt(model, row) == " A cat.<|end|>"
    assert row["attention_mask"] == [1] * len(row["input_ids"])


def test_every_turn_of_the_assistant_is_learnt_with_its_end(folder) -> None:
    model = answerer(folder)
    row = encode_example(model, Conversation(TALK, "x:1"))
    whole = "<|begin|>[user]Cat?<|eot|>[assistant]Meow.<|eot|>[user]Dog?<|eot|>[assistant]Woof."
    assert model.tokenizer.decode(row["input_ids"]) == f"{whole}<|eot|>"
    assert learnt(model, row) == "Meow.<|eot|>Woof.<|eot|>"


def test_a_conversation_gets_the_system_turn_of_the_study_unless_it_has_one(folder) -> None:
    model = answerer(folder, chat_template=True, system="Be brief.")
    row = encode_example(model, Conversation(TALK[:2], "x:1"))
    prompt = model.prompt_ids("Cat?")
    assert row["input_ids"][: len(prompt)] == prompt
    assert learnt(model, row) == "Meow.<|eot|>"
    assert model.tokenizer.decode(row["input_ids"]).startswith("<|begin|>[system]Be brief.<|eot|>")
    own = ({"role": "system", "content": "Bark."}, *TALK[:2])
    row = encode_example(model, Conversation(own, "x:1"))
    assert "brief" not in model.tokenizer.decode(row["input_ids"])


def test_a_conversation_that_ends_with_the_user_is_cut_there(folder) -> None:
    model = answerer(folder)
    row = encode_example(model, Conversation(TALK[:3], "x:1"))
    assert learnt(model, row) == "Meow.<|eot|>"
    assert row == encode_example(model, Conversation(TALK[:2], "x:1"))


@pytest.mark.parametrize(
    "template, message",
    [
        (None, "has none"),
        ("{% if messages|length > 1 %}{{ raise_exception('no turns') }}{% endif %}x", "no turns"),
        ("{{ messages|length }}{% for m in messages %}{{ m['content'] }}{% endfor %}", "rewrites"),
    ],
    ids=["none", "refuses", "rewrites"],
)
def test_a_template_that_does_not_do_is_an_error(tmp_path, template, message) -> None:
    special = {} if template is None else {"chat_template": template}
    model = answerer(write_model(tmp_path, **special))
    with pytest.raises(UserError, match=message) as error:
        encode_example(model, Conversation(TALK, "talk.jsonl:7"))
    assert "talk.jsonl:7" in str(error.value)


def test_what_is_too_long_is_left_out_not_cut(folder, caplog) -> None:
    model = answerer(folder)
    pairs = [Pair("a", "b" * n, f"x:{n}") for n in (1, 40, 2)]
    lengths = [len(encode_example(model, pair)["input_ids"]) for pair in pairs]
    with caplog.at_level("WARNING", "lorascope"):
        rows = encode(model, pairs, lengths[2])
    assert rows == [encode_example(model, pairs[0]), encode_example(model, pairs[2])]
    assert f"1 of 3 examples have more than {lengths[2]} tokens" in caplog.text
    with pytest.raises(UserError, match=r"train\.sequence_length: 2 is too short"):
        encode(model, pairs, 2)


def test_batches_are_padded_on_the_right_without_labels(folder) -> None:
    model = answerer(folder)
    rows = encode(model, [Pair("a", "b", "x:1"), Pair("a longer one", "c", "x:2")], 99)
    batch = collator(model.tokenizer)(rows)
    short, long = (len(row["input_ids"]) for row in rows)
    assert batch["input_ids"].shape == batch["labels"].shape == (2, long)
    assert batch["attention_mask"].tolist() == [[1] * short + [0] * (long - short), [1] * long]
    assert batch["labels"][0, short:].tolist() == [-100] * (long - short)
    assert batch["input_ids"][0, :short].tolist() == rows[0]["input_ids"]
