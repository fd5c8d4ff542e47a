import json
import random
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from training_recipes.tiny_llama.architecture import LLAMA, PROMPT
from training_recipes.tiny_llama.passages import TASKS, Question, make_passage
from training_recipes.tiny_llama.splits import SPLITS, passages, split_passages, write_splits
from training_recipes.tiny_llama.tokenizer import build_tokenizer
from training_recipes.tiny_llama.training import dialogue_loss

RESOURCES = Path(__file__).parents[2] / "resources"
MINI_SQUAD = RESOURCES / "mini-squad"


def paragraphs(split: str) -> list[dict]:
    articles = json.loads((MINI_SQUAD / f"{split}.json").read_text(encoding="utf-8"))["data"]
    return [paragraph for article in articles for paragraph in article["paragraphs"]]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


# ------------------------------------------------------------------------------ data


def test_the_embedded_splits_are_what_the_recipe_writes(tmp_path):
    write_splits(tmp_path)
    for split in SPLITS:
        written = (tmp_path / f"{split}.json").read_bytes()
        assert written == (MINI_SQUAD / f"{split}.json").read_bytes()


def test_no_two_splits_share_a_passage_and_training_draws_from_none():
    splits = split_passages()
    drawn = [passage for split in splits.values() for passage in split]
    assert len(set(drawn)) == len(drawn) == sum(count for _, count in SPLITS.values())
    first = make_passage(random.Random(0))
    assert next(passages(random.Random(0), {first})) != first


@pytest.mark.parametrize("split", SPLITS)
def test_every_answer_stands_where_its_file_says(split):
    ids = []
    for paragraph in paragraphs(split):
        for question in paragraph["qas"]:
            (answer,) = question["answers"]
            assert paragraph["context"][answer["answer_start"] :].startswith(answer["text"])
            ids.append(question["id"])
    assert len(set(ids)) == len(ids) >= SPLITS[split][1]


@pytest.mark.parametrize("task", TASKS)
def test_a_passage_answers_each_of_its_questions_once(task):
    rng = random.Random(1)
    for _ in range(200):
        passage = make_passage(rng)
        questions = TASKS[task](passage)
        assert len({question.text for question in questions}) == len(questions)
        for question in questions:
            assert passage.text[question.start :].startswith(question.answer)


def test_the_new_task_asks_for_a_city_that_is_no_answer_of_the_original_one():
    rng = random.Random(2)
    for _ in range(50):
        passage = make_passage(rng)
        (question,) = passage.before()
        assert question.answer == passage.then
        assert question.answer not in {question.answer for question in passage.now()}


# ------------------------------------------------------------------------- tokenizer


def test_the_tokenizer_knows_every_word_and_cuts_an_answer_the_same_alone(tokenizer):
    for split in SPLITS:
        for paragraph in paragraphs(split):
            for question in paragraph["qas"]:
                prompt = PROMPT.format(context=paragraph["context"], question=question["question"])
                answer = question["answers"][0]["text"]
                start = tokenizer(prompt)["input_ids"]
                end = tokenizer(answer, add_special_tokens=False)["input_ids"]
                assert tokenizer(f"{prompt} {answer}")["input_ids"] == start + end
                assert tokenizer(prompt + answer)["input_ids"] == start + end
                assert tokenizer.unk_token_id not in start + end
                assert tokenizer.decode(end) == answer


def test_the_embedded_tokenizer_is_the_recipes(tokenizer):
    embedded = AutoTokenizer.from_pretrained(RESOURCES / "tiny-llama")
    assert embedded.get_vocab() == tokenizer.get_vocab()
    text = PROMPT.format(context="Ben likes rice.", question="Who likes rice?")
    assert embedded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert embedded.eos_token_id == LLAMA["eos_token_id"]
    assert embedded.pad_token_id == LLAMA["pad_token_id"]


# -------------------------------------------------------------------------- training


def test_the_loss_is_that_of_the_answers_and_their_ends_whatever_the_padding(tokenizer):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **LLAMA)).eval()
    first, second = Question("What does Ben like?", "hot rice", 0), Question("Ben?", "boat", 0)
    texts = [
        "<s> Ben. Q: What does Ben like? A: hot rice </s> Q: Ben? A: boat </s>",
        "<s> Rome. Q: Ben? A: boat </s>",
    ]
    total = 0.0
    for text, ends in zip(texts, [[-11, -10, -9, -2, -1], [-2, -1]], strict=True):
        ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
        logs = model(ids).logits[0].log_softmax(-1)
        total -= sum(logs[end - 1, ids[0, end]].item() for end in ends)
    loss = dialogue_loss(model, tokenizer, [("Ben.", [first, second]), ("Rome.", [second])])
    assert loss.item() == pytest.approx(total / 7, rel=1e-5)
