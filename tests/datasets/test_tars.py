"""Data sets in tars: what they are taken for, by their folders, by the labels in them and by their names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets.layouts import FOLDERS, Layout

from featstore.datasets import tar_members
from featstore.datasets.file_lists import list_files
from featstore.datasets.manifest import Manifest
from featstore.datasets.options import DataOptions
from featstore.datasets.sources import as_images, scan
from featstore.datasets.summary import summarize
from featstore.datasets.tar_names import expand_pattern, splits_of_tars
from featstore.errors import DataError, FeatstoreError, UsageError
from featstore.objects.places import kind_of
from featstore.system.member_paths import unpacked_path
from helpers.buckets import MemoryBucket, bucket_in_place
from helpers.tars import Files, forget_tars, pack, tar_bytes, write_tar


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Indexes are kept below the test's folder, and nothing is known of the tars of another."""
    monkeypatch.setenv("FEATSTORE_CACHE", str(tmp_path / "cache"))
    forget_tars()
    yield
    tar_members._folder = None


@pytest.fixture
def bucket() -> Iterator[MemoryBucket]:
    with bucket_in_place(MemoryBucket()) as made:
        assert isinstance(made, MemoryBucket)
        yield made


def rows(manifest: Manifest, top: Path | str) -> list[tuple[str, str | None, str | None]]:
    return [(p.path.removeprefix(f"{top}/").removeprefix(str(top)), p.label, p.split) for p in manifest.pictures]


def sample(name: str, label: str | None = None, **others: bytes) -> dict[str, bytes]:
    """Return the files of a sample."""
    files = {f"{name}.jpg": name.encode()} | {f"{name}.{ending}": data for ending, data in others.items()}
    return files if label is None else files | {f"{name}.cls": label.encode()}


def of_samples(labels: str, first: int = 0) -> Files:
    """Return the files of samples, one for each letter, which is its label."""
    return {
        name: data
        for number, label in enumerate(labels, first)
        for name, data in sample(f"{number:04}", label, txt=b"a caption").items()
    }


def has_links(root: Path) -> bool:
    return any(path.is_symlink() for path in root.rglob("*"))


def told(data: Path | str, top: Path | str, options: dict[str, Any]) -> Any:
    """What is made of a data set, as if it was unpacked."""
    try:
        manifest = scan(data, DataOptions(**options))
    except FeatstoreError as error:
        return str(error).replace(str(data), "DATA").replace(str(top), "DATA")
    found = [(unpacked_path(p.path), p.label, p.split, p.group, p.stat.size) for p in manifest.pictures]
    names = [(path.removeprefix(f"{top}/"), *rest) for path, *rest in found]
    return names, manifest.classes, summarize(manifest).line()


@pytest.mark.parametrize("layout", FOLDERS, ids=lambda layout: layout.name)
def test_a_layout_is_the_same_in_a_folder_and_in_a_tar(tmp_path: Path, layout: Layout) -> None:
    """Labels, splits, groups, order and sizes, and what is refused."""
    root = tmp_path / "set"
    root.mkdir()
    data = layout.draw(root)
    if has_links(root):
        pytest.skip("links in tars are not followed")
    packed = pack(data, tmp_path / "packed" / "set.tar", "./")
    here, there = told(data, data, layout.options), told(packed, packed.parent, layout.options)
    if isinstance(here, str):
        assert isinstance(there, str)
        assert (layout.refused in there) == (layout.refused in here)
    else:
        assert there == here


def test_samples_have_the_labels_of_their_files(tmp_path: Path) -> None:
    """Of `.cls` first, then of `label` or `class` in `.json`; captions are no labels."""
    files = {
        **sample("0", "cat", json=b'{"label": "dog"}'),
        **sample("1", json=b'{"label": "dog"}', txt=b"a dog"),
        **sample("2", json=b'{"class": 7}'),
        **sample("3", txt=b"cat"),
        **sample("4", "", json=b'{"label": "dog"}'),
        "5.cls": b"cat",
        ".hidden.jpg": b"x",
    }
    manifest = scan(write_tar(tmp_path / "x.tar", files))
    assert [p.label for p in manifest.pictures] == ["cat", "dog", "7", None, None]
    assert manifest.layout == "samples with labels in 1 tar"
    assert manifest.notes == (
        f"1 label without an image, such as {tmp_path}/x.tar!5.cls",
        "left out, as they are neither images nor labels: 2 .txt",
    )
    assert not manifest.skipped


