"""Groups from the names of files: what is found, what is told, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from featstore.datasets.manifest import Manifest
from featstore.datasets.options import DataOptions
from featstore.datasets.sources import as_manifest, scan
from featstore.datasets.splits import complete_splits, fold_splits
from featstore.errors import UsageError


def data(tmp_path: Path, *names: str) -> Path:
    """Files that nobody reads, below a folder named like a group: only what is below DATA counts."""
    for name in names:
        path = tmp_path / "sm99-data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "sm99-data"


def read(tmp_path: Path, pattern: str, *names: str) -> Manifest:
    return scan(data(tmp_path, *names), DataOptions(group_by=pattern))


def groups(manifest: Manifest) -> dict[str, str | None]:
    return {Path(p.path).name: p.group for p in manifest.pictures}


FRAMES = ("a/sm01-1.png", "a/sm01-2.png", "a/sm02-1.png", "b/sm01-3.png", "b/sm02-2.png", "b/other.png")


def test_the_first_group_of_the_pattern_names_the_unit(tmp_path: Path) -> None:
    """In any class: frames of one film stay together. The rest are groups of their own, and counted."""
    found = read(tmp_path, r"sm(\d+)-", *FRAMES)
    assert groups(found) == {
        "sm01-1.png": "01", "sm01-2.png": "01", "sm02-1.png": "02", "sm01-3.png": "01", "sm02-2.png": "02",
        "other.png": None,
    }  # fmt: skip
    assert found.layout == "class folders, 5 images in 2 groups by their names"
    assert len(found.notes) == 1
    assert "1 image in a group of its own, such as" in found.notes[0]
    assert found.notes[0].endswith("other.png: the name does not fit")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"sm(\d+)-|(other)", ["01", "01", "02", "other", "01", "02"]),  # the one that takes part
        (r"(?:sm)(?P<film>\d+)", ["01", "01", "02", None, "01", "02"]),
        (r"^(\w)/sm", ["a", "a", "a", None, "b", "b"]),  # with a /: in the path below DATA
    ],
)
def test_patterns(pattern: str, expected: list[str | None], tmp_path: Path) -> None:
    assert list(groups(read(tmp_path, pattern, *FRAMES)).values()) == expected


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("sm(", "is not a regular expression (missing )"),
        (r"sm\d+", "has no group in round brackets"),
        (r"film(\d+)", "fits no name of the 6 images of"),
        (r"(.*)99", "fits no name"),  # the folder of the data is no part of it
        (r"\.(png)$", "puts all 6 images of"),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused(pattern: str, reason: str, tmp_path: Path) -> None:
    """One line, with the option as it was given."""
    with pytest.raises(UsageError) as refused:
        read(tmp_path, pattern, *FRAMES)
    assert str(refused.value).startswith(f"group_by={pattern!r}: {reason}")


def test_a_pattern_that_keeps_nothing_together_is_told(tmp_path: Path) -> None:
    """Each image has a number of its own."""
    [note] = read(tmp_path, r"(\d+)\.", "a/1.png", "a/2.png", "b/3.png").notes
    assert "each group has one image, so nothing is kept together" in note


@pytest.mark.parametrize("in_memory", [False, True])
def test_tables_have_groups_of_one_kind(in_memory: bool, tmp_path: Path) -> None:
    """From the names if there is no column of groups; with both it is not clear which is meant."""
    folder, options = data(tmp_path, *FRAMES), DataOptions(group_by=r"sm(\d+)-")
    columns: dict[str, Any] = {"path": [str(folder / name) for name in FRAMES], "label": list("aaabbb")}

    def table(columns: dict[str, Any]) -> Any:
        if in_memory:
            return columns
        rows = [",".join(row) for row in zip(*columns.values(), strict=True)]
        (tmp_path / "d.csv").write_text("\n".join([",".join(columns), *rows]))
        return tmp_path / "d.csv"

    assert groups(as_manifest(table(columns), options))["sm02-2.png"] == "02"
    with pytest.raises(UsageError, match=r"group_by=.*has a column of groups already; leave one of them out"):
        as_manifest(table(columns | {"group": list("xyzxyz")}), options)


def test_splits_and_folds_keep_them_together(tmp_path: Path) -> None:
    """Nine films with frames of two classes."""
    names = [f"{label}/sm{film:02}-{frame}.png" for film in range(9) for label in "ab" for frame in range(3)]
    found = read(tmp_path, r"sm(\d+)-", *names)
    digested = found.with_pictures([p.with_digest(Path(p.path).name + (p.label or "")) for p in found.pictures])
    for divided in (complete_splits(digested), *fold_splits(digested, 3)):
        of_group = {(p.group, p.split) for p in divided.pictures}
        assert len(of_group) == 9
        assert {split for _, split in of_group} == {"train", "val", "test"}
