"""The keys of a table in a study: what goes together, and what is said of the rest."""

import pytest

from lorascope.benchmarks.table.settings import TableData
from lorascope.errors import UserError
from lorascope.study.registry import BENCHMARKS
from lorascope.study.validation import validated
from tests.support.tables import dataset

TABLE = BENCHMARKS["table"]
ASKED = {"question": "q", "answer": "a"}
CHOICE = ASKED | {"options": "o"}
HEARD = {"clip": "path", "answer": "a"}
HUB = {"hub": "lab/own", "revision": "c0ffee" + "0" * 10}


def refused(source="a.csv", **keys) -> str:
    with pytest.raises(UserError) as caught:
        dataset(source, **keys)
    message = str(caught.value)
    assert message.startswith("study.yaml: datasets.own")
    return message.removeprefix("study.yaml: datasets.own")


@pytest.mark.parametrize(
    ("keys", "gives", "answers"),
    [
        (ASKED, "text", "texts"),
        (CHOICE, "text", "options"),
        ({"text": "passage"}, "text", "nothing"),
        ({"text": "passage", "question": "q"}, "text", "nothing"),
        (HEARD, "audio", "texts"),
        (HEARD | {"options": ["A", "B"], "question": "{q} {options}"}, "audio", "options"),
    ],
)
def test_the_keys_say_what_questions_are_about_and_what_their_gold_is(keys, gives, answers):
    found = dataset("a.csv", **keys)
    assert (TABLE.gives_of(found), TABLE.answers_of(found)) == (gives, answers)
    assert TABLE.gives_dialogues(found) is False
    # A study may be printed with all its defaults, and read again.
    again = {k: v for k, v in found.items() if k not in ("benchmark", "source")}
    lists = {k: list(v) for k, v in again.items() if isinstance(v, tuple)}
    assert dataset("a.csv", **again | lists) == found


def test_a_system_and_turns_make_dialogues():
    assert TABLE.gives_dialogues(dataset("a.csv", **ASKED, system="Be brief."))
    assert TABLE.gives_dialogues(dataset("a.csv", **ASKED, few_shot={"as": "turns"}))
    assert not TABLE.gives_dialogues(dataset("a.csv", **ASKED, few_shot={"count": 3}))


def test_the_order_of_columns_decides_and_that_of_patterns_does_not():
    from lorascope.planning.context import settings_of

    def identity(**keys):
        return settings_of(dataset("data", **CHOICE | keys), TABLE.item_settings)

    assert identity(options=["B", "A"]) != identity(options=["A", "B"])
    assert identity(letters=["B", "A"]) != identity(letters=["A", "B"])
    assert identity(files=["b", "a"]) == identity(files=["a", "b"])


