"""SQuAD's download, from a real HTTP server on loopback that answers as the hub does."""

import json

from lorascope.benchmarks.squad.items import FILES, build_items
from tests.support.hub import COMMIT, FIXTURES, NEWER, leftovers, parquet, refused, without

hub, machine = FIXTURES
DOWNLOAD = "lorascope.benchmarks.squad.download:download_squad"


def question(number, title="Rain", context="It rains.", **changes):
    return {
        "id": f"q{number}",
        "title": title,
        "context": context,
        "question": f"Whät {{falls}} {number}?",
        "answers": {"text": ["rain", "It rains"], "answer_start": [3, 0]},
    } | changes


QUESTIONS = [
    question(0),
    question(1),
    question(2, context="It snows."),
    question(3, title="Sun", context="It shines."),
]
DEV = "plain_text/validation-00000-of-00001.parquet"
TRAIN = "plain_text/train-00000-of-00001.parquet"


def publish_squad(hub, repo="lab/squad", **changes):
    files = {"README.md": b"#", DEV: parquet(QUESTIONS), TRAIN: parquet([question(9)])} | changes
    hub.repositories["dataset", repo] = {name: data for name, data in files.items() if data}


def test_squad_is_written_in_its_published_layout(hub, machine, tmp_path):
    publish_squad(hub)
    root = tmp_path / "downloads" / "squad@main"
    assert machine.call(DOWNLOAD, "lab/squad", "main", root) == COMMIT
    assert {path.name for path in root.iterdir()} == {*FILES.values(), "source.json"}
    content = json.loads((root / "dev-v1.1.json").read_text(encoding="utf-8"))
    assert content["version"] == "1.1"
    assert [article["title"] for article in content["data"]] == ["Rain", "Sun"]
    assert [len(p["qas"]) for a in content["data"] for p in a["paragraphs"]] == [2, 1, 1]
    assert content["data"][0]["paragraphs"][0]["qas"][1] == {
        "id": "q1",
        "question": "Whät {falls} 1?",
        "answers": [{"text": "rain", "answer_start": 3}, {"text": "It rains", "answer_start": 0}],
    }
    dataset = {"split": "train", "category": "squad", "one_per_paragraph": False, "items": None}
    [item], _ = build_items(root, dataset | {"prompt": "{question}"}, None)
    assert (item.item_id, item.answers) == ("squad/q9", ("rain", "It rains"))
    assert not [path for _, path in hub.requests if "README" in path]

    hub.requests.clear()
    hub.commit = NEWER
    assert machine.call(DOWNLOAD, "lab/squad", "main", root) == COMMIT
    assert hub.requests == []
    words = [str(root), "lab/squad at revision v2", "remove"]
    machine.refuses(DOWNLOAD, "lab/squad", "v2", root, words=words)


def test_squad_that_breaks_off_leaves_nothing(hub, machine, tmp_path):
    publish_squad(hub)
    hub.breaking.add(TRAIN)
    root = tmp_path / "downloads" / "squad@main"
    words = ["lab/squad at revision main", "broke off"]
    machine.refuses(DOWNLOAD, "lab/squad", "main", root, words=words)
    assert not root.exists()
    hub.breaking.clear()
    hub.broken.clear()
    machine.call(DOWNLOAD, "lab/squad", "main", root)
    assert not leftovers(tmp_path)


def test_squad_of_another_layout_leaves_nothing(hub, machine, tmp_path):
    odd = {"text": ["rain"], "answer_start": [3, 0]}
    cases = [
        ({TRAIN: b"PAR1 is not enough"}, ["not a readable Parquet file"]),
        ({TRAIN: None}, ["no plain_text/train-*.parquet"]),
        ({TRAIN: None, DEV: None}, ["no file matches"]),
        ({DEV: parquet([without(QUESTIONS[0], "context")])}, ["no column context"]),
        ({DEV: parquet([question(5, answers=None)])}, ["question q5", "answer_start"]),
        ({DEV: parquet([question(5, answers=odd)])}, ["question q5", "of one length"]),
        ({DEV: parquet([question(5, answers=[{"text": "rain"}])])}, ["question q5", "two lists"]),
    ]
    calls = []
    for number, (changes, _) in enumerate(cases):
        publish_squad(hub, f"lab{number}/squad", **changes)
        calls.append((DOWNLOAD, (f"lab{number}/squad", "main", tmp_path / f"s{number}")))
    for outcome, (_, words) in zip(machine.calls(*calls), cases, strict=True):
        refused(outcome, words)
    assert not list(tmp_path.glob("s*"))
    assert not leftovers(tmp_path)
