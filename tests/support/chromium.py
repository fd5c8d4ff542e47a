"""Debian's Chromium, headless and without a network, for what has to be looked at."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM.exists() and find_spec("playwright")),
    reason="needs the Python package playwright, and chromium of Debian's package at /usr/bin",
)


@contextmanager
def opened(file: Path) -> "Iterator[tuple[Page, list[str]]]":
    """Open a file from disk; yield the page, and what goes wrong on it as it is used."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(offline=True, viewport={"width": 1400, "height": 900}).new_page()
        page.set_default_timeout(20_000)
        problems: list[str] = []
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.goto(file.resolve().as_uri())
        yield page, problems
        browser.close()
