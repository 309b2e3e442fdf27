"""Labels of images: from a CSV beside them or elsewhere, and from the names of folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from featstore.base_check.class_index import ClassIndex
from featstore.base_check.labels import Labels, labels_of_folders, read_labels
from featstore.datasets.file_lists import list_files
from featstore.datasets.manifest import Picture
from featstore.errors import DataError
from featstore.system.files import FileStat
from helpers.buckets import MemoryBucket, bucket_in_place

INDEX = ClassIndex(("tench", "goldfish", "great_white_shark"), ("n00000010", "n00000011", "n00000012"), "index.json")


def put(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"an image")


def read(folder: Path, text: str, index: ClassIndex | None = INDEX, classes: int | None = 1000) -> Labels:
    """The labels of a CSV beside the folder `photos` of images."""
    (folder / "labels.csv").write_text(text)
    photos = folder / "photos"
    return read_labels(folder / "labels.csv", str(photos), list_files([photos]).pictures, index, classes)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    put(*(tmp_path / "photos" / name for name in ("a.jpg", "b.jpg", "sub/c.jpg")))
    return tmp_path / "photos"


def test_labels_are_numbers_ids_or_names(photos: Path, tmp_path: Path) -> None:
    """Paths are relative to the folder of the CSV, or to that of the data; other columns do no harm."""
    found = read(tmp_path, "path,label,name\nphotos/a.jpg,2,x\nb.jpg,n00000011,y\nsub/c.jpg, Great White shark,z\n")
    assert [found.by_path[str(photos / name)] for name in ("a.jpg", "b.jpg", "sub/c.jpg")] == [2, 1, 2]
    assert found.source == str(tmp_path / "labels.csv")


@pytest.mark.parametrize(
    "text", ["path;label\na.jpg;2\n", "sep=\t\npath\tlabel\na.jpg\t2\n", "Filename, Class\na.jpg, 2\n", "a.jpg,2\n"]
)
def test_labels_are_read_like_any_table(photos: Path, tmp_path: Path, text: str) -> None:
    """Of any dialect, with the usual names of columns, or without a header."""
    assert read(tmp_path, text).by_path == {str(photos / "a.jpg"): 2}


def test_a_csv_among_the_images_is_found_by_its_name(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of that name in the working folder comes first."""
    monkeypatch.chdir(tmp_path)
    (photos / "labels.csv").write_text("path,label\na.jpg,7\n")
    pictures = list_files([photos]).pictures
    assert read_labels("labels.csv", "photos", pictures, None).by_path == {str(photos / "a.jpg"): 7}
    (tmp_path / "labels.csv").write_text("path,label\nphotos/a.jpg,8\n")
    assert read_labels("labels.csv", "photos", pictures, None).by_path == {str(photos / "a.jpg"): 8}
    with pytest.raises(DataError, match="nowhere.csv: no such file; expected a CSV path,label, here or in photos"):
        read_labels("nowhere.csv", "photos", pictures, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour,size\na,1\n", "no column of paths among colour, size; expected the columns path,label"),
        ("path,label\n", "has no labels"),
        ("path,label\na,1\na,2\n", "line 3: a is listed more than once"),
        ("path,label\na,1\n,2\n", "line 3: has no path"),
        ("path,label\na,1000\n", "line 2: label '1000': .* are the labels counted from 1"),
        ("path,label\na,1001\n", "line 2: label '1001': expected the number of a class, 0 to 999$"),
        ("path,label\na,cat\n", "line 2: label 'cat': .* of index.json"),
        ("path,label\na,n09999999\n", "line 2: label 'n09999999'"),
        ("path,label\na,-1\n", "line 2: label '-1'"),
        ("path,label\na\n", "line 2: label ''"),
        ("path,label\nx.jpg,1\n", "none of its 3 images is listed in .*labels.csv; .* the first leads to .*x.jpg, the"),
    ],
)
def test_wrong_labels_are_refused(photos: Path, tmp_path: Path, text: str, message: str) -> None:
    """The error has the line and what was expected."""
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_without_an_index_the_error_says_how_to_give_it(photos: Path, tmp_path: Path) -> None:
    """Ids and names cannot be looked up; numbers can be used."""
    with pytest.raises(DataError, match=r"line 2: .*WordNet ids are looked up .* give the file as `class_index`"):
        read(tmp_path, "path,label\na.jpg,n00000010\n", None)
    with pytest.raises(DataError, match=r"names are looked up"):
        read(tmp_path, "path,label\na.jpg,tench\n", None)


