"""Data that no head could be trained on are audited as far as that goes; nothing is invented in place of a check."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from featstore.auditing.findings import CheckName
from featstore.auditing.job import audit_data
from featstore.errors import UsageError
from helpers.audits import PIXELS, audit_photos, copy_file, write_splits
from helpers.photos import write_photos


def test_every_check_is_made_once(tmp_path: Path) -> None:
    """None is forgotten, and the result has each of them."""
    audit = audit_photos(write_splits(tmp_path / "photos", 3, 1, 2))
    assert sorted(check.name for check in audit.checks) == sorted(get_args(CheckName))


def test_images_without_labels(tmp_path: Path) -> None:
    """Copies are found; what needs labels or splits says that it was not checked."""
    photos = write_photos(tmp_path / "made", 4) / "discs"
    folder = tmp_path / "test"
    photos.rename(folder)
    copy_file(folder, "001.png", "copy.png")
    audit = audit_photos(folder)
    assert {p.label for p in audit.images} == {None}
    assert len(audit["duplicates"].findings) == 1
    for name in ("conflicts", "balance"):
        assert audit[name].verdict.startswith("not checked")


def test_one_class_only(tmp_path: Path) -> None:
    """Its copies are found all the same."""
    photos = write_photos(tmp_path / "photos", 6)
    for file in (photos / "stripes").iterdir():
        file.unlink()
    (photos / "stripes").rmdir()
    copy_file(photos, "discs/001.png", "discs/copy.png")
    audit = audit_photos(photos)
    assert len(audit["duplicates"].findings) == 1
    assert audit.fix is None


def test_test_images_without_labels_leak_as_well(tmp_path: Path) -> None:
    """Those of a competition: what is answered to them may be known by heart."""
    photos = write_splits(tmp_path / "photos", 6, 2, 1)
    for number, label in enumerate(("discs", "stripes")):
        [file] = (photos / "test" / label).iterdir()
        file.rename(photos / "test" / f"{number}.png")
        (photos / "test" / label).rmdir()
    copy_file(photos, "train/discs/001.png", "test/2.png")
    audit = audit_photos(photos)
    assert [Path(finding.paths[0]).name for finding in audit["leaks"].findings] == ["2.png"]
    assert audit["leaks"].weight == "alarm"
    assert "cost" not in audit["leaks"].figures


def test_a_share_without_effect_is_refused_as_for_training(tmp_path: Path) -> None:
    """Before anything is extracted."""
    photos = write_splits(tmp_path / "photos", 3, 1, 2)
    with pytest.raises(UsageError, match="has no effect"):
        audit_data(photos, PIXELS, test_fraction=0.3, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.h5"))


def test_two_audits_are_the_same(tmp_path: Path) -> None:
    """Order and figures do not depend on what is in the cache."""
    photos = write_splits(tmp_path / "photos", 4, 2, 2)
    copy_file(photos, "train/discs/001.png", "test/stripes/2.png")
    assert audit_photos(photos).describe() == audit_photos(photos).describe()
