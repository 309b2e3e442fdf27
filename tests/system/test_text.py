"""Tables and results that print themselves, in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Iterator

from featstore.system.text import Shown, Table

TABLE = Table(["split", "n", "label"], [["train", "1087", "<b>"], ["val", "35", "a\x1b[31m"]])


class Result(Shown):
    def parts(self) -> Iterator[str | Table]:
        yield "a & b\x07"
        yield TABLE


def test_numbers_stand_on_the_right() -> None:
    """Columns of numbers are right-aligned, text is left-aligned."""
    assert str(TABLE).splitlines() == ["split     n  label", "train  1087  <b>", "val      35  a\\x1b[31m"]


def test_an_empty_table_has_its_header() -> None:
    """A data set may have no readable image."""
    assert str(Table(["image", "label"], [])) == "image  label"


def test_a_result_is_its_text_and_its_tables() -> None:
    """Quoted text cannot control the terminal."""
    assert str(Result()) == "a & b\\x07\n" + str(TABLE)


def test_html_is_escaped() -> None:
    """Names of files and classes are untrusted in a notebook too."""
    html = Result()._repr_html_()
    assert "a &amp; b\\x07<" in html
    assert "&lt;b&gt;" in html
    assert "\x1b" not in html