def pictures(*paths: str) -> list[Picture]:
    return [Picture(path, FileStat(0, 0, 0, 0)) for path in paths]


def test_folders_named_by_classes_are_labels() -> None:
    """By WordNet id, as in the archives of ImageNet, or by name; at any depth."""
    for one, other in (("n00000010", "n00000012"), ("Tench", "great white shark")):
        found, note = labels_of_folders(pictures(f"val/{one}/1.JPEG", f"val/{other}/2.JPEG"), INDEX)
        assert found is not None
        assert ([*found.by_path.values()], note) == ([0, 2], None)


@pytest.mark.parametrize(
    "paths",
    [
        ("photos/cats/1.jpg", "photos/tench/2.jpg"),  # a class, but not all
        ("photos/0/1.jpg", "photos/1/2.jpg"),  # digits
        ("photos/tench/1.jpg", "photos/tench/2.jpg"),  # one class
        ("photos/1.jpg", "photos/2.jpg"),
    ],
)
def test_other_folders_are_not(paths: tuple[str, ...]) -> None:
    """A folder that happens to have a name of ImageNet's is no reason to measure accuracy."""
    assert labels_of_folders(pictures(*paths), INDEX) == (None, None)


def test_folders_as_labels_may_be_asked_for() -> None:
    """Numbers count then, and an unknown name is refused with its folder."""
    asked = pictures("photos/0/1.jpg", "photos/2/2.jpg")
    assert [*read_labels("folders", "photos", asked, INDEX, 3).by_path.values()] == [0, 2]
    with pytest.raises(DataError, match="photos/cats: label 'cats'"):
        read_labels("folders", "photos", pictures("photos/cats/1.jpg"), INDEX, 3)


def test_labels_of_a_table_come_before_folders() -> None:
    """A table in memory may list images from anywhere."""
    one, other = pictures("a/1.jpg", "b/2.jpg")
    listed = [one._replace(label="tench"), other._replace(label="goldfish")]
    found, _ = labels_of_folders(listed, INDEX)
    assert found is not None
    assert ([*found.by_path.values()], found.source) == ([0, 1], "those of the data")


def test_ids_without_an_index_are_told_or_in_order() -> None:
    """All 1,000 classes of ImageNet are numbered in the order of their ids; fewer cannot be numbered."""
    found, note = labels_of_folders(pictures("val/n00000010/1.JPEG", "val/n00000012/2.JPEG"), None)
    assert found is None
    assert note is not None
    assert "named by WordNet ids" in note
    found, _ = labels_of_folders(pictures(*(f"val/n{n:08}/1.JPEG" for n in range(1000))), None)
    assert found is not None
    assert [*found.by_path.values()] == list(range(1000))


def test_labels_and_images_in_a_bucket() -> None:
    """The CSV lies among the images or elsewhere; nothing is asked for each row."""
    bucket = MemoryBucket()
    for name in ("photos/a.jpg", "photos/sub/c.jpg"):
        bucket.store(name, b"an image")
    bucket.store("photos/labels.csv", b"path,label\na.jpg,7\n./sub/c.jpg,2\n")
    bucket.store("labels/them.csv", b"path,label\n../photos/a.jpg,7\nsub/c.jpg,2\n")
    with bucket_in_place(bucket):
        pictures = list_files(["s3://b/photos"]).pictures
        bucket.forget_requests()
        for file in ("labels.csv", "s3://b/labels/them.csv"):
            found = read_labels(file, "s3://b/photos", pictures, None)
            assert found.by_path == {"s3://b/photos/a.jpg": 7, "s3://b/photos/sub/c.jpg": 2}
    assert bucket.requests.total() <= 10
