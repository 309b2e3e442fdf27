"""Near copies of training images among those that are measured on: told before the table, by every command."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import ImageOps

import featstore
from featstore.copies import leaks, sketching
from featstore.copies.leaks import summarize_with_copies
from featstore.datasets.summary import DataSummary
from featstore.errors import LeakWarning
from featstore.extraction.recipe import Recipe
from featstore.training.fit import Prepared, prepare
from helpers.scenes import scene, write_scenes

LEAK = "2 of the 8 test images (25%) are copies of training images, though not byte for byte, such as"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Different pictures, of which two test images are mirrored training images."""
    folder = tmp_path_factory.mktemp("leaks") / "data"
    for split, first, each in (("train", 0, 8), ("val", 20, 2), ("test", 40, 3)):
        write_scenes(folder / split, {"a": range(first, first + each), "b": range(first + 100, first + 100 + each)})
    for name, number in (("a", 0), ("b", 100)):
        ImageOps.mirror(scene(number)).save(folder / "test" / name / "mirrored.png")
    time.sleep(2.1)  # younger files are not remembered
    return folder


@pytest.fixture(scope="module")
def ready(data: Path) -> Prepared:
    return prepare(data, [Recipe(model="pixels", size=16)], cache=data.parent / "cache")


def summary(ready: Prepared, **how: bool) -> DataSummary:
    return summarize_with_copies(ready.manifest, ready.plans, ready.cache, **how)


def test_near_copies_in_training_are_a_leak(ready: Prepared) -> None:
    """With how many, their share, an example, what was done to it, and the command that lists them."""
    (leak,) = summary(ready).leaks
    assert leak.startswith(LEAK)
    assert "mirrored.png and" in leak and "(mirrored)" in leak
    assert leak.endswith(f"`featstore audit {ready.manifest.source}` lists them")


def test_copies_of_validation_images_are_told_too(ready: Prepared) -> None:
    """What was chosen by them knows test images; what is trained on is a worse leak, and told instead."""
    moved = [
        p._replace(split="val") if p.split == "train" and p.path.endswith("000.png") else p
        for p in ready.manifest.pictures
    ]
    trained, chosen = summarize_with_copies(ready.manifest.with_pictures(moved), ready.plans, ready.cache).leaks
    assert trained.startswith("1 of the 8 test images (12%) is a copy of training images")
    assert chosen.startswith("1 test image is a copy of validation images, though not byte for byte, such as")


def test_without_copies_nothing_is_told(ready: Prepared) -> None:
    others = [p for p in ready.manifest.pictures if "mirrored" not in p.path]
    found = summarize_with_copies(ready.manifest.with_pictures(others), ready.plans, ready.cache)
    assert found.notes == ()


def test_folds_may_divide_copies(ready: Prepared) -> None:
    """In a cross-validation the splits do not count."""
    (leak,) = summary(ready, in_folds=True).leaks
    assert leak.startswith("4 images in all are copies of each other, though not byte for byte, such as")


def test_a_byte_copy_is_told_once(ready: Prepared) -> None:
    """The notes on the data set tell it already."""
    trained = ready.manifest.of_split("train")[0]
    pictures = [*(p for p in ready.manifest.pictures if "mirrored" not in p.path), trained._replace(split="test")]
    (leak,) = summarize_with_copies(ready.manifest.with_pictures(pictures), ready.plans, ready.cache).leaks
    assert "byte for byte in the training split too" in leak


def test_where_it_would_take_long_it_says_what_does_it(ready: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither many images nor large files are decoded, unless the result is known."""
    few = ready.manifest.with_pictures(ready.manifest.pictures[1:])
    monkeypatch.setattr(sketching, "make_sketch", lambda raw: pytest.fail("decoded"))
    for limit in ("MOST_IMAGES", "MOST_BYTES"):
        with monkeypatch.context() as low:
            low.setattr(leaks, limit, 10)
            found = summarize_with_copies(few, ready.plans, ready.cache)
        assert found.leaks == ()
        assert found.remarks[-1] == (
            f"near copies between splits were not looked for among {len(few)} images: "
            f"`featstore audit {few.source}` does"
        )


def test_what_was_found_is_remembered(ready: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second training looks at no picture, however many there are."""
    before = summary(ready)
    monkeypatch.setattr(leaks, "MOST_IMAGES", 0)
    monkeypatch.setattr(leaks, "find_copies", lambda *_: pytest.fail("looked again"))
    assert summary(ready).leaks == before.leaks


def test_train_head_compare_and_the_curve_warn(data: Path, tmp_path: Path) -> None:
    """As of every leak: with a LeakWarning, and in the notes of the result."""
    options = {"model": "pixels", "size": 16, "cache": data.parent / "cache"}
    with pytest.warns(LeakWarning, match="are copies of training images"):
        run = featstore.train_head(data, "logistic", runs=tmp_path, **options)
    assert run.notes[0].startswith(LEAK)
    with pytest.warns(LeakWarning, match="are copies of training images"):
        comparison = featstore.compare(data, heads=["ridge"], **options)
    assert comparison.notes[0].startswith(LEAK)
    with pytest.warns(LeakWarning, match="are copies of training images"):
        curve = featstore.learning_curve(data, heads=["ridge"], draws=1, **options)
    assert curve.notes[0].startswith(LEAK)


def test_a_sweep_warns(data: Path, tmp_path: Path) -> None:
    options = {"model": "pixels", "size": 16, "cache": data.parent / "cache"}
    with pytest.warns(LeakWarning, match="are copies of training images"):
        found = featstore.sweep(data, heads=["ridge"], trials=2, jobs=1, runs=tmp_path, **options)
    assert found.notes[0].startswith(LEAK)
