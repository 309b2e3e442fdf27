"""What DATA may be: a folder, a table, arrays, files, or the manifest of any of them; on disk or in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from featstore.datasets.array_files import (
    ARRAY_ENDINGS,
    scan_array_file,
    scan_arrays,
    scan_pairs,
    scan_pixels,
)
from featstore.datasets.arrays import is_image
from featstore.datasets.folders import scan_folder
from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.datasets.name_groups import group_by_names
from featstore.datasets.options import DataOptions
from featstore.datasets.table_files import TABLE_ENDINGS, TextTable, read_table, table_of_columns
from featstore.datasets.tables import scan_table
from featstore.datasets.walk import LINK_OUT, Walk
from featstore.errors import DataError, UsageError, param
from featstore.objects.caches import CacheLocation, cache_location, local_of
from featstore.objects.urls import Url
from featstore.system.paths import OneOrMorePaths, OnePath, is_path, one_or_more, one_path, refuse_whole_disk

_OTHER_TABLES = (".xlsx", ".xls", ".ods", ".json", ".jsonl", ".feather", ".arff")


class HasFolder(Protocol):
    """A cache, of which only its folder on this machine counts here."""

    @property
    def local(self) -> Path: ...


class Frame(Protocol):
    """A table in memory, as pandas and polars have it."""

    @property
    def columns(self) -> Any: ...

    def __getitem__(self, name: Any, /) -> Any: ...


CacheFolder: TypeAlias = CacheLocation | HasFolder
DataLike: TypeAlias = OnePath | Manifest | Frame | Mapping[str, Any] | Iterable[Any]


def scan(data: OnePath, options: DataOptions | None = None, cache: CacheFolder = None) -> Manifest:
    """List the images of a data set, without reading them.

    Args:
        data: A folder of images, a table (CSV, TSV or Parquet with columns such as path, label, split and group, or of
            pixels), arrays (.npz, .npy), or one image.
        options: How it is read: labels in the names of files, links, the columns of a table.
        cache: The folder below which arrays and pixels are written as images. Default: as everywhere.

    Returns:
        The manifest: a row for each image, with its label and split where the data give them.

    Raises:
        DataError: `data` does not exist, its layout is not one of the known ones, or it has no image.
        UsageError: `data` is not a path, or is the whole disk or a home folder.
    """
    source, options = one_path(data, "data"), options or DataOptions()
    if not os.path.exists(source):
        raise DataError(f"{source}: no such file or folder; give a folder of images, a table or an image")
    ending = "" if os.path.isdir(source) else os.path.splitext(source)[1].lower()
    if ending in TABLE_ENDINGS:
        manifest = _scan_table(read_table(Path(source)), options, _folder(cache))
    elif ending in _OTHER_TABLES:
        raise DataError(f"{source}: is a table in a format that is not read: save it as CSV")
    else:
        if ending in ARRAY_ENDINGS:
            manifest = scan_array_file(Path(source), options, _folder(cache))
        else:
            is_folder = os.path.isdir(source)
            manifest = _scan_folder(source, options) if is_folder else _list_images(source, options)
    return _finished(manifest, options)


def _scan_folder(source: str, options: DataOptions) -> Manifest:
    """Return the manifest of a folder; where it has no labels, with a hint at a table in it."""
    refuse_whole_disk(source)
    options.refuse_but(("label_from", "group_by", "follow_links"), source, "a folder and not a table")
    manifest = scan_folder(source, options)
    tables = sorted(name for name in os.listdir(source) if name.lower().endswith((".csv", ".tsv", ".parquet")))
    if manifest.classes or not tables:
        return manifest
    return replace(manifest, hint=f"did you mean {os.path.join(source, tables[0])}?")


@dataclass(frozen=True)
class Source:
    """Data that are not read yet, with how to read them: a job reads them after it has checked all else."""

    data: DataLike
    options: DataOptions
    cache: CacheFolder = None


def as_manifest(data: DataLike | Source, options: DataOptions | None = None, cache: CacheFolder = None) -> Manifest:
    """Return the manifest of `data`, which may be one.

    data: a path as for `scan`; a table with columns such as path and label (a DataFrame, or a mapping of columns); a
    list of paths, of pairs (path, label), or of images; an array of images; a tuple (images or paths, labels); named
    arrays. Paths in memory are relative to the working folder. Raises DataError as `scan` does, UsageError for options
    that come too late for a manifest.
    """
    if isinstance(data, Source):
        return as_manifest(data.data, data.options, data.cache)
    if isinstance(data, Manifest):
        for name, value in options.given() if options else ():
            raise UsageError(
                f"{param(name, value)}: has no effect on a manifest, which was read before; give it to scan"
            )
        return data
    if is_path(data):
        return scan(data, options, cache)
    options = options or DataOptions()
    return _finished(_from_memory(data, options, _folder(cache)), options)


def as_images(images: DataLike, options: DataOptions | None = None, cache: CacheFolder = None) -> Manifest:
    """Return the manifest of images to predict: `images` as for `as_manifest`, but a folder is all images below it."""
    if isinstance(images, Manifest):
        return as_manifest(images, options)
    if not is_path(images):
        return _from_memory(images, options or DataOptions(), _folder(cache))
    path = one_path(images, "images")
    ending = os.path.splitext(path)[1].lower()
    is_container = ending in (*TABLE_ENDINGS, *ARRAY_ENDINGS, *_OTHER_TABLES) and not os.path.isdir(path)
    return scan(path, options, cache) if is_container else _list_images(path, options)


def _list_images(paths: OneOrMorePaths, options: DataOptions | None) -> Manifest:
    """Return the manifest of `list_files`; raises UsageError for options that would do nothing."""
    if options:
        options.refuse_but(("follow_links",), "images", "neither a table nor read for labels")
    return list_files(paths, options)


def _folder(cache: CacheFolder) -> Path:
    if cache is None or isinstance(cache, str | os.PathLike | Url):
        return local_of(cache_location(cache))
    return cache.local


def _from_memory(data: Any, options: DataOptions, cache: Path) -> Manifest:
    if isinstance(data, Mapping):
        columns = _columns_of(data)
        if any(_are_images(values) for values in columns.values()):
            return scan_arrays(columns, "arrays", options, cache)
        return _scan_table(table_of_columns(columns, "table"), options, cache)
    if hasattr(data, "columns"):
        return _scan_table(
            table_of_columns({str(name): list(data[name]) for name in data.columns}, "table"), options, cache
        )
    if isinstance(data, tuple) and len(data) == 2 and _has_labels(*data):
        return _from_pairs(data[0], data[1], options, cache)
    if is_image(data) and (len(getattr(data, "shape", ())) != 3 or data.shape[2] in (1, 3)):
        return scan_pairs([data], None, "image", options, cache)
    if _are_images(data):
        return scan_pairs(data, None, "images", options, cache)
    if not isinstance(data, Iterable):
        raise UsageError(
            f"{param('data')}: expected a path, a table, images or arrays, or a list of paths, found a "
            f"{type(data).__name__}"
        )
    items = list(data)
    if items and all(isinstance(item, tuple | list) and len(item) == 2 for item in items):
        return _from_pairs([first for first, _ in items], [second for _, second in items], options, cache)
    return _list_images(items, options)


def _columns_of(data: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the columns by name; raises UsageError for a mapping of something else."""
    for name, values in data.items():
        if is_path(values) or not isinstance(values, Iterable):
            raise UsageError(
                f"{param('data')}: expected columns with a value for each image, found {values!r} as {name!r}"
            )
    return {str(name): values for name, values in data.items()}


