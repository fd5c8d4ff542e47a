"""How long the item page of 4,000 items and 6 experiments takes: python -m tests.browser.bench."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.support.browser import browsing
from tests.support.page_cases import write_page
from tests.support.page_studies import Made

if TYPE_CHECKING:
    from playwright.sync_api import Page

ITEMS = 4000
FILTERS = (
    {"flip": "both"},
    {"category": "animal-multi", "flip": "lost"},
    {"verdict": "wrong", "reason": "option text"},
    {"text": "question 39"},
    {"experiment": "SF-3", "against": "SF-1", "flip": "gained"},
)
_FILTERED = """async (settings) => {
    const start = performance.now();
    lorascope.state.go({view: "items", ...settings});
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return [performance.now() - start, document.querySelector(".matches b").textContent];
}"""


def measure(page: "Page", path: Path) -> None:
    """Print the time to a whole summary, to the list of items, and of each filter, in ms."""
    page.goto(path.as_uri())
    page.wait_for_selector(".flow-drawing path")
    print(f"open: {page.evaluate('performance.now()'):.0f} ms, all charts drawn")
    page.evaluate("lorascope.state.go({view: 'items'})")
    page.wait_for_selector(".entry")
    for settings in FILTERS:
        spent, shown = page.evaluate(_FILTERED, settings)
        print(f"filter {settings}: {spent:.0f} ms, {shown}")


def main() -> None:
    """Make the page, open it and filter its items."""
    with TemporaryDirectory() as folder, browsing() as browser:
        path = write_page(Path(folder), Made(items=ITEMS))
        size = sum(one.stat().st_size for one in Path(folder).rglob("*") if one.is_file())
        print(f"{ITEMS} items x 6 experiments: {size / 1e6:.1f} MB")
        measure(browser.new_context(offline=True).new_page(), path)


if __name__ == "__main__":
    main()
