"""Files that are clearly no images are left out in a few words, and none that may be one is."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from featstore.datasets import disk_walk
from featstore.datasets.file_lists import list_files
from featstore.datasets.sources import scan

NOT_IMAGES = ["labels.csv", "notes.txt", "a.xml", "b.JSON", "load.py", "README", "film.mp4", "x.tar.gz"]
MAYBE = ["scan", "photo.jpg", "photo.heic", "paper.pdf", "drawing.svg", "raw.nef", "photo.jpg.1"]


@pytest.mark.parametrize("place", [".", "cat", "cat/deeper"])
def test_files_that_are_not_images_are_not_skipped_images(tmp_path: Path, place: str) -> None:
    """One note counts them by their endings, wherever they lie."""
    for name in ("cat/1.jpg", "dog/2.jpg", *(f"{place}/{name}" for name in NOT_IMAGES)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    manifest = scan(tmp_path)
    assert [Path(p.path).name for p in manifest.pictures] == ["1.jpg", "2.jpg"]
    assert not manifest.skipped
    [note] = manifest.notes
    assert note.startswith("left out, as they are not images: 1 ")
    assert "4 more" in note


def test_what_may_be_an_image_is_tried(tmp_path: Path) -> None:
    """Its content decides, and the reason is told if it cannot be read."""
    for name in MAYBE:
        (tmp_path / name).write_bytes(b"x")
    assert {Path(p.path).name for p in scan(tmp_path).pictures} == {*MAYBE}


def test_a_file_that_is_named_is_tried(tmp_path: Path) -> None:
    """Whoever names it means it."""
    (tmp_path / "notes.txt").write_bytes(b"x")
    assert len(list_files([tmp_path / "notes.txt"])) == 1
    assert len(list_files([tmp_path])) == 0


def test_a_class_is_listed_twice_however_many_layouts_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for what is below it, and once for its files; of 10,000 images each more would cost what the files do."""
    listed: Counter[str] = Counter()

    class Counting:
        scandir = staticmethod(lambda folder: (listed.update([Path(folder).name]), os.scandir(folder))[1])

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

    for name in ("cat/1.jpg", "cat/2.jpg", "dog/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr(disk_walk, "os", Counting())
    assert len(scan(tmp_path).pictures) == 3
    assert listed["cat"] == listed["dog"] == 2
