"""Pictures as files: the ending of the name says which kind, before any work is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from featstore.errors import UsageError
from featstore.plots.files import kind_of


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "png"), ("b/c.PDF", "pdf"), ("d.tar.svg", "svg"), (Path("e.png"), "png")]
)
def test_the_ending_says_the_kind(name: str | Path, kind: str) -> None:
    """In any case."""
    assert kind_of(name, "chart") == kind


@pytest.mark.parametrize("name", ["a.jpg", "a", ".png", "-", "png", "a.png.txt"])
def test_another_ending_is_refused(name: str) -> None:
    """A file called .jpg that holds a PNG is no JPEG."""
    with pytest.raises(UsageError, match=r"chart='.*': expected a name that ends in \.png, \.pdf or \.svg"):
        kind_of(name, "chart")
    with pytest.raises(UsageError, match=r"ends in \.png or \.pdf"):
        kind_of("a.svg", "sheet", ("png", "pdf"))