def test_of_a_sample_with_several_pictures_the_plain_one_counts(tmp_path: Path) -> None:
    """A mask is not a photo of its class. Where two are as good, neither is taken."""
    files = {
        **sample("0", "cat", **{"mask.png": b"m"}),
        **sample("1", "dog", png=b"p"),
        **sample("a/2", "dog"),
        **sample("b/2", "cat"),
    }
    manifest = scan(write_tar(tmp_path / "x.tar", files))
    assert rows(manifest, tmp_path) == [
        ("x.tar!0.jpg", "cat", None),
        ("x.tar!a/2.jpg", "dog", None),
        ("x.tar!b/2.jpg", "cat", None),
    ]
    assert {path.removeprefix(f"{tmp_path}/x.tar!"): reason.split(" of ")[0] for path, reason in manifest.skipped} == {
        "0.mask.png": "is a further picture",
        "1.jpg": "is one",
        "1.png": "is one",
    }


def test_without_labels_in_files_folders_are_the_classes(tmp_path: Path) -> None:
    """Also if each picture has a caption, and a JSON that says something else of it."""
    files = {f"{label}/{n}.{end}": b"{}" for label in "ab" for n in range(2) for end in ("jpg", "json", "txt")}
    manifest = scan(write_tar(tmp_path / "x.tar", files))
    assert rows(manifest, tmp_path) == [(f"x.tar!{label}/{n}.jpg", label, None) for label in "ab" for n in range(2)]
    assert manifest.layout == "class folders in 1 tar"


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train-0.tar", "train-1.tar", "val-0.tar"], ["train", "train", "val"]),
        (["wds-imagenet-train-000.tar", "wds-imagenet-val-000.tar"], ["train", "val"]),
        (["train/0.tar", "train/1.tar", "test/0.tar"], ["train", "train", "test"]),
        (["a/train-0.tar", "b/val-0.tar"], ["train", "val"]),
        (["0.tar", "1.tar", "2.tar"], [None, None, None]),
        (["train-0.tar", "train-1.tar"], ["train", "train"]),
    ],
)
def test_names_of_tars_and_their_folders_say_splits(
    tmp_path: Path, names: list[str], splits: list[str | None], bucket: MemoryBucket
) -> None:
    """For samples as for class folders in the tars, on disk as in a bucket."""
    for kind, files in (("samples", of_samples("ab")), ("folders", {"a/1.jpg": b"a", "b/2.jpg": b"b"})):
        for name in names:
            write_tar(tmp_path / kind / name, files)
            bucket.store(f"{kind}/{name}", tar_bytes(files))
        manifest = scan(tmp_path / kind)
        found = {p.path.partition("!")[0].removeprefix(f"{tmp_path / kind}/"): p.split for p in manifest.pictures}
        assert found == dict(zip(names, splits, strict=True))
        assert {p.label for p in manifest.pictures} == {"a", "b"}
        assert rows(scan(f"s3://b/{kind}"), f"s3://b/{kind}") == rows(manifest, tmp_path / kind)


