"""The memory of copies that were found: for exactly these images and features, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from featstore.copies.groups import Match
from featstore.copies.memory import CopyMemory

FOUND = (Match("a", "b", "near", 0.9, ("mirrored", "cropped")), Match("a", "c", "pixels", 1.0))


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    """In whatever order the images are named; nothing that was found is an answer, too."""
    CopyMemory(tmp_path / "m").keep(["a", "b", "c"], "key", 0.85, FOUND)
    CopyMemory(tmp_path / "m").keep(["d"], "key", 0.85, ())
    memory = CopyMemory(tmp_path / "m")
    assert memory.get(["c", "b", "a"], "key", 0.85) == FOUND
    assert memory.get(["d"], "key", 0.85) == ()


def test_other_images_features_or_thresholds_are_not_known(tmp_path: Path) -> None:
    memory = CopyMemory(tmp_path)
    memory.keep(["a", "b"], "key", 0.85, FOUND)
    assert memory.get(["a"], "key", 0.85) is None
    assert memory.get(["a", "b"], "other", 0.85) is None
    assert memory.get(["a", "b"], "key", 0.8) is None


@pytest.mark.parametrize("damage", [b"", b"x", b"[]"])
def test_a_damaged_file_is_not_believed(tmp_path: Path, damage: bytes) -> None:
    memory = CopyMemory(tmp_path)
    memory.keep(["a"], "key", 0.85, FOUND)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1] + damage)
    assert memory.get(["a"], "key", 0.85) is None


def test_a_file_under_the_name_of_another_is_not_believed(tmp_path: Path) -> None:
    """It is whole, but about other images."""
    memory = CopyMemory(tmp_path)
    memory.keep(["a"], "key", 0.85, FOUND)
    (of_a,) = tmp_path.iterdir()
    memory.keep(["b"], "key", 0.85, ())
    (of_b,) = set(tmp_path.iterdir()) - {of_a}
    of_b.rename(of_a)
    assert memory.get(["a"], "key", 0.85) is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("a file where the folder should be")
    memory = CopyMemory(tmp_path / "m")
    memory.keep(["a"], "key", 0.85, FOUND)
    assert memory.get(["a"], "key", 0.85) is None
