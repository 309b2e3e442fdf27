"""The mended split: copies and groups in one split, few images moved, test images left in test, and a round trip."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featstore
from featstore.auditing.fix_split import FixedSplit
from featstore.auditing.result import Audit
from helpers.audits import audit_photos, copy_file, copy_pixels, write_splits


def fix_of(audit: Audit) -> FixedSplit:
    assert audit.fix is not None
    return audit.fix


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    photos = write_splits(tmp_path_factory.mktemp("fix") / "photos")
    copy_file(photos, "test/discs/016.png", "train/discs/=a.png")
    copy_pixels(photos, "test/stripes/017.png", "train/stripes/b, or c.png")
    copy_file(photos, "val/stripes/012.png", "train/stripes/d.png")
    copy_file(photos, "train/discs/002.png", "train/discs/f.png")
    (photos / "train" / "discs" / "broken.png").write_bytes(b"no image")
    return photos


def test_copies_go_to_the_held_out_side(leaky: Path) -> None:
    """The test split keeps its pictures; the copies in train follow them, and nothing else moves."""
    fix = fix_of(audit_photos(leaky))
    assert [(Path(move.path).name, move.before, move.after) for move in fix.moves] == [
        ("=a.png", "train", "test"),
        ("b, or c.png", "train", "test"),
        ("d.png", "train", "val"),
    ]
    assert fix.kept == 3
    assert "3 images to move: 2 from train to test, 1 from train to val" in fix.sentence()


def test_the_table_is_a_data_set_without_leaks(leaky: Path, tmp_path: Path) -> None:
    """It is read as it was meant, by the audit and by the training; what cannot be read is not in it."""
    before = {file: file.read_bytes() for file in leaky.rglob("*") if file.is_file()}
    table = audit_photos(leaky).save_fixed_split(leaky.parent / "fixed.csv")
    manifest = featstore.scan(table)
    assert len(manifest) == sum(1 for _ in leaky.rglob("*.png")) - 1
    audit = audit_photos(table)
    assert audit["leaks"].weight == "fine"
    assert fix_of(audit).moves == ()
    assert {p.group for p in audit.images if Path(p.path).name in ("002.png", "f.png")} != {None}
    run = featstore.train_head(table, model="pixels", size=8, cache=leaky.parent / "cache", runs=tmp_path / "runs")
    assert run.metrics["test"].n == 14
    assert {file: file.read_bytes() for file in leaky.rglob("*") if file.is_file()} == before


def test_the_table_may_lie_elsewhere(leaky: Path, tmp_path: Path) -> None:
    """Images that are not below its folder are named by their whole path."""
    table = audit_photos(leaky).save_fixed_split(tmp_path / "fixed.csv")
    assert {p.path for p in featstore.scan(table).pictures} == {p.path for p in audit_photos(leaky).images}
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert all(row["path"].startswith("/") for row in rows)


def test_no_cell_of_a_path_is_a_formula(tmp_path: Path) -> None:
    """A spreadsheet that opens the table must not run the name of a file."""
    photos = write_splits(tmp_path / "=photos", 3, 1, 2)
    table = audit_photos(photos).save_fixed_split(tmp_path / "fixed.csv")
    assert all(line.startswith("./=") for line in table.read_text().splitlines()[1:])
    assert len(featstore.scan(table)) == 12


def test_a_label_that_a_table_cannot_hold_is_refused(tmp_path: Path) -> None:
    """`NA` would be read as a missing label, and its images would be lost without a word."""
    photos = write_splits(tmp_path / "photos", 3, 1, 2)
    for split in ("train", "val", "test"):
        (photos / split / "discs").rename(photos / split / "NA")
    with pytest.raises(featstore.StoreError, match="cannot hold the label 'NA'"):
        audit_photos(photos).save_fixed_split(tmp_path / "fixed.csv")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten films of six frames of each class, whose frames are strewn over the splits."""
    folder = tmp_path_factory.mktemp("films") / "photos"
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for film in range(10):
            scene = rng.integers(0, 200, (16, 16, 3))
            for frame in range(6):
                split = ("train", "train", "train", "val", "test", "train")[frame]
                (folder / split / label).mkdir(parents=True, exist_ok=True)
                pixels = (scene + rng.integers(0, 40, scene.shape)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / label / f"{label}{film}-{frame}.png")
    return folder


def test_films_are_divided_whole_and_near_to_the_sizes(films: Path) -> None:
    """Groups are taken from the names here, as the user says; each class keeps its share in each split."""
    from featstore.datasets.options import DataOptions
    from featstore.datasets.sources import scan

    fix = fix_of(audit_photos(scan(films, DataOptions(group_by=r"^(\w+)-")), folder=films))
    splits: dict[str | None, set[str | None]] = {}
    for p in fix.pictures:
        splits.setdefault(p.group, set()).add(p.split)
    assert all(len(found) == 1 for found in splits.values())
    assert len(splits) == 20
    sizes = Counter((p.label, p.split) for p in fix.pictures)
    for label in ("a", "b"):
        assert 36 <= sizes[label, "train"] <= 48  # of 40
        assert 6 <= sizes[label, "val"] <= 12  # of 10
        assert 6 <= sizes[label, "test"] <= 12
