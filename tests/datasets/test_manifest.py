"""Listing data sets: layouts, skipped files, and CSV files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featstore.datasets.file_lists import list_files
from featstore.datasets.manifest import Manifest
from featstore.datasets.notes import leak_notes
from featstore.datasets.sources import scan
from featstore.datasets.splits import complete_splits
from featstore.errors import DataError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def listed(root: Path) -> set[tuple[str, str | None, str | None]]:
    return {(os.path.relpath(p.path, root), p.label, p.split) for p in scan(root).pictures}


def test_class_folders(tmp_path: Path) -> None:
    """DATA/<class>/ gives labels and no splits, also for files in folders below it."""
    touch(tmp_path, "cat/1.jpg", "cat/more/2.jpg", "dog/3.jpg")
    assert listed(tmp_path) == {("cat/1.jpg", "cat", None), ("cat/more/2.jpg", "cat", None), ("dog/3.jpg", "dog", None)}


@pytest.mark.parametrize("name", ["val", "valid", "validate", "validation"])
def test_split_folders(tmp_path: Path, name: str) -> None:
    """DATA/train/<class>/, a validation folder of any usual name, and test."""
    touch(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", f"{name}/cat/3.jpg", "test/dog/4.jpg")
    assert {(label, split) for _, label, split in listed(tmp_path)} == {
        ("cat", "train"),
        ("dog", "train"),
        ("cat", "val"),
        ("dog", "test"),
    }


@pytest.mark.parametrize("where", ["test/1.jpg", "test/unknown/1.jpg"])
def test_unlabelled_test_images(tmp_path: Path, where: str) -> None:
    """Images directly below test, or below a folder there that is not a class, have no label."""
    touch(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", where)
    assert (where, None, "test") in listed(tmp_path)


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    """DATA/* is a set of images without labels."""
    assert listed(touch(tmp_path, "b.jpg", "a.jpg")) == {("a.jpg", None, None), ("b.jpg", None, None)}


def test_a_class_that_was_never_trained_is_an_error(tmp_path: Path) -> None:
    """The message names a validation class that is not in the training split."""
    touch(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", "val/cat/3.jpg", "val/bird/4.jpg")
    with pytest.raises(DataError, match="'bird'"):
        scan(tmp_path)


def test_the_order_is_sorted(tmp_path: Path) -> None:
    """It does not depend on the file system."""
    touch(tmp_path, "b/2.jpg", "b/10.jpg", "a/z.jpg")
    assert [os.path.relpath(p.path, tmp_path) for p in scan(tmp_path).pictures] == ["a/z.jpg", "b/10.jpg", "b/2.jpg"]


def test_what_systems_leave_behind_is_ignored(tmp_path: Path) -> None:
    """Thumbs.db, desktop.ini, .DS_Store, ._x.jpg and __MACOSX are not images, and are not listed as skipped."""
    touch(tmp_path, "cat/1.jpg", "cat/Thumbs.db", "cat/desktop.ini", "cat/.DS_Store", "cat/._1.jpg", "__MACOSX/x/1.jpg")
    manifest = scan(tmp_path)
    assert [p.label for p in manifest.pictures] == ["cat"]
    assert manifest.skipped == ()


def test_links_that_leave_the_data_set_are_skipped(tmp_path: Path) -> None:
    """The reason says so; links within the data set are read."""
    touch(tmp_path, "outside.jpg", "data/cat/1.jpg")
    (tmp_path / "data" / "cat" / "in.jpg").symlink_to(tmp_path / "data" / "cat" / "1.jpg")
    (tmp_path / "data" / "cat" / "out.jpg").symlink_to(tmp_path / "outside.jpg")
    manifest = scan(tmp_path / "data")
    assert [Path(p.path).name for p in manifest.pictures] == ["1.jpg", "in.jpg"]
    assert [(Path(s.path).name, s.reason) for s in manifest.skipped] == [("out.jpg", "link that leaves the data set")]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Only regular files are images."""
    touch(tmp_path, "cat/1.jpg")
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    assert [s.reason for s in scan(tmp_path).skipped] == ["not a regular file"]


def test_a_name_that_is_not_unicode(tmp_path: Path) -> None:
    """Any name in the file system is listed."""
    folder = os.fsencode(tmp_path / "cat")
    os.mkdir(folder)
    Path(os.fsdecode(folder + b"/\xff[red]\n.jpg")).write_bytes(b"x")
    assert len(scan(tmp_path)) == 1


@pytest.mark.parametrize("make", [lambda p: p / "absent", lambda p: p])
def test_nothing_to_read_is_an_error(tmp_path: Path, make: object) -> None:
    """A missing and an empty folder are refused."""
    with pytest.raises(DataError):
        scan(make(tmp_path))  # type: ignore[operator]


def test_a_csv_names_paths_labels_splits_and_groups(tmp_path: Path) -> None:
    """Paths are relative to the CSV, which may have a byte order mark."""
    touch(tmp_path, "a.jpg", "b.jpg")
    text = "path,label,split,group\na.jpg,cat,train,g1\nb.jpg,,VALID,\nc.jpg,cat,test,\n"
    (tmp_path / "d.csv").write_text(text, encoding="utf-8-sig")
    manifest = scan(tmp_path / "d.csv")
    assert [(Path(p.path).name, p.label, p.split, p.group) for p in manifest.pictures] == [
        ("a.jpg", "cat", "train", "g1"),
        ("b.jpg", None, "val", None),
    ]
    assert "No such file" in manifest.skipped[0].reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label\ncat\n", "no column of paths among label; expected the columns path,label"),
        ("path,split\na.jpg,later\n", "line 2: split 'later'"),
        ("path,label\na.jpg,x\n./a.jpg,y\n", "line 3: .*a.jpg is named more than once, with the label 'x' and 'y'"),
        ("path,label,Label\na.jpg,x,y\n", "has the column 'label' more than once"),
        ("path\na.jpg,b,c\n", "line 2"),
        ("path,label\na.jpg,b,c\n", "line 2: has 3 values for 2 columns"),
        ("", "expected a table with the columns"),
    ],
)
def test_a_csv_that_makes_no_sense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The message has the line or the columns."""
    touch(tmp_path, "a.jpg")
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        scan(tmp_path / "d.csv")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(st.binary(max_size=60) | st.text(alphabet='path,labelsg"\n\r\0/x', max_size=60).map(str.encode))
def test_any_bytes_are_a_csv_or_refused(tmp_path: Path, raw: bytes) -> None:
    """A CSV raises no other exception than DataError."""
    (tmp_path / "d.csv").write_bytes(b"path,label\n" + raw)
    try:
        scan(tmp_path / "d.csv")
    except DataError:
        pass


def test_given_files_keep_their_order(tmp_path: Path) -> None:
    """A folder among them is sorted."""
    touch(tmp_path, "z.jpg", "f/2.jpg", "f/1.jpg", "a.jpg")
    names = [tmp_path / "z.jpg", tmp_path / "f", tmp_path / "a.jpg", tmp_path / "gone.jpg"]
    manifest = list_files(names)
    assert [Path(p.path).name for p in manifest.pictures] == ["z.jpg", "1.jpg", "2.jpg", "a.jpg"]
    assert len(manifest.skipped) == 1


def test_an_image_that_was_not_read_has_no_digest(tmp_path: Path) -> None:
    """Its digest, and the class of an unlabelled image, raise an error that names the file."""
    (tmp_path / "x.png").write_bytes(b"x")
    [picture] = scan(tmp_path).pictures
    assert picture.known_digest is None
    with pytest.raises(DataError, match=r"x\.png: has not been read"):
        _ = picture.digest
    with pytest.raises(DataError, match=r"x\.png: has no label"):
        _ = picture.class_name
    read = picture._replace(label="cat").with_digest("d" * 64)
    assert (read.digest, read.class_name, read.path, read.stat) == ("d" * 64, "cat", picture.path, picture.stat)


@pytest.mark.parametrize("use", [leak_notes, complete_splits])
def test_splits_and_leaks_need_the_digests(tmp_path: Path, use: Callable[[Manifest], object]) -> None:
    """Without digests a copy in two splits would not be found."""
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            (tmp_path / split / label / "x.png").write_bytes(b"x")
    manifest = scan(tmp_path)
    unsplit = manifest.with_pictures([p._replace(split=None) for p in manifest.pictures])
    with pytest.raises(DataError, match="has not been read"):
        use(unsplit if use is complete_splits else manifest)
