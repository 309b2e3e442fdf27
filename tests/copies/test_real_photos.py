"""Copies of real photos: each planted copy of a test photo is found in training, and no other pair of photos."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from featstore.copies.job import find_copies
from featstore.extraction.recipe import Recipe
from featstore.training.fit import prepare

pytestmark = pytest.mark.realdata


def cropped(image: Image.Image) -> Image.Image:
    width, height = image.width // 20, image.height // 20
    return ImageOps.crop(image, (width, height, width, height))


KINDS: tuple[Callable[[Image.Image], Image.Image], ...] = (
    lambda image: image,  # JPEG of quality 60
    ImageOps.mirror,
    cropped,
    lambda image: ImageOps.expand(image, 24, "white"),
)


def test_planted_copies_are_the_only_pairs(real_data: Path, tmp_path: Path) -> None:
    for split, each in (("train", 16), ("test", 12)):
        for label in ("cats", "dogs"):
            (tmp_path / "data" / split / label).mkdir(parents=True)
            for path in sorted((real_data / "images" / "cats_dogs" / split / label).iterdir())[:each]:
                shutil.copy(path, tmp_path / "data" / split / label / path.name)
    planted = {}
    for label in ("cats", "dogs"):
        for change, path in zip(KINDS, sorted((tmp_path / "data" / "test" / label).iterdir()), strict=False):
            copy = tmp_path / "data" / "train" / label / f"copy-of-{path.name}"
            with Image.open(path) as image:
                change(image.convert("RGB")).save(copy, quality=60)
            planted[str(copy)] = str(path)
    ready = prepare(tmp_path / "data", [Recipe(model="pixels", size=32)], cache=tmp_path / "cache")
    path_of = {p.digest: p.path for p in ready.manifest.pictures}
    _, copies = find_copies(ready.manifest, ready.plans, ready.cache)
    found = {frozenset((path_of[match.first], path_of[match.second])) for match in copies.matches}
    assert found == {frozenset(pair) for pair in planted.items()}
