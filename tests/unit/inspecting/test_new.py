"""`lorascope new`: what is guessed of a table, said, and written into a study that plans."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import write_clip
from tests.support.new_studies import QWEN, WHISPER, begin, refused, write_model, write_rows

OPTIONS = ["cat", "dog", "cow"]
BOTH = "{question}\n{options}"
CASES: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
    # what it is: file, rows, keys of the dataset, keys of the experiment
    "letters": (
        "a.jsonl",
        [{"question": "What barks?", "choices": OPTIONS, "answer": letter} for letter in "BA"],
        {"question": BOTH, "options": "choices", "answer": "answer"},
        {"generation": {"max_new_tokens": 16}},
    ),
    "ARC, letters and digits": (
        "a.parquet",
        [
            {"id": f"q{i}", "question": "?", "choices": {"text": ["x", "y"], "label": [*labels]}}
            | {"answerKey": labels[1]}
            for i, labels in enumerate(("AB", "12"))
        ],
        {"question": BOTH, "options": "choices.text", "letters": "choices.label"}
        | {"answer": "answerKey", "id": "id"},
        {},
    ),
    "TruthfulQA, a list of 0 and 1": (
        "a.json",
        [{"question": "?", "mc1_targets": {"choices": ["x", "y"], "labels": [0, 1]}}],
        {"question": BOTH, "options": "mc1_targets.choices", "answer": "mc1_targets.labels"},
        {},
    ),
    "MMLU, numbers and subjects": (
        "a.jsonl",
        [
            {"question": "?", "subject": "ab"[i % 2], "choices": OPTIONS, "answer": i % 3}
            for i in range(6)
        ],
        {"question": BOTH, "options": "choices", "answer": "answer"}
        | {"category": {"column": "subject"}},
        {},
    ),
    "columns A to C": (
        "a.csv",
        [{"prompt": "What barks?", "A": "cat", "B": "dog", "C": "cow", "target": "B"}],
        {"question": "{prompt}\n{options}", "options": ["A", "B", "C"], "answer": "target"},
        {},
    ),
    "numbers from 1": (
        "a.tsv",
        [{"sentence": "He _.", "option1": "sat", "option2": "ran", "answer": n} for n in "12"],
        {"question": "{sentence}\n{options}", "options": ["option1", "option2"]}
        | {"answer": "answer", "letters": ["1", "2"], "answer_by": "letter"},
        {},
    ),
    "a mapping of letters to texts": (
        "a.jsonl",
        [{"question": "?", "options": {"A": "x", "B": "y"}, "answer_idx": "B", "answer": "y"}],
        {"question": BOTH, "options": "options", "answer": "answer"},
        {},
    ),
    "questions that hold their options": (
        "a.jsonl",
        [{"question": "cat or dog?", "options": ["cat", "dog"], "gold": "dog"}],
        {"question": "question", "options": "options", "answer": "gold"},
        {},
    ),
    "an answer of another name": (
        "a.jsonl",
        [{"stem": "What barks?", "candidates": OPTIONS, "verdict": "dog"}],
        {"question": "{stem}\n{options}", "options": "candidates", "answer": "verdict"},
        {},
    ),
    "GSM8K, worked": (
        "a.jsonl",
        [{"question": "?", "answer": f"As {'so ' * 20}\n#### {n}"} for n in ("7", "1,000")],
        {"question": "question", "answer": "answer"},
        {"scorer": "number", "generation": {"max_new_tokens": 256}},
    ),
    "numbers": (
        "a.jsonl",
        [{"problem": "1 + 1", "answer": 2}],
        {"question": "problem", "answer": "answer"},
        {"scorer": "number", "generation": {"max_new_tokens": 256}},
    ),
    "SQuAD's rows": (
        "a.jsonl",
        [
            {"id": "a", "context": "It rains.", "question": "What?"}
            | {"answers": {"text": ["rain", "it rains"], "answer_start": [3, 0]}},
            {"id": "b", "context": "It rains.", "question": "When?"}
            | {"answers": {"text": ["now"], "answer_start": [0]}},
        ],
        {"question": "{context}\n{question}", "answer": "answers.text", "id": "id"},
        {"scorer": "official"},
    ),
    "aliases of an answer": (
        "a.jsonl",
        [{"question": "Who?", "answer": {"value": "Bob", "aliases": ["Bob", "Rob"]}}],
        {"question": "question", "answer": "answer.value"},
        {"scorer": "official"},
    ),
    "instructions with inputs": (
        "a.jsonl",
        [
            {"instruction": "Add", "input": "1 2", "output": "three"},
            {"instruction": "Greet", "input": "", "output": "hello"},
        ],
        {"question": "{instruction}\n{input}", "answer": "output"},
        {"scorer": "official"},
    ),
    "long answers": (
        "a.jsonl",
        [{"document": "It rained.", "summary": "word " * 20}],
        {"question": "document", "answer": "summary"},
        {"scorer": "rouge", "generation": {"max_new_tokens": 88}},
    ),
    "texts with labels": (
        "a.jsonl",
        [{"text": "good", "label": "positive"}, {"text": "bad", "label": "negative"}],
        {"question": "text", "answer": "label"},
        {"scorer": "official"},
    ),
    "texts alone": ("a.jsonl", [{"text": "It rains.", "n": 1}], {"text": "text"}, {}),
    "the one text there is": ("a.jsonl", [{"prose": "It rains."}], {"text": "prose"}, {}),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Move into a folder with the small files of a model."""
    monkeypatch.chdir(tmp_path)
    write_model(Path("llama"))
    return tmp_path


