"""The proof of the rule on a user's own images."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from featstore.copies import proof
from featstore.copies.groups import THRESHOLD
from featstore.copies.job import find_copies
from featstore.copies.proof import Proof, prove_rule
from featstore.extraction.recipe import Recipe
from featstore.training.fit import Prepared, prepare
from helpers.scenes import write_scenes


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("proof")
    write_scenes(folder / "data", {"a": range(8), "b": range(100, 108)})
    return prepare(folder / "data", [Recipe(model="pixels", size=16)], cache=folder / "cache")


def proven(ready: Prepared) -> Proof:
    sketches, copies = find_copies(ready.manifest, ready.plans, ready.cache)
    return prove_rule(ready.manifest, ready.plans, ready.cache, sketches, copies)


def test_copies_of_ones_own_images_are_found_and_no_other_pictures(
    ready: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "IMAGES", 4)
    found = proven(ready)
    assert found.images == 4
    assert set(found.found().values()) == {4} and len(found.found()) == 4
    assert found.false() == 0 and len(found.others) == 4 * 4 * 5
    assert found.threshold == THRESHOLD
    assert found.sentence().startswith("of 16 copies made of 4 images of this set, 16 are found (")


def test_nothing_is_chosen_by_test_images(ready: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only training images are copied."""
    monkeypatch.setattr(proof, "IMAGES", 100)
    copied: list[str | None] = []
    monkeypatch.setattr(proof, "_copies", lambda picture, sketch: copied.append(picture.split) or {})
    proven(ready)
    assert set(copied) == {"train"} and len(copied) == len(ready.manifest.of_split("train"))


@pytest.mark.parametrize(
    ("copies", "others", "threshold"),
    [
        ([0.95] * 100, [0.5], 0.85),  # as expected
        ([0.80] * 100, [0.5], 0.83),  # blurred images: lower, but not beyond the bound
        ([0.84] * 100, [0.83], 0.85),  # too little room
        ([0.84] * 100, [0.84 - 0.0201], 0.83),
        ([0.99] * 100, [0.90], 0.945),  # near twins that are not the same: higher
        ([0.80] * 100, [0.82], 0.85),  # no line divides them
        ([0.80] * 4 + [0.95] * 96, [0.5], 0.85),  # a few copies say nothing
        ([], [], 0.85),
    ],
)
def test_the_threshold_moves_only_where_the_images_contradict_it(
    copies: list[float], others: list[float], threshold: float
) -> None:
    assert proof._threshold(copies, others) == threshold


def test_a_moved_threshold_finds_what_it_says(ready: Prepared) -> None:
    """What was found by another threshold is not mistaken for it."""
    _, few = find_copies(ready.manifest, ready.plans, ready.cache)
    _, many = find_copies(ready.manifest, ready.plans, ready.cache, threshold=0.0)
    assert not few.matches and many.threshold == 0.0
    assert find_copies(ready.manifest, ready.plans, ready.cache)[1] == few


def test_a_file_that_is_gone_is_not_copied(tmp_path: Path) -> None:
    write_scenes(tmp_path / "data", {"a": range(3), "b": range(100, 103)})
    time.sleep(2.1)  # younger files are not remembered
    ready = prepare(tmp_path / "data", [Recipe(model="pixels", size=16)], cache=tmp_path / "cache", test_fraction=0)
    sketches, copies = find_copies(ready.manifest, ready.plans, ready.cache)
    for picture in ready.manifest.pictures:
        Path(picture.path).unlink()
    assert prove_rule(ready.manifest, ready.plans, ready.cache, sketches, copies).images == 0
