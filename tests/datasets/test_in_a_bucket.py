"""A data set in a bucket is the same data set as in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets.layouts import FOLDERS, Layout
from datasets.table_layouts import TABLES

from featstore.datasets.options import DataOptions
from featstore.datasets.sources import scan
from featstore.datasets.summary import summarize
from featstore.errors import FeatstoreError
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
