"""Paths as callers give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.errors import UsageError
from featstore.system.paths import one_or_more, one_path, refuse_whole_disk


class Series:
    """As much of a pandas Series as matters: values, a shape, and an index that is not 0, 1, ..."""

    shape = (2,)

    def __iter__(self) -> Any:
        return iter(["a.png", "b.png"])


class Table:
    """As much of a pandas DataFrame as matters: iterating gives the names of its columns."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns
        self.shape = (2, len(columns))

    def __iter__(self) -> Any:
        return iter(self.columns)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array([["a.png"] * len(self.columns), ["b.png"] * len(self.columns)], dtype=object)


@pytest.mark.parametrize(
    "one", ["photos/a.png", Path("photos/a.png"), b"photos/a.png", np.str_("photos/a.png"), np.array("photos/a.png")]
)
def test_one_path_is_one_path(one: Any) -> None:
    """In any form; a text is never a list of its letters."""
    found = one_or_more(one, "images")
    assert found == ["photos/a.png"]
    assert type(found[0]) is str


@pytest.mark.parametrize(
    "several",
    [
        ["a.png", Path("b.png")],
        ("a.png", b"b.png"),
        (name for name in ("a.png", "b.png")),
        np.array(["a.png", "b.png"]),
        np.array([["a.png"], ["b.png"]], dtype=object),
        {"a.png": 0, "b.png": 1}.keys(),
        Series(),
        Table("path"),
    ],
)
def test_several_paths_keep_their_order(several: Any) -> None:
    """Lists, generators, arrays and tables of one column."""
    assert one_or_more(several, "images") == ["a.png", "b.png"]


def test_no_paths_are_no_paths() -> None:
    """What that means is up to the caller."""
    assert one_or_more([], "images") == []


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (5, "int 5"),
        (None, "NoneType None"),
        ({"a.png": "cat"}, "dict"),
        (["a.png", 3.5], "float 3.5 among them"),
        ([float("nan")], "float nan among them"),
        ([["a.png"]], "list .* among them"),
        ("", "an empty text"),
        (["a.png", ""], "an empty text"),
        (Table("path", "label"), "one column of paths, found the columns path, label"),
        (np.zeros((4, 8, 8, 3)), r"one column of paths, found an array of shape \(4, 8, 8, 3\)"),
    ],
)
def test_anything_else_is_one_clear_line(wrong: Any, found: str) -> None:
    """With the name of the argument, and what it was."""
    with pytest.raises(UsageError, match=f"`images`: expected .*{found}") as caught:
        one_or_more(wrong, "images")
    assert "\n" not in str(caught.value)


def test_where_one_path_is_meant_several_are_refused() -> None:
    """Else the first would be taken in silence."""
    assert one_path(Path("a"), "data") == "a"
    with pytest.raises(UsageError, match="`data`: expected one path, found list"):
        one_path(["a", "b"], "data")  # type: ignore[arg-type]


def test_the_whole_disk_is_no_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is the home folder, or the folder of all homes; what lies in it may be one."""
    home = tmp_path / "homes" / "me"
    (home / "photos").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    (tmp_path / "link").symlink_to(home)
    for folder in ("/", str(home), ".", "photos/..", str(home.parent), str(tmp_path / "link")):
        with pytest.raises(UsageError, match="every file below it would be read"):
            refuse_whole_disk(folder)
    for folder in ("photos", str(home / "photos"), str(tmp_path / "homes" / "other")):
        refuse_whole_disk(folder)