@pytest.mark.parametrize("case", CASES)
def test_a_table_is_asked_as_its_columns_say(case, capsys):
    name, rows, keys, own = CASES[case]
    write_rows(Path(name), rows)
    study, said = begin(capsys, "--model", "llama", "--data", name)
    found = study["datasets"]["a"]
    assert found.pop("benchmark") == "table"
    assert found.pop("source") == name
    assert found == {"category": "a", **keys}
    (experiment,) = study["experiments"]
    assert experiment.items() >= own.items()
    assert study["baseline"] == experiment["id"] == "llama-a"
    for key, column in keys.items():
        if isinstance(column, str) and key not in ("answer_by", "question"):
            assert f"a{Path(name).suffix}: {key}: column `{column}`" in " ".join(said.split())


def test_what_is_guessed_is_said_in_words_and_in_the_file(capsys):
    _, rows, _, _ = CASES["letters"]
    write_rows(Path("data/a.jsonl"), rows)
    _, said = begin(capsys, "--model", "llama", "--data", "data/a.jsonl", "--study", "mine")
    text = Path("study.yaml").read_text()
    for words in (
        "column `choices` (lists of 3 texts)",
        "column `answer` (letters A to B)",
        "column `question`",
        "by config.json: LlamaForCausalLM",
    ):
        assert words in said
        assert f"# {words}" in text
    assert "# mode: choose" in text
    assert "#   mine: {model: llama, source: path/to/the/folder}" in text
    assert said.splitlines()[0] == "study.yaml: 2 rows, experiments mine"


def test_a_model_without_turns_is_told_where_to_answer_and_when_to_end(capsys):
    write_model(Path("plain"), template=None)
    write_rows(Path("a.jsonl"), [{"question": "Who?", "answer": "me", "context": "I am."}])
    study, _ = begin(capsys, "--model", "plain", "--data", "a.jsonl")
    asked = "{context}\nQuestion: {question}\nAnswer:"
    assert study["datasets"]["a"]["question"] == asked
    assert study["experiments"][0]["generation"] == {"max_new_tokens": 16, "stop": ["\n"]}
    write_rows(Path("b.jsonl"), [{"prompt": "Q: Who? A:", "answer": "me"}])
    study, _ = begin(capsys, "--model", "plain", "--data", "b.jsonl", out="b.yaml")
    assert study["datasets"]["b"]["question"] == "prompt"


# ----------------------------------------------------------------------------------- clips


@pytest.mark.parametrize(
    ("columns", "answer"),
    [
        ({"path": "a.wav", "sentence": "so it is"}, "sentence"),
        ({"file": "a.wav", "text": "so it is", "speaker": "x"}, "text"),
        ({"audio": {"path": "a.wav"}, "label": 7}, "label"),
        ({"clip": "a.wav", "digit": "7"}, "digit"),
        ({"sound_of_it": "a.wav", "transcript": "so it is"}, "transcript"),
    ],
)
def test_clips_with_transcripts_are_transcribed(columns, answer, capsys):
    write_model(Path("whisper"), WHISPER)
    write_clip(Path("data/clips/a.wav"))
    write_rows(Path("data/a.jsonl"), [columns])
    study, _ = begin(capsys, "--model", "whisper", "--data", "data/a.jsonl")
    clip = next(iter(columns))
    found = study["datasets"]["a"]
    assert found["clip"] == ("audio.path" if clip == "audio" else clip)
    assert (found["clips"], found["answer"]) == ("data/clips", answer)
    assert "question" not in found
    assert study["models"]["whisper"]["family"] == "hf_speech"
    assert study["experiments"][0]["scorer"] == "wer"


