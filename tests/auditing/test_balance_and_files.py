"""Classes that are too small to be learnt or measured, and files that are left out."""

from __future__ import annotations

from pathlib import Path

from helpers.audits import audit_photos, copy_file, write_splits


def test_a_class_that_a_split_lacks_is_to_be_looked_at(tmp_path: Path) -> None:
    """It is named, with the split; copies count as one picture."""
    photos = write_splits(tmp_path / "photos", 12, 2, 2)
    for file in (photos / "test" / "discs").iterdir():
        file.unlink()
    for number in range(3):
        copy_file(photos, "train/discs/001.png", f"train/discs/copy-{number}.png")
    check = audit_photos(photos)["balance"]
    assert check.weight == "look"
    assert "no image of discs in test" in check.verdict
    assert check.figures["pictures"]["discs"] == {"train": 12, "val": 2, "test": 0}
    assert check.table is not None


def test_equal_classes_are_fine(tmp_path: Path) -> None:
    """With what the commonest answer is right on, which any head has to beat."""
    check = audit_photos(write_splits(tmp_path / "photos", 12, 10, 10))["balance"]
    assert (check.weight, check.table) == ("fine", None)
    assert check.verdict == "2 classes, 32 to 32 pictures each; always answering discs is right on 50%"


def test_files_left_out_are_listed_with_their_reasons(tmp_path: Path) -> None:
    """Each with its path; the verdict has the commonest reasons."""
    photos = write_splits(tmp_path / "photos", 4, 2, 2)
    (photos / "train" / "discs" / "empty.png").write_bytes(b"")
    (photos / "train" / "discs" / "page.jpg").write_bytes(b"<html>not found</html>")
    check = audit_photos(photos)["unreadable"]
    assert check.weight == "look"
    assert {Path(finding.paths[0]).name: finding.text for finding in check.findings} == {
        "empty.png": "the file is empty",
        "page.jpg": "is a web page, likely in place of the image: download it again",
    }
    assert check.verdict.startswith("2 files left out, 1 of them for one reason: ")
