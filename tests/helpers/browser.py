"""Pages in a real browser, headless: what it logs, what it asks for, and what a checker of accessibility finds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]  # for root, and for small containers
DESKTOP, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}


@contextmanager
def started_browser() -> Iterator[Browser]:
    """Start a browser of this machine; where it has none, the test is skipped.

    Where there is one, a missing playwright is an error: these tests are not skipped in silence.
    """
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH; apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """A page that is looked at.

    Attributes:
        page: The page.
        logged: What it wrote to the console, and its errors.
        asked: Addresses that it asked for, besides its own and those in itself.
    """

    def __init__(self, context: BrowserContext, file: Path) -> None:
        self.page: Page = context.new_page()
        self.logged: list[str] = []
        self.asked: list[str] = []
        self._own = file.as_uri()
        self.page.on("console", lambda message: self.logged.append(message.text))
        self.page.on("pageerror", lambda error: self.logged.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.logged.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self._note(request.url))
        self.page.goto(self._own)

    def _note(self, url: str) -> None:
        if url.partition("#")[0] != self._own and not url.startswith(("data:", "blob:")):
            self.asked.append(url)

    def text(self, selector: str) -> str:
        """The visible text of the first element of this selector."""
        return str(self.page.locator(selector).first.inner_text())

    def texts(self, selector: str) -> list[str]:
        """The texts of all of them, visible or not."""
        return [str(text) for text in self.page.locator(selector).all_text_contents()]

    def count(self, selector: str) -> int:
        return int(self.page.locator(selector).count())

    def faults(self, **options: Any) -> list[str]:
        """What axe-core finds, each with the elements; empty if nothing is wrong. options: those of `axe.run`."""
        from axe_playwright_python.sync_playwright import Axe

        found: list[dict[str, Any]] = Axe().run(self.page, options=options).response["violations"]
        return [f"{f['impact']}: {f['id']}: {[node['target'] for node in f['nodes'][:3]]}" for f in found]
