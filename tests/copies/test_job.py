"""The search for copies on drawn images: each kind of copy is found, and different pictures are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from featstore.copies import sketching
from featstore.copies.job import find_copies
from featstore.extraction.recipe import Recipe
from featstore.training.fit import Prepared, prepare
from helpers.photos import write_photos

PIXELS = Recipe(model="pixels", size=16)


def prepared(data: Path) -> Prepared:
    return prepare(data, [PIXELS], cache=data.parent / "cache")


def pairs(found: Prepared) -> set[tuple[str, str, str]]:
    """The names of the files of each match, and its kind."""
    name = {p.digest: Path(p.path).stem for p in found.manifest.pictures}
    _, copies = find_copies(found.manifest, found.plans, found.cache)
    return {(*sorted((name[m.first], name[m.second])), m.kind) for m in copies.matches}  # type: ignore[misc]


def test_another_file_with_the_same_pixels_is_found(tmp_path: Path) -> None:
    """A lossless copy has other bytes and the same pixels."""
    data = write_photos(tmp_path / "data", 4)
    Image.open(data / "discs" / "000.png").save(data / "discs" / "copy.bmp")
    assert ("000", "copy", "pixels") in pairs(prepared(data))


def test_a_second_search_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sketches are kept by the content of the files, whatever their names."""
    data = write_photos(tmp_path / "data", 4)
    first = prepared(data)
    before, _ = find_copies(first.manifest, first.plans, first.cache)
    moved = data.rename(tmp_path / "moved")
    monkeypatch.setattr(sketching, "make_sketch", lambda raw: pytest.fail("decoded again"))
    second = prepared(moved)
    after, _ = find_copies(second.manifest, second.plans, second.cache)
    assert before.keys() == after.keys() and len(after) == 8


def test_a_file_that_is_gone_has_no_sketch(tmp_path: Path) -> None:
    """Its features are in the cache, so that training does not miss it; the search goes on without it."""
    found = prepared(write_photos(tmp_path / "data", 4))
    gone = found.manifest.pictures[0]
    Path(gone.path).unlink()
    sketches, _ = find_copies(found.manifest, found.plans, found.cache)
    assert gone.digest not in sketches and len(sketches) == 7