def test_a_model_that_is_asked_about_clips_is_asked(capsys):
    write_model(Path("qwen"), QWEN)
    write_clip(Path("a.wav"))
    write_rows(Path("a.jsonl"), [{"file": "a.wav", "transcript": "so it is"}])
    study, _ = begin(capsys, "--model", "qwen", "--data", "a.jsonl")
    assert study["datasets"]["a"]["question"] == "Write down what is said."
    assert study["models"]["qwen"]["family"] == "hf_audio"
    rows = [{"file": "a.wav", "question": "What?", "choices": OPTIONS, "answer": "dog"}]
    write_rows(Path("b.jsonl"), rows)
    study, _ = begin(capsys, "--model", "qwen", "--data", "b.jsonl", out="b.yaml")
    assert study["datasets"]["b"].items() >= {"question": BOTH, "clip": "file"}.items()
    assert "scorer" not in study["experiments"][0]


def test_a_model_that_reads_is_not_asked_about_clips(capsys):
    write_rows(Path("a.jsonl"), [{"audio": "a.wav", "question": "What?", "answer": "a dog"}])
    study, _ = begin(capsys, "--model", "llama", "--data", "a.jsonl")
    assert study["datasets"]["a"].keys() >= {"question", "answer"}
    assert "clip" not in study["datasets"]["a"]


# ------------------------------------------------------------------- what cannot be guessed

ODD = [{"foo": "bar baz", "qux": "x", "n": 1}, {"foo": "b", "qux": "y", "n": 2}]
COLUMNS = "it has the columns foo (texts), qux (texts), n (numbers)"


def test_columns_that_say_nothing_are_listed_and_can_be_named(capsys):
    write_rows(Path("a.jsonl"), ODD)
    base = ("--model", "llama", "--data", "a.jsonl")
    message = refused(capsys, *base)
    assert message.startswith(f"a.jsonl: cannot tell what is asked; {COLUMNS}; name")
    assert "--question and --answer (and --options)" in message
    study, _ = begin(capsys, *base, "--question", "foo", "--answer", "qux", out="1.yaml")
    assert study["datasets"]["a"].items() >= {"question": "foo", "answer": "qux"}.items()
    study, _ = begin(capsys, *base, "--question", "Q: {foo}\nA:", "--answer", "n", out="2.yaml")
    assert study["datasets"]["a"]["question"] == "Q: {foo}\nA:"
    assert study["experiments"][0]["scorer"] == "number"
    study, _ = begin(capsys, *base, "--text", "{foo} {qux}", out="3.yaml")
    assert study["datasets"]["a"]["text"] == "{foo} {qux}"
    study, _ = begin(
        capsys, *base, "--question", "n", "--options", "foo,qux", "--answer", "qux", out="4.yaml"
    )
    assert study["datasets"]["a"].items() >= {"options": ["foo", "qux"], "answer": "qux"}.items()


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (ODD, ["--answer", "quux"], f"--answer 'quux' is no column; {COLUMNS}"),
        (ODD, ["--answer", "qux"], f"cannot tell the questions; {COLUMNS}; name their column by"),
        ([{"question": "?"}], [], "cannot tell the answers; it has the columns question (texts)"),
        (
            [{"question": "?", "choices": ["a", "b"], "answer": "c"}],
            [],
            "cannot tell which option is right; it has the columns question (texts), choices",
        ),
        (
            [{"question": "?", "choices": ["a", "b"], "answer": "c"}],
            ["--answer", "answer"],
            "a.jsonl: line 1: column answer: 'c' is not among the options",
        ),
        (
            [{"question": "?", "choices": [1, 2, 3], "answer": 2}],
            [],
            "set answer_by to number or text",
        ),
        ([{"question": "?", "answer": None}], [], "cannot tell the answers"),
    ],
)
def test_what_cannot_be_told_is_one_message(rows, options, words, capsys):
    write_rows(Path("a.jsonl"), rows)
    assert words in refused(capsys, "--model", "llama", "--data", "a.jsonl", *options)


def test_an_answer_in_two_ways_is_told_by_an_option(capsys):
    write_rows(Path("a.jsonl"), [{"question": "?", "choices": [1, 2, 3], "answer": 2}])
    base = ("--model", "llama", "--data", "a.jsonl", "--answer-by")
    study, said = begin(capsys, *base, "text")
    assert study["datasets"]["a"]["answer_by"] == "text"
    assert "the right text" in said


@pytest.mark.parametrize(
    ("row", "options", "words"),
    [
        ({"file": "b.wav", "text": "x"}, [], "the clip 'b.wav' is not in data; name the folder"),
        ({"name": "b", "text": "x"}, [], "the clips that the model is to hear; it has the columns"),
        ({"n": 1, "text": "x"}, ["--clip", "n"], "(n holds numbers)"),
        ({"file": "a.wav", "n": None}, [], "cannot tell the answers"),
    ],
)
def test_clips_that_are_not_there_are_one_message(row, options, words, capsys):
    write_model(Path("whisper"), WHISPER)
    write_clip(Path("data/a.wav"))
    write_rows(Path("data/a.jsonl"), [row])
    base = ("--model", "whisper", "--data", "data/a.jsonl")
    assert words in refused(capsys, *base, *options)
