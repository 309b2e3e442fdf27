"""The page is safe to open: it loads nothing, runs nothing but its own script, and shows names as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

import pytest

from featstore.reporting.escaping import legible
from helpers.browser import Visit
from helpers.report_content import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Open = Callable[..., Visit]


class Server(NamedTuple):
    """Where it listens, and the paths that it was asked for."""

    url: str
    asked: list[str]


# What somebody who gets text into the page would try. Each notes in `window.ran` that it ran.
ATTACK = """async (server) => {
  window.ran = [];
  const script = document.createElement("script");
  script.textContent = "window.ran.push('inline script')";
  const handler = document.createElement("div");
  handler.innerHTML = "<img src='data:,' onerror='window.ran.push(\\"handler\\")'>";
  const link = document.createElement("a");
  link.href = "javascript:void window.ran.push('link')";
  const style = document.createElement("style");
  style.textContent = "h1 { color: rgb(1, 2, 3) }";
  const frame = document.createElement("iframe");
  frame.srcdoc = "<script>parent.ran.push('frame')</" + "script>";
  document.body.append(script, handler, link, style, frame);
  link.click();
  const image = new Image();
  image.src = server + "/image";
  document.body.append(image);
  await fetch(server + "/fetch").catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 300));
  if (getComputedStyle(document.querySelector("h1")).color === "rgb(1, 2, 3)") window.ran.push("style");
  return window.ran.sort();
}"""
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


def test_nothing_is_loaded_and_nothing_is_logged(visit: Open) -> None:
    """The fixture looks at both when a test is over, whatever it opened; here after the page was read to its end."""
    page = visit().page
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for_load_state("networkidle")


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine that notes what it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield Server(f"http://127.0.0.1:{listening.server_port}", asked)
        listening.shutdown()


def test_what_is_put_into_the_page_does_not_run(visit: Open, server: Server) -> None:
    """The policy of the page stops scripts, handlers, links, styles, frames and requests."""
    seen = visit()
    assert seen.page.evaluate(ATTACK, server.url) == []
    assert server.asked == []
    assert any("Content Security Policy" in line for line in seen.logged)
    seen.logged.clear()  # the refusals,
    seen.asked.clear()  # and the attempts


def test_without_the_policy_it_would_run(
    browser: Browser, files: dict[str, Path], tmp_path: Path, server: Server
) -> None:
    """So the test above can fail."""
    html, removed = POLICY.subn("", files["usual"].read_text())
    assert removed == 1
    (tmp_path / "open.html").write_text(html)
    page = browser.new_page()
    page.goto((tmp_path / "open.html").as_uri())
    assert page.evaluate(ATTACK, server.url) == ["frame", "handler", "inline script", "link", "style"]
    assert sorted(server.asked) == ["/fetch", "/image"]
    page.close()


def test_names_that_are_scripts_are_text(visit: Open) -> None:
    """Wherever a name stands, and in what the page's own script adds when it is used."""
    seen = visit("hostile")
    page = seen.page
    for cell in page.locator("#matrix .cell").all()[:12]:
        cell.click()
    page.select_option("#map-colour", "answer")
    page.click("#filter button[type=submit]")
    page.focus("#map-canvas")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    tags, attributes, links, scripts = page.evaluate(
        """() => [
          [...document.body.querySelectorAll("*")].map((one) => one.localName),
          [...document.querySelectorAll("*")].flatMap((one) => one.getAttributeNames()),
          [...document.links].map((link) => link.getAttribute("href")),
          document.scripts.length,
        ]"""
    )
    assert not {"img", "iframe", "object", "embed", "link", "b", "style"} & set(tags)
    assert not [name for name in attributes if name.startswith("on")]
    assert all(link.startswith("#") for link in links)
    assert scripts == 3
    text = str(page.locator("body").text_content())
    for name in HOSTILE:
        assert text.count(legible(name)) > 10
    assert seen.text("h1") == HOSTILE[0]
    assert [*dict.fromkeys(seen.texts("#matrix tbody th"))] == [legible(name) for name in HOSTILE]
    assert "49" not in seen.texts("#matrix th")  # {{ 7 * 7 }}


def test_the_names_in_a_saved_list_are_no_formulas(visit: Open, tmp_path: Path) -> None:
    """A spreadsheet would run them."""
    page = visit("hostile").page
    page.click("#filter button[type=submit]")
    with page.expect_download() as download:
        page.click("#map-list .save")
    download.value.save_as(tmp_path / "images.csv")
    header, *rows = (tmp_path / "images.csv").read_text().splitlines()
    assert header == '"path","split","label","answer","probability"'
    assert len(rows) == 140
    assert not re.search(r'"[=+@-]', "\n".join(rows))
    assert "\"'=cmd|" in "\n".join(rows)
