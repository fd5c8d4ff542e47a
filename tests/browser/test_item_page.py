"""The item page in headless Chromium, opened from disk with the network off."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from tests.support.browser import browsing, flips, opened, played
from tests.support.page_cases import write_page
from tests.support.page_studies import ATTACK, ERRORS, Made

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

FULL = Made(clips=True, likelihoods=True, judge=True, unjudged=True)
ITEM = "animal-multi/00001"
CONDITIONS = Made(datasets=("clean", "noisy"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("full"), FULL)


def items(**settings: str) -> str:
    return f"#items?{urlencode(settings)}"


def matches(page: "Page") -> int:
    """Return how many items the browser says it shows."""
    return int(page.locator(".matches b").inner_text().split(" of ")[0].replace(",", ""))


def column(page: "Page", place: int) -> list[str]:
    """Return the cells of a column of the shown table, from top to bottom."""
    cells = page.locator(".tabulator-row").all()
    return [row.locator(".tabulator-cell").nth(place).inner_text() for row in cells]


def chosen(page: "Page", label: str) -> "Locator":
    return page.get_by_role("combobox", name=label, exact=True)


def has_no_sideways_scroll(page: "Page") -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_summary_shows_every_chart(browser: "Browser", full: Path) -> None:
    with opened(browser, full) as page:
        page.wait_for_selector(".flow-drawing path.gained")
        assert page.locator("h1").inner_text() == "A made-up study"
        assert page.locator(".panel canvas").count() == len(FULL.tabled)
        assert page.locator(".matrix tbody tr").count() == len(FULL.experiments)
        assert page.locator(".outcome").count() == len(FULL.experiments)
        assert page.locator(".steps tbody tr").count() == len(FULL.experiments) - 1
        assert page.title() == "A made-up study – Summary"
        drawn = (
            "[...document.querySelectorAll('.panel canvas')].map((one) => one.toDataURL().length)"
        )
        assert all(length > 2000 for length in page.evaluate(drawn))


def test_texts_are_text_whatever_they_hold(browser: "Browser", full: Path) -> None:
    first = FULL.ids[0]
    with opened(browser, full, items(item=first)) as page:
        page.wait_for_selector(".card")
        assert page.locator(".question").inner_text() == ATTACK
        assert ATTACK in page.locator(".card .said").first.inner_text()
        assert page.locator("#main img, #main script").count() == 0
        page.evaluate("lorascope.state.go({view: 'summary'})")
        assert ATTACK in page.locator(".notes").inner_text()
        assert page.title() == "A made-up study – Summary"


def test_the_page_may_not_reach_a_network(browser: "Browser", full: Path) -> None:
    broken = """new Promise((done) => {
        document.addEventListener("securitypolicyviolation", (e) => done(e.effectiveDirective));
        new Image().src = "http://127.0.0.1:9/pixel.png";
    })"""
    with (
        pytest.raises(AssertionError, match="Content Security Policy"),
        opened(browser, full) as page,
    ):
        assert page.evaluate(broken) == "img-src"


def test_the_table_is_sorted_and_filtered(browser: "Browser", full: Path) -> None:
    with opened(browser, full, "#tables") as page:
        head = page.locator(".tabulator-col", has_text="accuracy").first
        head.locator(".tabulator-col-title").click()
        values = [float(cell) for cell in column(page, 7)]
        assert len(values) == 24 and values == sorted(values)
        head.locator(".tabulator-col-title").click()
        assert [float(cell) for cell in column(page, 7)] == sorted(values, reverse=True)
        page.get_by_label("Filter accuracy", exact=True).fill("> 60")
        above = [value for value in values if value > 60]
        page.wait_for_function(
            "document.querySelector('[role=status]').textContent.includes(' of ')"
        )
        assert page.locator("[role=status]").inner_text() == f"{len(above)} of 24 rows"
        page.get_by_label("Filter category").fill("multi")
        page.wait_for_timeout(50)
        assert {cell.rpartition("-")[2] for cell in column(page, 3)} == {"multi"}


@pytest.mark.parametrize("made", [FULL, CONDITIONS], ids=["unjudged items", "conditions"])
def test_flipped_items_are_those_gained_and_lost(
    made: Made, browser: "Browser", tmp_path: Path
) -> None:
    with opened(browser, write_page(tmp_path, made), "#items") as page:
        page.wait_for_selector(".matches b")
        table = page.evaluate("lorascope.read('study').then((s) => s.tables.comparison)")
        rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
        rows = [row for row in rows if row["gained"] is not None]
        known = [[row["gained"], row["lost"], row["gained"] + row["lost"]] for row in rows]
        assert sum(map(sum, known)) > 0
        assert flips(page, rows, made.baseline) == known


def test_a_cell_opens_its_items(browser: "Browser", full: Path) -> None:
    with opened(browser, full) as page:
        page.locator(".matrix tbody tr").nth(1).locator("a").nth(2).click()
        page.wait_for_selector(".entry")
        assert chosen(page, "Experiment").input_value() == "SF-1"
        assert chosen(page, "Category").input_value() == "emotion-single"
        assert chosen(page, "Compared with").input_value() == FULL.baseline
        assert matches(page) == FULL.items / len(FULL.categories)
        page.go_back()
        page.wait_for_selector(".matrix")


def test_filters_say_how_many_they_leave(browser: "Browser", full: Path) -> None:
    credits = FULL.credits[("SF-2", "")]
    with opened(browser, full, items(experiment="SF-2")) as page:
        page.wait_for_selector(".entry")
        for verdict, credit in (("right", 1.0), ("wrong", 0.0), ("unjudged", None)):
            chosen(page, "Verdict").select_option(verdict)
            assert matches(page) == credits.count(credit)
            label = chosen(page, "Verdict").locator("option:checked").inner_text()
            assert label == f"{verdict} ({credits.count(credit)})"
        page.get_by_role("button", name="Clear filters").click()
        page.get_by_label("Search").fill("question 17")
        assert matches(page) == 1
        page.get_by_label("Search").fill("nowhere to be found")
        assert matches(page) == 0
        page.get_by_role("button", name="Clear filters").click()
        assert matches(page) == FULL.items
        chosen(page, "Judge").select_option("correct")
        judged = sum(bool(value) for value in credits[1::2])
        assert matches(page) == judged


def test_an_item_is_shown_with_all_that_belongs_to_it(browser: "Browser", full: Path) -> None:
    with opened(browser, full, items(experiment="SF-0", item=ITEM)) as page:
        page.wait_for_selector(".card")
        assert page.locator(".card").count() == len(FULL.experiments)
        assert page.locator(".card.compared").get_attribute("data-experiment") == FULL.baseline
        texts = {
            card.get_attribute("data-experiment"): card.locator(".said").first
            for card in page.locator(".card").all()
        }
        base = texts[FULL.baseline].inner_text()
        own = texts["SF-0"].evaluate(
            "(p) => [...p.childNodes].filter((n) => n.tagName !== 'DEL')"
            ".map((n) => n.textContent).join('')"
        )
        assert own != base and own.startswith("I hear ")
        kept = texts["SF-0"].evaluate(
            "(p) => [...p.childNodes].filter((n) => n.tagName !== 'INS')"
            ".map((n) => n.textContent).join('')"
        )
        assert kept == base
        assert page.locator(".option.gold .letter").inner_text() == "b"
        assert page.locator(".margins li").count() == len(FULL.experiments)
        assert page.locator(".card").first.locator(".likelihoods li").count() == 4
        assert "It names the sound." in page.locator(".card").first.inner_text()
        page.get_by_role("button", name="These two").click()
        assert page.locator(".card").count() == 2


def test_the_clip_is_loaded_when_it_is_played(browser: "Browser", full: Path) -> None:
    with opened(browser, full, items(item=ITEM)) as page:
        audio = page.locator("audio")
        assert audio.get_attribute("preload") == "none"
        assert audio.evaluate("(a) => a.readyState") == 0
        ready, seconds, reached = played(page)
        assert ready >= 2 and seconds == pytest.approx(0.5) and reached == pytest.approx(seconds)


def test_the_theme_is_kept(browser: "Browser", full: Path) -> None:
    back = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, full) as page:
        light = page.evaluate(back)
        page.get_by_role("button", name="Switch to the dark theme").click()
        dark = page.evaluate(back)
        assert light != dark
        page.reload()
        page.wait_for_selector(".matrix")
        assert page.evaluate(back) == dark
    with opened(browser, full, scheme="dark") as page:
        assert page.evaluate(back) == dark


def test_a_phone_shows_it_without_sideways_scrolling(browser: "Browser", full: Path) -> None:
    views: dict[str, dict[str, str]] = {
        ".flow-drawing": {"view": "summary"},
        ".tabulator-row": {"view": "tables"},
        ".entry": {"view": "items"},
        ".card": {"view": "items", "item": ITEM},
    }
    with opened(browser, full, phone=True) as page:
        for shown, state in views.items():
            page.evaluate("lorascope.state.go", state)
            page.wait_for_selector(shown)
            assert has_no_sideways_scroll(page), state
        assert not page.locator(".list").is_visible()
        page.get_by_role("button", name="← All items").click()
        assert page.locator(".list").is_visible()


def test_a_keyboard_is_enough(browser: "Browser", full: Path) -> None:
    with opened(browser, full) as page:
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.locator(":focus").get_attribute("id") == "main"
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Shift+Tab")
        assert page.locator(":focus").inner_text() == "Items"
        page.keyboard.press("Enter")
        page.wait_for_selector(".entry")
        page.locator(".list").focus()
        page.keyboard.press("ArrowDown")
        page.wait_for_selector(".card")
        where = page.locator(".where")
        assert FULL.ids[0] in where.inner_text()
        for key, place in (
            ("j", 1),
            ("ArrowDown", 2),
            ("k", 1),
            ("End", FULL.items - 1),
            ("Home", 0),
        ):
            page.keyboard.press(key)
            page.wait_for_function(
                f"document.querySelector('.where').textContent.includes('{FULL.ids[place]}')"
            )
        page.keyboard.press("/")
        assert page.locator(":focus").get_attribute("type") == "search"
        page.keyboard.type("j")
        assert page.get_by_label("Search").input_value() == "j"
        page.locator(".list").focus()
        page.keyboard.press("Escape")
        page.wait_for_selector(".detail .empty")


def test_a_link_opens_the_same_view(browser: "Browser", full: Path) -> None:
    state = items(experiment="SF-1", against="SF-3", flip="both", category="animal-multi")
    with opened(browser, full, state) as page:
        page.wait_for_selector(".entry")
        page.locator(".entry").first.click()
        page.wait_for_selector(".card")
        text, address, count = page.locator(".where").inner_text(), page.url, matches(page)
        assert count < FULL.items / len(FULL.categories)
    with opened(browser, full, address[address.index("#") :]) as page:
        page.wait_for_selector(".card")
        assert (page.locator(".where").inner_text(), matches(page)) == (text, count)
        assert chosen(page, "Compared with").input_value() == "SF-3"
    with opened(browser, full.parent / "page" / "index.html", state) as page:
        page.wait_for_selector(".entry")
        assert matches(page) == count


ODD: dict[str, Made] = {
    "a hundred models": Made(swept=False, scalings=range(100), items=8),
    "one item": Made(scalings=(1,), items=1, categories=("animal-single",)),
    "many categories, lower is better": Made(
        categories=[f"subject {i}" for i in range(60)], items=120, measure=ERRORS
    ),
    "two metrics": Made(metrics=("f1", "em"), categories=("original", "new")),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_studies_are_shown(name: str, browser: "Browser", tmp_path: Path) -> None:
    made = ODD[name]
    page_file = write_page(tmp_path, made)
    with opened(browser, page_file) as page:
        assert page.locator(".matrix tbody tr").count() == len(made.experiments)
        assert has_no_sideways_scroll(page)
        for state in (
            {"view": "tables", "table": "experiments"},
            {"view": "items", "item": made.ids[0]},
        ):
            page.evaluate("lorascope.state.go", state)
            page.wait_for_selector(".tabulator-row, .card")
        assert page.locator(".card").count() == len(made.experiments)


def test_a_condition_is_told_from_another(browser: "Browser", tmp_path: Path) -> None:
    made = CONDITIONS
    with opened(
        browser, write_page(tmp_path, made), items(item=ITEM, experiment="SF-1-noisy")
    ) as page:
        page.wait_for_selector(".card")
        assert page.locator(".card").count() == len(made.experiments)
        assert page.locator(".card", has_text="noise at 5 dB").count() == len(made.scalings)
        assert page.locator(".card.compared").get_attribute("data-experiment") == made.baseline


def test_a_missing_file_is_named(browser: "Browser", tmp_path: Path) -> None:
    page_file = write_page(tmp_path, Made(items=4))
    (tmp_path / "page" / "data" / "items-0-0.js").unlink()
    with (
        pytest.raises(AssertionError, match="ERR_FILE_NOT_FOUND"),
        opened(browser, page_file, items(item=ITEM)) as page,
    ):
        said = page.locator(".problem").inner_text()
        assert said.startswith("page/data/items-0-0.js is missing or damaged; run the study again")
