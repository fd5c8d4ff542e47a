"""The default study's page, of a few of its items, as the stages make it and a browser shows it."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.basics import ROOT
from tests.support.browser import browsing, flips, opened, played
from tests.support.stagehand import Bench

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with browsing() as found:
        yield found


def demo() -> dict[str, Any]:
    """Return the default study with two scalings and a few items of each category."""
    study = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    (dataset,) = study["datasets"].values()
    dataset["items_per_category"] = 3
    swept = study["experiments"][0] | {"grid": {"lora_scaling": [0, 4]}, "batch_size": 24}
    swept["id"] = "SF-{lora_scaling}"
    return study | {"experiments": [swept], "baseline": "SF-4"}


def test_the_demo_is_browsed(
    browser: "Browser",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    monkeypatch.chdir(tmp_path)
    folder = Bench(demo(), capsys).finish()
    with (folder / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["gained"]]
    rows = [row for row in rows if not row["category"].startswith("all items")]
    with opened(browser, folder / "index.html") as page:
        page.wait_for_selector(".flow-drawing path")
        page.evaluate("lorascope.state.go({view: 'items'})")
        page.wait_for_selector(".entry")
        known = [(int(row["gained"]), int(row["lost"])) for row in rows]
        assert sum(map(sum, known)) > 0
        assert flips(page, rows, "SF-4") == [[*pair, sum(pair)] for pair in known]
        page.evaluate("lorascope.state.go({view: 'items'})")
        page.locator(".entry").first.click()
        page.wait_for_selector(".card")
        ready, seconds, reached = played(page)
        assert ready >= 2 and seconds == pytest.approx(reached) and seconds > 0
        page.get_by_role("button", name="Switch to the dark theme").click()
        page.evaluate("lorascope.state.go({view: 'tables'})")
        page.wait_for_selector(".tabulator-row")
