"""Leaks, conflicts and duplicates are told with their files, and each is what it is and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import ImageOps

from featstore.auditing.result import Audit
from helpers.audits import audit_photos, copy_file, copy_pixels, write_splits
from helpers.scenes import scene, write_scenes


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return audit_photos(write_splits(tmp_path_factory.mktemp("clean") / "photos"))


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """Three test images and one of val leak, one picture has two labels, one is twice in train."""
    photos = write_splits(tmp_path_factory.mktemp("leaky") / "photos")
    copy_file(photos, "test/discs/016.png", "train/discs/a.png")
    copy_pixels(photos, "test/stripes/017.png", "train/stripes/b.png")
    copy_file(photos, "test/discs/018.png", "val/discs/c.png")
    copy_file(photos, "val/stripes/012.png", "train/stripes/d.png")
    copy_file(photos, "train/discs/001.png", "train/stripes/e.png")
    copy_file(photos, "train/discs/002.png", "train/discs/f.png")
    return audit_photos(photos)


def pairs(audit: Audit, name: str) -> list[tuple[str, ...]]:
    return [tuple(map(audit.short, finding.paths)) for finding in audit[name].findings]


def test_a_clean_data_set_raises_nothing(clean: Audit) -> None:
    """No check of copies has anything to say, and the figures may be believed."""
    for name in ("leaks", "conflicts", "duplicates"):
        assert (clean[name].weight, clean[name].findings) == ("fine", ())
    assert clean.is_believable
    assert clean.summary().startswith("nothing was found that makes the figures wrong")


def test_every_leak_is_told_with_its_partner_in_the_earlier_split(leaky: Audit) -> None:
    """Of test and of val, byte for byte or with the same pixels; those of test come first."""
    assert pairs(leaky, "leaks") == [
        ("test/discs/016.png", "train/discs/a.png"),
        ("test/discs/018.png", "val/discs/c.png"),
        ("test/stripes/017.png", "train/stripes/b.png"),
        ("val/stripes/012.png", "train/stripes/d.png"),
    ]
    assert [finding.kind for finding in leaky["leaks"].findings] == ["bytes", "bytes", "pixels", "bytes"]
    assert leaky["leaks"].figures["test"]["leaked"] == 3
    assert leaky["leaks"].figures["val"] == {
        "images": 9,
        "leaked": 1,
        "bytes": 1,
        "pixels": 0,
        "near": 0,
        "chain": 0,
    }


def test_a_leak_is_an_alarm_before_all_else(leaky: Audit) -> None:
    """The first line says that the figures are not to be believed, and why."""
    assert leaky.checks[0].name == "leaks"
    assert leaky.checks[0].weight == "alarm"
    assert not leaky.is_believable
    told = "leaks between splits (3 of 12 test images (25%) and 1 of 9 val images (11%) are in an earlier split too: "
    assert leaky.summary().startswith(f"do not believe the figures yet: {told}")


def test_one_picture_under_two_labels_is_to_be_looked_at(leaky: Audit) -> None:
    """It is not called an error: the same picture may rightly be in two classes."""
    assert pairs(leaky, "conflicts") == [("train/discs/001.png", "train/stripes/e.png")]
    assert leaky["conflicts"].weight == "look"
    assert "labelled discs and stripes" in leaky["conflicts"].findings[0].text
    assert "error" not in leaky["conflicts"].verdict


def test_duplicates_are_those_within_a_split(leaky: Audit) -> None:
    """Copies across splits are leaks and are not told twice."""
    assert pairs(leaky, "duplicates") == [
        ("train/discs/001.png", "train/stripes/e.png"),
        ("train/discs/002.png", "train/discs/f.png"),
    ]
    assert leaky["duplicates"].figures == {"spare": {"train": 2}}


def test_near_copies_leak_too(tmp_path: Path) -> None:
    """Re-encoded, mirrored and cropped copies of test images in train; the mended split has none of them."""
    photos = tmp_path / "photos"
    for split, first in (("train", 0), ("val", 20), ("test", 30)):
        write_scenes(photos / split, {"a": range(first, first + 8), "b": range(first + 100, first + 108)})
    train = photos / "train" / "a"
    scene(30).save(train / "q60.jpg", quality=60)
    ImageOps.mirror(scene(31)).save(train / "mirror.jpg", quality=90)
    scene(32).crop((7, 7, 121, 121)).save(train / "crop.jpg", quality=90)
    audit = audit_photos(photos)
    assert set(pairs(audit, "leaks")) == {
        ("test/a/030.png", "train/a/q60.jpg"),
        ("test/a/031.png", "train/a/mirror.jpg"),
        ("test/a/032.png", "train/a/crop.jpg"),
    }
    assert {finding.kind for finding in audit["leaks"].findings} == {"near"}
    assert audit["leaks"].weight == "alarm"
    assert "near copy, mirrored" in next(f.text for f in audit["leaks"].findings if f.paths[1].endswith("mirror.jpg"))
    assert audit_photos(audit.save_fixed_split(tmp_path / "fixed.csv"))["leaks"].weight == "fine"


def test_copies_across_splits_that_are_made_are_kept_together(tmp_path: Path) -> None:
    """By their bytes; other files of the same pixels may part, which is then told."""
    photos = write_splits(tmp_path / "photos", 30, 1, 1) / "train"
    for number in range(12):
        copy_file(photos, f"discs/{number:03d}.png", f"discs/bytes-{number}.png")
        copy_pixels(photos, f"stripes/{number:03d}.png", f"stripes/pixels-{number}.png")
    audit = audit_photos(photos)
    assert audit.made_splits
    assert {finding.kind for finding in audit["leaks"].findings} == {"pixels"}
    assert "the data set has no splits" in str(audit)
