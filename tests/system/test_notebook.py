"""Results in a notebook: what a reader sees there, and that names of files and classes stay text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from IPython.core.interactiveshell import InteractiveShell

from featstore.system.notebook import Picture
from featstore.system.text import Shown, Table
from helpers.browser import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "</td></table><script>alert(1)</script><img src=x onerror=alert(1)>"
VOID = {"img"}


class Tree(HTMLParser):
    """The elements of a piece of HTML: each as (name, attributes, text inside). Fails where one is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element: tuple[str, dict[str, str | None], list[str]] = (tag, dict(attrs), [])
        self.found.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, _, text in self._open:
            text.append(data)

    def texts(self, *tags: str) -> list[str]:
        return ["".join(text) for tag, _, text in self.found if tag in tags]


@dataclass(frozen=True, repr=False)
class Result(Shown):
    rows: tuple[tuple[str, ...], ...] = (("cats", "1,024", "0.5 to 0.6"), (HOSTILE, "3", "0.4 to 0.5"))
    line: str = "measured on the test split"

    def parts(self) -> Iterator[str | Table]:
        yield "best: cats"
        yield ""
        yield self.line
        yield Table(("class", "n", "interval"), self.rows)
        yield "  featstore train-head a"
        yield "  featstore train-head b"

    def plots(self) -> Iterator[Picture]:
        yield Picture(b"\x89PNG", 'a "curve"', 400)


def html_of(result: Shown) -> str:
    """What IPython sends to a notebook; it would print an exception and go on."""
    formats, _ = InteractiveShell.instance().display_formatter.format(result)
    assert set(formats) == {"text/plain", "text/html"}
    return str(formats["text/html"])


def test_a_notebook_shows_lines_tables_and_pictures() -> None:
    """The line before a table is its caption; commands are code."""
    tree = Tree(html_of(Result()))
    assert tree.texts("caption") == ["measured on the test split"]
    assert tree.texts("div") == ["best: cats", ""]
    assert tree.texts("pre") == ["featstore train-head a\nfeatstore train-head b"]
    assert tree.texts("th") == ["class", "n", "interval", "cats", HOSTILE]
    assert [a["scope"] for tag, a, _ in tree.found if tag == "th"] == ["col"] * 3 + ["row"] * 2
    [picture] = [attributes for tag, attributes, _ in tree.found if tag == "img"]
    assert picture["alt"] == 'a "curve"'
    assert picture["src"] == "data:image/png;base64,iVBORw=="


def test_numbers_are_on_the_right() -> None:
    tree = Tree(html_of(Result()))
    styles = {"".join(text): str(attributes["style"]) for tag, attributes, text in tree.found if tag in ("td", "th")}
    assert {text for text, style in styles.items() if "text-align:right" in style} == {
        "n",
        "1,024",
        "3",
        "interval",
        "0.5 to 0.6",
        "0.4 to 0.5",
    }


@pytest.mark.parametrize("place", ["cell", "line"])
def test_a_name_that_is_html_is_text(place: str) -> None:
    """There is nothing in the HTML but what we put there."""
    result = Result(line=HOSTILE) if place == "line" else Result()
    tree = Tree(html_of(result))
    allowed = {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "pre", "img"}
    assert {tag for tag, _, _ in tree.found} == allowed
    assert HOSTILE in tree.texts("caption", "th")
    assert not [name for _, attributes, _ in tree.found for name in attributes if name.startswith("on")]


def test_colours_are_those_of_the_theme() -> None:
    """A colour of ours would be unreadable in a dark theme or in a light one."""
    for tag, attributes, _ in Tree(html_of(Result())).found:
        style = dict(part.split(":") for part in str(attributes.get("style") or "").split(";") if part)
        assert style.get("color", "inherit") == "inherit"
        assert "background" not in style or tag == "img"


@pytest.mark.parametrize(("ink", "paper"), [("#111", "#fff"), ("#eee", "#111")])
def test_it_can_be_read_in_light_and_dark_themes(browser: Browser, tmp_path: Path, ink: str, paper: str) -> None:
    """By contrast, and by what a screen reader makes of the table."""
    page = f"<html lang=en><title>t</title><body style='color:{ink};background:{paper}'><main><h1>t</h1>"
    file = tmp_path / "notebook.html"
    file.write_text(f"<!DOCTYPE html>{page}{html_of(Result())}</main>", encoding="utf-8")
    context = browser.new_context()
    assert Visit(context, file).faults() == []
    context.close()


def test_words_from_right_to_left_do_not_turn_what_follows_them() -> None:
    """Else the count would stand left of the name."""
    tree = Tree(html_of(Result(line="most confused: قطة صغيرة: 16 of 20")))
    assert tree.texts("bdi") == ["قطة صغيرة"]
    assert tree.texts("caption") == ["most confused: قطة صغيرة: 16 of 20"]


def test_a_long_table_ends_early_and_says_so() -> None:
    """Ten thousand predictions would make a notebook of many megabytes."""
    tree = Tree(html_of(Result(rows=tuple((f"{n}.jpg", "1", "2") for n in range(2500)))))
    assert len(tree.texts("tr")) == 1 + 100
    assert "the first 100 of 2,500 rows; print shows all" in tree.texts("div")
