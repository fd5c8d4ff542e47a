"""A headless Chromium without a network, and pages in it whose every complaint is heard."""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.basics import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

NOT_ALLOWED = 77
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}


def chromium() -> str:
    """Return the path of a Chromium, installed if need be; skip the test where there is none."""
    if os.environ.get("LORASCOPE_BROWSER") == "0":
        pytest.skip("LORASCOPE_BROWSER=0")
    command = [ROOT / "tests" / "browser" / "up.sh"]
    up = subprocess.run(command, text=True, capture_output=True, check=False, timeout=300)
    if up.returncode == NOT_ALLOWED:
        pytest.skip(up.stderr.strip().splitlines()[-1])
    assert up.returncode == 0, up.stderr
    return up.stdout.strip()


@contextmanager
def browsing() -> Iterator["Browser"]:
    """Yield a browser; skip the test where there is none, or nothing to drive it with."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium()
    # Its sandbox does not work as root; what it opens here is the tests' own.
    options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@contextmanager
def watched(
    browser: "Browser", path: Path, state: str = "", heard: str = "", **options: Any
) -> Iterator["Page"]:
    """Yield a page from disk at a state ("#items?..."), the network off.

    When the test is done with it: nothing complained, and nothing but files was asked for. heard:
    the only type of messages on the console that counts. options: those of the browser's context.
    """
    context = browser.new_context(offline=True, **options)
    context.set_default_timeout(20_000)
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []

    def hear(message: "ConsoleMessage") -> None:
        if heard in ("", message.type):
            complaints.append(f"{message.type}: {message.text}")

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.resolve().as_uri() + state)
    yield page
    context.close()
    assert not complaints, complaints
    abroad = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    assert not abroad, abroad


@contextmanager
def opened(
    browser: "Browser", path: Path, state: str = "", phone: bool = False, scheme: str = "light"
) -> Iterator["Page"]:
    """Yield an item page as `watched` does, once it shows something."""
    size = PHONE if phone else DESK
    own = {"viewport": size, "color_scheme": scheme, "reduced_motion": "reduce"}
    with watched(browser, path, state, **own) as page:
        page.wait_for_selector("#main > .view *")
        yield page


_FLIPS = """(asked) => asked.map((settings) => {
    lorascope.state.go({view: "items", ...settings});
    return parseInt(document.querySelector(".matches b").textContent.replace(",", ""));
})"""
_PLAYED = """(a) => new Promise((done, fail) => {
    a.onended = () => done([a.readyState, a.duration, a.currentTime]);
    a.onerror = () => fail(new Error("not played"));
    a.muted = true;
    a.playbackRate = 4;
    a.play().catch(fail);
})"""


def flips(page: "Page", rows: Iterable[Mapping[str, Any]], against: str) -> list[list[int]]:
    """Return how many items the browser shows as gained, lost and flipped for each row."""
    kinds = ("gained", "lost", "both")
    asked = [
        {"experiment": row["experiment"], "category": row["category"]}
        | {"against": against, "flip": kind}
        for row in rows
        for kind in kinds
    ]
    found = page.evaluate(_FLIPS, asked)
    return [found[i : i + len(kinds)] for i in range(0, len(found), len(kinds))]


def played(page: "Page") -> tuple[int, float, float]:
    """Play the open item's clip to its end; return its readyState, seconds and seconds played."""
    ready, seconds, reached = page.locator("audio").evaluate(_PLAYED)
    return ready, seconds, reached
