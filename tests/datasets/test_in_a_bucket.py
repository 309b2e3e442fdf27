"""A data set in a bucket is the same data set as in a folder."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets.layouts import FOLDERS, Layout
from datasets.table_layouts import TABLES

from featstore.datasets.options import DataOptions
from featstore.datasets.sources import as_images, as_manifest, scan
from featstore.datasets.summary import summarize
from featstore.errors import DataError, FeatstoreError, StoreError, UnreadableImage, UsageError
from featstore.features.inputs import list_images
from featstore.images.files import read_file
from featstore.objects.bucket import ObjectError
from helpers.buckets import MemoryBucket, bucket_in_place

LAYOUTS = [layout for layout in (*FOLDERS, *TABLES) if not layout.options.get("follow_links")]


@pytest.fixture
def bucket() -> Iterator[MemoryBucket]:
    with bucket_in_place(MemoryBucket()) as made:
        assert isinstance(made, MemoryBucket)
        yield made


def upload(root: Path, bucket: MemoryBucket, to: str) -> None:
    """Put the files below a folder into a bucket, and the mark of a console for each empty folder."""
    for folder, folders, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        for name in files:
            bucket.store(os.path.normpath(f"{to}/{inside}/{name}"), Path(folder, name).read_bytes())
        if not files and not folders:
            bucket.store(os.path.normpath(f"{to}/{inside}") + "/", b"")


def has_links(root: Path) -> bool:
    return any(path.is_symlink() for path in root.rglob("*"))


def told(data: str, top: str, options: dict[str, Any]) -> Any:
    """What is made of a data set, without the place of its top."""

    def plain(text: str) -> str:
        return text.replace(top, "TOP").replace("/./", "/").replace("No such file or directory", "no such object")

    try:
        manifest = scan(data, DataOptions(**options))
    except FeatstoreError as error:
        return plain(str(error))
    rows = [(plain(p.path), p.label, p.split, p.group, p.stat.size) for p in manifest.pictures]
    texts = [manifest.source, manifest.layout, manifest.hint, *manifest.lost, *manifest.notes]
    return (
        rows,
        manifest.classes,
        summarize(manifest).line(),
        [*map(plain, texts), *map(plain, map(str, manifest.skipped))],
    )


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_layout_is_the_same_in_a_folder_and_in_a_bucket(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch, bucket: MemoryBucket
) -> None:
    """Labels, splits, groups, order, sizes, what is left out, what is told and what is refused."""
    root, inside = tmp_path / "set", "some/where"
    root.mkdir()
    monkeypatch.setenv("FEATSTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(root)
    data = layout.draw(root)
    if has_links(root):
        pytest.skip("object storage has no links")
    upload(root, bucket, inside)
    top, place = f"s3://b/{inside}", os.path.relpath(data, root)
    given = {str(root): {}, top: {}}
    for folder, options in given.items():
        options |= {name: f"{folder}/{v}" if name == "image_folder" else v for name, v in layout.options.items()}
    there, here = (folder if place == "." else f"{folder}/{place}" for folder in (top, str(root)))
    assert told(there, top, given[top]) == told(here, str(root), given[str(root)])


NAMES = [
    f"{name}.jpg" for name in ("a b", "a#b", "a%20b", "a?b=c&d", "a+b", "\u00fc\U0001f600", "a\\b", "[1]*", "e\u0301")
]


def test_objects_have_the_names_that_they_have(bucket: MemoryBucket, tmp_path: Path) -> None:
    """In a listing and in a table."""
    for name in NAMES:
        bucket.store(f"set/{name}", name.encode())
    paths = [f"s3://b/set/{name}" for name in sorted(NAMES)]
    table = tmp_path / "d.csv"
    table.write_text("path\n" + "".join(f'"{path}"\n' for path in paths))
    for data in ("s3://b/set/", table):
        manifest = scan(data)
        assert [p.path for p in manifest.pictures] == paths
        assert [read_file(p.path).raw.decode() for p in manifest.pictures] == sorted(NAMES)
        assert not manifest.skipped


def test_what_cannot_be_named_or_is_no_image_is_left_out(bucket: MemoryBucket) -> None:
    """Servers keep what no folder could hold; consoles mark folders by empty objects."""
    for name in (
        "set/",
        "set/cat/",
        "set/cat/1.jpg",
        "set/cat/.hidden.jpg",
        "set/.git/2.jpg",
        "set/cat/Thumbs.db",
        "set2/3.jpg",
    ):
        bucket.store(name, b"" if name.endswith("/") else b"x")
    for name in ("set//4.jpg", "set/../5.jpg", "set/6\n.jpg"):
        bucket.store(name, b"x")
    manifest = as_images("s3://b/set")
    assert [p.path for p in manifest.pictures] == ["s3://b/set/cat/1.jpg"]
    assert {reason for _, reason in manifest.skipped} == {"no object can be named so here: rename it"}
    assert len(manifest.skipped) == 3


def test_a_table_names_files_anywhere(bucket: MemoryBucket, tmp_path: Path) -> None:
    """Relative to the table, in this and in another bucket, and on this machine."""
    (tmp_path / "1.jpg").write_bytes(b"1")
    for name in ("set/2.jpg", "else/3.jpg"):
        bucket.store(name, b"22" if "2" in name else b"333")
    rows = [
        f"{tmp_path}/1.jpg",
        "2.jpg",
        "gs://c/else/3.jpg",
        f"file://{tmp_path}/1.jpg",
        "../else/./3.jpg",
        "none.jpg",
    ]
    bucket.store("set/d.csv", ("path,label\n" + "".join(f"{row},x\n" for row in rows)).encode())
    manifest = scan("s3://b/set/d.csv")
    assert [(p.path, p.stat.size) for p in manifest.pictures] == [
        (f"{tmp_path}/1.jpg", 1),
        ("s3://b/set/2.jpg", 2),
        ("gs://c/else/3.jpg", 3),
        ("s3://b/else/3.jpg", 3),
    ]
    assert manifest.skipped == (("s3://b/set/none.jpg", "cannot be opened: no such object"),)
    assert any("1 row of the table names an image once more" in note for note in manifest.notes)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_and_its_images_in_different_places(bucket: MemoryBucket, tmp_path: Path, ending: str) -> None:
    """The folder of the images may be a URL, and names without their endings are completed there."""
    for number in range(40):
        bucket.store(f"images/{number}.jpg", b"x")
    columns = {"id": [str(number) for number in range(40)], "label": ["cat", "dog"] * 20}
    if ending == "csv":
        text = "id,label\n" + "".join(f"{number},{label}\n" for number, label in zip(*columns.values(), strict=True))
        bucket.store("tables/d.csv", text.encode())
    else:
        pyarrow = pytest.importorskip("pyarrow")
        content = io.BytesIO()
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), content)
        bucket.store("tables/d.parquet", content.getvalue())
    bucket.forget_requests()
    manifest = scan(f"s3://b/tables/d.{ending}", DataOptions(image_folder="s3://b/images"))
    assert [p.path for p in manifest.pictures] == [f"s3://b/images/{number}.jpg" for number in range(40)]
    assert bucket.requests["list"] <= 2
    assert bucket.requests["head"] <= 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("https://host/1.jpg", "line 2: https:// is not known.*download the files"),
        ("s3://me:secret@b/1.jpg", "line 2: .*a user or a password"),
        ("../../1.jpg", "leads out of the bucket"),
    ],
)
def test_a_row_that_no_object_has_is_refused(bucket: MemoryBucket, row: str, message: str) -> None:
    bucket.store("set/d.csv", f"path\n{row}\n".encode())
    with pytest.raises(DataError, match=message) as error:
        scan("s3://b/set/d.csv")
    assert "secret" not in str(error.value)


def test_images_are_named_one_by_one(bucket: MemoryBucket, tmp_path: Path) -> None:
    """Objects, folders and files, in the order given; a folder of objects is not taken for an image."""
    (tmp_path / "1.jpg").write_bytes(b"x")
    for name in ("set/a/3.jpg", "set/a/2.jpg", "4.jpg"):
        bucket.store(name, b"x")
    manifest = as_images(["s3://b/4.jpg", "s3://b/set", tmp_path / "1.jpg", "s3://b/none.jpg"])
    assert [p.path for p in manifest.pictures] == [
        "s3://b/4.jpg",
        "s3://b/set/a/2.jpg",
        "s3://b/set/a/3.jpg",
        f"{tmp_path}/1.jpg",
    ]
    assert manifest.skipped == (("s3://b/none.jpg", "cannot be opened: no such object"),)
    with pytest.raises(UnreadableImage, match="name its images one by one"):
        list_images(["s3://b/set"], tmp_path)


def test_links_are_not_followed_where_there_are_none(bucket: MemoryBucket) -> None:
    bucket.store("set/1.jpg", b"x")
    with pytest.raises(UsageError, match="follow_links=True: has no effect on s3://b/set"):
        scan("s3://b/set", DataOptions(follow_links=True))


def test_of_many_images_that_are_gone_none_is_asked_for(bucket: MemoryBucket) -> None:
    """Their folder was listed, which says what is there, folders too."""
    for number in range(50):
        bucket.store(f"set/{number}.jpg", b"x")
    bucket.store("set/more/1.jpg", b"x")
    bucket.forget_requests()
    manifest = as_images([*(f"s3://b/set/{number}.jpg" for number in range(100)), "s3://b/set/more"])
    assert (len(manifest), len(manifest.skipped)) == (51, 50)
    assert bucket.requests == {"list": 2}


def test_a_bucket_that_does_not_answer_is_an_error_in_one_line(bucket: MemoryBucket) -> None:
    def fail(kind: str, path: str) -> None:
        raise ObjectError("503 Slow Down, GET to host")

    bucket.before = fail
    for data in ("s3://b", "s3://b/set", "s3://b/d.csv", ["s3://b/1.jpg"] * 2):
        with pytest.raises(StoreError, match="503 Slow Down, GET to host") as error:
            as_manifest(data)
        assert "\n" not in str(error.value)


def test_a_listing_is_one_request_for_a_thousand_images(bucket: MemoryBucket) -> None:
    """However many classes there are."""
    for number in range(2500):
        bucket.store(f"set/{number % 100}/{number}.jpg", b"x")
    bucket.forget_requests()
    assert len(scan("s3://b/set")) == 2500
    assert bucket.requests == {"list": 4}  # one of them asks whether there is such a folder
