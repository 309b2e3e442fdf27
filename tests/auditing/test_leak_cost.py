"""The accuracy with and without leaked images: on the same head as train-head, and of a head that has not seen them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featstore
from featstore.auditing.leak_cost import LeakCost, Measured
from featstore.auditing.leaks import _is_slight
from featstore.auditing.result import Audit
from featstore.evaluation.paired import Difference
from helpers.audits import audit_photos, copy_file, write_splits


def noise(number: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, of which nothing can be learnt: only the ten copies of test images in train can be known by heart."""
    folder = tmp_path_factory.mktemp("cost") / "photos"
    number = 0
    for split, each in (("train", 20), ("val", 5), ("test", 20)):
        for label in ("a", "b"):
            (folder / split / label).mkdir(parents=True)
            for _ in range(each):
                noise(number := number + 1).save(folder / split / label / f"{number:03d}.png")
    for label in ("a", "b"):
        for file in sorted((folder / "test" / label).iterdir())[:5]:
            copy_file(folder, f"test/{label}/{file.name}", f"train/{label}/copy-{file.name}")
    return folder


@pytest.fixture(scope="module")
def audit(photos: Path) -> Audit:
    return audit_photos(photos)


def test_the_accuracy_with_and_without_them_stands_side_by_side(audit: Audit) -> None:
    """In the figures, in the verdict and in the table."""
    cost = audit["leaks"].figures["cost"]
    assert [cost[part]["n"] for part in ("all", "clean", "leaked", "unseen")] == [40, 30, 10, 40]
    assert cost["all"]["accuracy"] * 40 == pytest.approx(
        cost["clean"]["accuracy"] * 30 + cost["leaked"]["accuracy"] * 10
    )
    for part in ("all", "clean", "leaked", "unseen"):
        low, high = cost[part]["accuracy_ci95"]
        assert low <= cost[part]["accuracy"] <= high
    assert f"is {cost['all']['accuracy']:.3f} [" in audit["leaks"].verdict
    assert f"and {cost['clean']['accuracy']:.3f} [" in audit["leaks"].verdict
    table = audit["leaks"].table
    assert table is not None
    assert [row[1] for row in table.rows] == ["40", "30", "10", "40"]


def test_a_leak_that_cannot_matter_is_no_alarm(tmp_path: Path) -> None:
    """One test image of 120 can move the accuracy by less than a quarter of what its interval leaves open."""
    photos = write_splits(tmp_path / "photos", 12, 2, 60)
    copy_file(photos, "test/discs/014.png", "train/discs/copy.png")
    found = audit_photos(photos)
    assert found["leaks"].weight == "look"
    assert found["leaks"].verdict.endswith("too little to matter, uncertain as it is")
    assert found.is_believable
    assert found.failing(["leaks"]) == [found["leaks"]]


@pytest.mark.parametrize(
    ("share", "high", "slight"),
    [
        (0.004, 0.5, True),  # no head can gain more than the share
        (0.008, 0.004, True),  # few, and worth nothing
        (0.008, 0.02, False),
        (0.2, 0.004, False),  # another head may know them by heart
    ],
)
def test_an_alarm_is_what_can_matter(share: float, high: float, slight: bool) -> None:
    """Next to an interval that leaves two points open on either side."""
    measured = Measured(1000, 0.9, (0.88, 0.92))
    gain = Difference(0.0, -high, high)
    cost = LeakCost(split="test", all=measured, clean=measured, leaked=measured, unseen=measured, gain=gain)
    assert _is_slight(share, cost) is slight
    assert not _is_slight(share, None)


def test_where_only_val_leaks_the_accuracy_is_that_on_val(tmp_path: Path) -> None:
    """What is measured on test is right then."""
    photos = write_splits(tmp_path / "photos", 8, 4, 4)
    copy_file(photos, "val/discs/009.png", "train/discs/copy.png")
    check = audit_photos(photos)["leaks"]
    assert (check.figures["cost"]["split"], check.figures["cost"]["all"]["n"]) == ("val", 8)
    assert "accuracy of logistic on val is" in check.verdict


def test_the_difference_is_that_of_the_same_images(audit: Audit) -> None:
    """A head with and a head without the copies answer the same test images, so the difference is paired."""
    cost = audit["leaks"].figures["cost"]
    assert cost["gain"] == pytest.approx(cost["all"]["accuracy"] - cost["unseen"]["accuracy"])
    assert cost["gain_ci95"][0] <= cost["gain"] <= cost["gain_ci95"][1]


def test_the_figure_with_them_is_that_of_train_head(audit: Audit, photos: Path) -> None:
    """On features of one number an image, which both flatten alike."""
    options = {"model": "pixels", "size": 1, "cache": photos.parent / "cache"}
    with pytest.warns(featstore.LeakWarning):
        run = featstore.train_head(photos, runs=photos.parent / "runs", **options)
    from featstore.auditing.job import audit_data

    of_pixel = audit_data(photos, featstore.Recipe(model="pixels", size=1), cache=photos.parent / "cache")
    assert of_pixel["leaks"].figures["cost"]["all"]["accuracy"] == run.metrics["test"].accuracy