def test_a_name_without_a_split_next_to_those_with_one_is_refused(tmp_path: Path) -> None:
    for name in ("train-0.tar", "extra-0.tar"):
        write_tar(tmp_path / name, of_samples("ab"))
    with pytest.raises(DataError, match=r"train-0\.tar names a split, but extra-0\.tar does not"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("x-{0..2}.tar", ["x-0.tar", "x-1.tar", "x-2.tar"]),
        ("x-{09..11}.tar", ["x-09.tar", "x-10.tar", "x-11.tar"]),
        ("x-{2..1}.tar", ["x-2.tar", "x-1.tar"]),
        ("{a,b}/{0..1}.tar", ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]),
        ("{a,a}.tar", ["a.tar"]),
        ("x{,y}.tar", ["x.tar", "xy.tar"]),
    ],
)
def test_patterns_stand_for_what_a_shell_makes_of_them(pattern: str, paths: list[str]) -> None:
    assert expand_pattern(pattern) == paths


def test_a_pattern_of_too_many_is_refused() -> None:
    with pytest.raises(DataError, match="more than"):
        expand_pattern("{0..9999}{0..9999}{0..9999}.tar")


def test_a_pattern_names_a_data_set(tmp_path: Path, bucket: MemoryBucket) -> None:
    """Its tars are one data set, in splits if their names say more than one."""
    for name in ("train-00.tar", "train-01.tar", "val-00.tar"):
        write_tar(tmp_path / name, of_samples("ab"))
        bucket.store(name, tar_bytes(of_samples("ab")))
    whole = scan(f"{tmp_path}/train-{{00..01}}.tar")
    assert {p.split for p in whole.pictures} == {None}
    assert len(whole) == 4
    for top in (str(tmp_path), "s3://b"):
        both = scan(f"{top}/{{train,val}}-00.tar")
        assert [p.split for p in both.pictures] == ["train", "train", "val", "val"]
        with pytest.raises(DataError, match=r"val-01\.tar"):
            scan(f"{top}/{{train,val}}-{{00..01}}.tar")


