"""A whole study with a judge, as Snakemake runs it: what is left, what it says, where a key is."""

from contextlib import chdir

from tests.support.judge_server import KEY, scripted_server
from tests.support.judged import Judged, study
from tests.support.lab import ENVIRONMENT, Lab, copy_repository
from tests.support.reports import rows_of

NAME = "LORASCOPE_TEST_JUDGE_KEY"


def test_snakemake_judges_between_merge_and_score(tmp_path, monkeypatch, capsys):
    copy_repository(tmp_path)
    (tmp_path / "server").mkdir()
    with scripted_server(tmp_path / "server") as server, chdir(tmp_path):
        made = study({"name": "rules_then_judge", "judge": "big", "agreement": 1})
        settings = {"base_url": server.base_url, "model": "locked", "api_key_env": NAME}
        made["judges"] = {"big": {"server": settings | {"retries": 0}, "attempts": 2}}
        # Answers are there; the model that gave them is not, and is not asked for.
        responses = ["dog", "a <<plain>>", "a <<wrong>>", "a <<unreadable>>"]
        judged = Judged(made, capsys)
        judged.answer(list("1234"), A=responses, B=["dog"] * 4)
        lab = Lab(tmp_path, made)
        assert lab.plan() == [
            *("judge A", "judge B", "page", "report", "score A", "score B"),
        ]
        [said] = [job.message for job in lab.ran if job.name == "judge A"]
        assert said.startswith("A: big (locked at http://127.0.0.1:")
        monkeypatch.setitem(ENVIRONMENT, NAME, KEY)
        done = lab.snakemake()
        assert done.returncode == 0, done.stdout
        asked = sum(server.counts()["asked"].values())
        assert judged.bench.left() == []
    report = tmp_path / "results" / "reports" / "judged"
    rows = {row["experiment"]: row for row in rows_of((report / "accuracy.csv").read_text())}
    cells = ("correct", "incorrect", "unjudged", "accuracy")
    assert [rows["A"][name] for name in cells] == ["2", "1", "1", "66.66666666666667"]
    assert [rows["B"][name] for name in cells] == ["4", "0", "0", "100.0"]
    agreement = rows_of((report / "agreement.csv").read_text())
    assert {row["experiment"]: row["items"] for row in agreement} == {"A": "1", "B": "1"}
    # A: three and one more attempt, and a decided one; B's decided one is the same question or not.
    assert asked in (5, 6)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert KEY not in done.stdout
    assert not [
        path for path in files if KEY.encode() in path.read_bytes() and path.suffix != ".py"
    ]