SENSELESS = [
    ({}, ": answer: is missing; name the column of the right answer, or give text"),
    ({"answer": "a"}, ": question: is missing; name a column, or give a template"),
    ({"question": "q"}, ": answer: is missing"),
    ({"question": "q", "options": "o"}, ": answer: is missing"),
    (ASKED | {"letters": "l"}, ": letters: has no meaning without options; give options, or leave"),
    (ASKED | {"answer_by": "letter"}, ": answer_by: has no meaning without options"),
    (ASKED | {"continuation": "letter"}, ": continuation: has no meaning without options"),
    (ASKED | {"option_format": "{letter}"}, ": option_format: has no meaning without options"),
    (ASKED | {"audio": {"type": "noised", "position": "late"}}, ": audio: has no meaning without"),
    (ASKED | {"encode_jobs": 2}, ": encode_jobs: has no meaning without clip; give clip, or leave"),
    (ASKED | {"clips": "audio"}, ": clips: has no meaning without clip"),
    (ASKED | {"text": "t"}, ": answer: does not go with text, whose likelihood is asked"),
    ({"text": "t", "clip": "c"}, ": clip: does not go with text"),
    ({"text": "t", "system": "s"}, ": system: has no meaning where nothing is asked"),
    ({"text": "t", "few_shot": {}}, ": few_shot: does not go with text, which has no answer"),
    (HEARD | {"few_shot": {}}, ": few_shot: does not go with clip, which examples would need"),
    (
        ASKED | {"few_shot": {"as": "turns", "separator": "\n"}},
        ": few_shot.separator: has no meaning with as: turns; leave it out",
    ),
    (
        ASKED | {"few_shot": {"source": "dev.csv", "files": "*.csv"}},
        ": few_shot.files: is about the source's own files; leave it or few_shot.source out",
    ),
    (ASKED | {"question": "{q"}, ".question: '{q' has a lone '{'; write a place as {column}, and"),
    (ASKED | {"question": "q} {q}"}, ".question: 'q} {q}' has a lone '}'"),
    (CHOICE | {"option_format": "{letter} {x}"}, ".option_format: '{letter} {x}' has to hold {let"),
    (
        CHOICE | {"option_format": "x"},
        ".option_format: 'x' has to hold {letter} and {text}, and no",
    ),
    (CHOICE | {"options": 3}, ".options: 3 is not valid here; expected the name of a column, or a"),
    (CHOICE | {"options": ["A"]}, ": options: one column is not enough; list the column of each"),
    (ASKED | {"files": {"a": 1}}, ".files: "),
    (ASKED | {"category": {"colum": "x"}}, ".category: unknown key 'colum'; did you mean column?"),
    (ASKED | {"few_shot": {"as": "turn"}}, ".few_shot.as: 'turn' is not one of text, turns"),
    (ASKED | {"few_shot": {"a": "turns"}}, ".few_shot: unknown key 'a'; did you mean as?"),
    (ASKED | {"few_shot": {"count": 0}}, ".few_shot.count: 0 is not valid here; it has to be at l"),
    (ASKED | {"anwser": "a"}, ": unknown key 'anwser'; did you mean answer?"),
]


@pytest.mark.parametrize(("keys", "words"), SENSELESS)
def test_keys_that_make_no_sense_together_are_named(keys, words):
    assert refused(**keys).startswith(words)


def test_what_a_data_set_of_the_hub_does_not_see_is_refused():
    message = refused(HUB, **ASKED, few_shot={"source": "dev.csv"})
    assert message.startswith(": few_shot.source: is no part of the data set of the hub; choose")
    message = refused(HUB, **HEARD, clips="audio")
    assert message.startswith(": clips: a data set of the hub brings its clips along")
    assert dataset(HUB, **HEARD)["source"] == HUB


def test_training_data_has_the_same_keys():
    part = {"format": "table", "source": "a.csv"}
    found = validated(TableData, part | CHOICE, "study.yaml", "data").model_dump()
    assert TABLE.training.gives_of(found) == "text"
    heard = validated(TableData, part | HEARD, "study.yaml", "data").model_dump()
    assert TABLE.training.gives_of(heard) == "audio"
    for keys, words in (
        ({"question": "q"}, "data: answer: is missing"),
        (CHOICE | {"few_shot": {}}, "data: unknown key 'few_shot'"),
    ):
        with pytest.raises(UserError, match=words):
            validated(TableData, part | keys, "study.yaml", "data")


def test_only_an_audio_condition_leaves_the_questions_the_same():
    late = {"type": "noised", "position": "late"}
    one = dataset("a.csv", **HEARD)
    assert TABLE.are_conditions(one, dataset("a.csv", **HEARD, audio=late, encode_jobs=2))
    assert not TABLE.are_conditions(one, dataset("b.csv", **HEARD))
    assert not TABLE.are_conditions(one, dataset("a.csv", **HEARD, items=3))
    # The tracks that two datasets ask about are categories of their own.
    assert BENCHMARKS["sakura"].are_conditions({"tracks": ["animal"]}, {"tracks": ["gender"]})
    assert not BENCHMARKS["squad"].are_conditions({}, {})