def _from_pairs(first: Any, labels: Any, options: DataOptions, cache: Path) -> Manifest:
    if _are_images(first):
        return scan_pairs(first, labels, "images", options, cache)
    return scan_table(table_of_columns({"path": list(first), "label": list(labels)}, "list"), options)


def _has_labels(first: Any, second: Any) -> bool:
    """Return whether a tuple is (images or paths, labels), rather than two images or two paths."""
    are_several = _are_images(first) or (isinstance(first, Sequence) and not is_path(first))
    is_array = hasattr(first, "shape") and len(first.shape) > 0
    return (are_several or is_array) and hasattr(second, "__len__") and len(first) == len(second)


def _are_images(values: Any) -> bool:
    """Return whether `values` is an array of images, or a sequence whose first item is an image."""
    if hasattr(values, "dtype") and hasattr(values, "shape"):
        return len(values.shape) > 2
    return isinstance(values, Sequence) and len(values) > 0 and is_image(values[0])


def _scan_table(table: TextTable, options: DataOptions, cache: Path) -> Manifest:
    return scan_pixels(table, options, cache) if table.pixels else scan_table(table, options)


def _finished(manifest: Manifest, options: DataOptions) -> Manifest:
    """Return `manifest` with the groups that names of files say; raises DataError if it has no image."""
    if not manifest.pictures:
        raise DataError(_nothing_found(manifest))
    return manifest if options.group_by is None else group_by_names(manifest, options.group_by)


def list_files(paths: OneOrMorePaths, options: DataOptions | None = None) -> Manifest:
    """Return a manifest without labels of files, in the given order, and of all files below folders, sorted.

    Raises UsageError for anything but paths, and for a folder that is the whole disk or a home folder.
    """
    pictures: list[Picture] = []
    skipped: list[Skipped] = []
    notes: list[str] = []
    named = one_or_more(paths, "images")
    for path in named:
        walk = Walk(os.path.realpath(path) if os.path.isdir(path) else path, options or DataOptions())
        if os.path.isdir(path):
            refuse_whole_disk(path)
            pictures += (Picture(file, info) for file, info in walk.files(path))
        elif (info := walk.stat(path)) is not None:
            pictures.append(Picture(path, info))
        skipped += walk.skipped
        notes += walk.notes()
    return Manifest(named[0] if named else "", tuple(pictures), tuple(skipped), notes=tuple(notes))


def _nothing_found(manifest: Manifest) -> str:
    """Return the message for a data set without images."""
    links = [item for item in manifest.skipped if item.reason == LINK_OUT]
    if links:
        return (
            f"{manifest.source}: all images are links that leave the data set, such as {links[0].path}; "
            f"{param('follow_links', True)} reads them"
        )
    left_out = "".join(f"; skipped: {path}: {reason}" for path, reason in manifest.skipped[:1])
    left_out += "".join(f"; {note}" for note in manifest.notes[:1])
    return f"{manifest.source}: no image files found; expected DATA/<class>/*, DATA/train/<class>/* or DATA/*{left_out}"
