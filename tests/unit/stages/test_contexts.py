"""Continuations that follow contexts of their own are asked apart and come back as one item's."""

from types import SimpleNamespace

from lorascope.benchmarks.items import Item, from_table, to_table
from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.inferring.answering import Answering, Row


class Lengths:
    """A model whose log-likelihoods are lengths."""

    def choose(self, questions, features, continuations, scalings, clips):
        assert len(questions) == len(features) == len(continuations)
        return [
            Likelihoods(
                sums=tuple(-float(len(text)) - len(question) / 100 for text in texts),
                tokens=tuple(len(text) for text in texts),
                greedy=tuple(text == "b" for text in texts),
                prompt_tokens=len(question),
            )
            for question, texts in zip(questions, continuations, strict=True)
        ]


def item(name: str, **fields) -> Item:
    given = {"category": "c", "question": "q", "answer": "", "answers": ()}
    return Item(item_id=name, mode="choose", **{**given, **fields})


def test_each_continuation_follows_its_context():
    shard = SimpleNamespace(job=SimpleNamespace(id="S", fingerprint={"mode": "choose"}))
    asked = Answering(Lengths(), [shard], SimpleNamespace(features=id), {})
    batch = [
        item("one", continuations=("aa", "b")),
        item("two", question="x", contexts=("x", "yyy"), continuations=("b", "ccc")),
    ]
    rows = [Row(shard, one) for one in batch]
    plain, apart = asked._chosen(rows)
    assert plain == Likelihoods((-2.01, -1.01), (2, 1), (False, True), 1)
    assert apart == Likelihoods((-1.01, -3.03), (1, 3), (True, False), 1)
    assert [record["loglikelihoods"] for record in asked._read(rows)] == [
        plain.sums,
        apart.sums,
    ]


def test_contexts_are_kept_in_the_table_of_items():
    made = [item("two", contexts=("x", "yyy"), continuations=("b", "ccc"))]
    assert from_table(to_table(made)) == made