def test_a_pattern_is_found_again_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a run keeps it, which may be used in another working folder."""
    write_tar(tmp_path / "x-0.tar", of_samples("ab"))
    monkeypatch.chdir(tmp_path)
    for data in ("x-{0..0}.tar", "x-0.tar!0000.jpg"):
        place = scan(data).place()
        assert place == f"{tmp_path}/{data}"
        assert kind_of(place) == "file"


def test_splits_of_a_million_tars_take_no_time() -> None:
    names = [f"train-{number:06}.tar" for number in range(20_000)] + ["val-000000.tar"]
    assert splits_of_tars("x", names, one_is_enough=False)[-1] == "val"


def test_a_tar_among_images_is_left_out_as_before(tmp_path: Path) -> None:
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "1.jpg").write_bytes(b"1")
    write_tar(tmp_path / "set" / "a" / "2.tar", of_samples("ab"))
    manifest = scan(tmp_path / "set")
    assert rows(manifest, tmp_path) == [("set/a/1.jpg", "a", None)]
    assert "left out, as they are not images: 1 .tar" in manifest.notes


def test_a_tar_that_is_none_is_told_and_the_only_one_refused(tmp_path: Path) -> None:
    for name in ("0.tar", "1.tar"):
        write_tar(tmp_path / "set" / name, of_samples("ab"))
    bad = tmp_path / "set" / "2.tar"
    none = {"is not a tar": b"x" * 2000, "gzip -dk": b"\x1f\x8b" + bytes(600), "is an empty file": b""}
    for reason, data in none.items():
        bad.write_bytes(data)
        manifest = scan(tmp_path / "set")
        assert len(manifest) == 4
        assert [path for path, _ in manifest.skipped] == [str(bad)]
        assert any(reason in note for note in manifest.notes)
        with pytest.raises(DataError, match=reason):
            scan(bad)
    bad.write_bytes(tar_bytes(of_samples("abab"))[:6000])
    manifest = scan(tmp_path / "set")
    assert len(manifest) > 4
    assert any("1 tar cannot be read to the end, such as" in note for note in manifest.notes)


def test_compressed_tars_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(b"\x1f\x8b" + bytes(600))
    with pytest.raises(DataError, match="unpack it once by `gzip -dk`"):
        scan(path)


def test_options_of_names_are_read_from_the_names_in_the_tar(tmp_path: Path) -> None:
    """The name of the tar is no part of them."""
    tar = write_tar(tmp_path / "birds_7.tar", {f"{label}_{n}.jpg": b"x" for label in ("cat", "dog") for n in range(3)})
    manifest = scan(tar, DataOptions(label_from="{label}_#", group_by=r"_(\d)"))
    assert [p.label for p in manifest.pictures] == ["cat"] * 3 + ["dog"] * 3
    assert [p.group for p in manifest.pictures] == ["0", "1", "2"] * 2
    with pytest.raises(UsageError, match="label_column"):
        scan(tar, DataOptions(label_column="x"))


def test_rows_of_a_table_may_name_files_in_tars(tmp_path: Path, bucket: MemoryBucket) -> None:
    """Relative to the table, in a bucket, and missing ones with a reason."""
    write_tar(tmp_path / "x.tar", {"a/1.jpg": b"1", "2.jpg": b"22"})
    bucket.store("x.tar", tar_bytes({"3.jpg": b"333"}))
    table = tmp_path / "rows.csv"
    table.write_text("path,label\nx.tar!a/1.jpg,cat\nx.tar!2.jpg,dog\ns3://b/x.tar!3.jpg,cat\nx.tar!4.jpg,dog\n")
    manifest = scan(table)
    assert [(p.path, p.label, p.stat.size) for p in manifest.pictures] == [
        (f"{tmp_path}/x.tar!a/1.jpg", "cat", 1),
        (f"{tmp_path}/x.tar!2.jpg", "dog", 2),
        ("s3://b/x.tar!3.jpg", "cat", 3),
    ]
    assert dict(manifest.skipped) == {f"{tmp_path}/x.tar!4.jpg": "cannot be opened: no such file in the tar"}


def test_images_to_predict_are_all_in_a_tar_or_one(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "set" / "x.tar", of_samples("ab"))
    for given in (tar, tmp_path / "set", [tar]):
        manifest = as_images(given)
        assert rows(manifest, tmp_path / "set") == [("x.tar!0000.jpg", None, None), ("x.tar!0001.jpg", None, None)]
    one = f"{tar}!0001.jpg"
    assert [p.path for p in as_images(one).pictures] == [one]
    assert [p.path for p in scan(one).pictures] == [one]
    with pytest.raises(DataError, match="no such file in the tar"):
        scan(f"{tar}!0009.jpg")
    assert len(list_files([f"{tar}!0000.jpg", one])) == 2


def test_by_url_a_rerun_asks_for_the_listing_and_the_states_only(bucket: MemoryBucket) -> None:
    for number in range(5):
        bucket.store(f"set/{number}.tar", tar_bytes(of_samples("abcd" * 50)))
    first = scan("s3://b/set")
    assert bucket.requests["get_range"] == 5
    forget_tars()
    bucket.forget_requests()
    again = scan("s3://b/set")
    assert again.pictures == first.pictures
    assert bucket.requests["get_range"] == 0
    assert bucket.requests["head"] <= 5
    assert json.dumps(again.classes) == '["a", "b", "c", "d"]'


def test_a_tar_by_url_that_was_replaced_is_scanned_anew(bucket: MemoryBucket) -> None:
    bucket.store("x.tar", tar_bytes(of_samples("ab")))
    assert len(scan("s3://b/x.tar")) == 2
    bucket.store("x.tar", tar_bytes(of_samples("abc")))
    assert len(scan("s3://b/x.tar")) == 3


def test_links_to_tars_out_of_the_data_set_need_the_option(tmp_path: Path) -> None:
    """As for images: snapshots of a hub are made of links."""
    write_tar(tmp_path / "store" / "blob", of_samples("ab"))
    (tmp_path / "set").mkdir()
    os.symlink(tmp_path / "store" / "blob", tmp_path / "set" / "0.tar")
    with pytest.raises(DataError, match="links that leave the data set"):
        scan(tmp_path / "set")
    assert len(scan(tmp_path / "set", DataOptions(follow_links=True))) == 2
