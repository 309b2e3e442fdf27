"""What DATA may be: a folder, a table, files, or the manifest of any of them."""

from __future__ import annotations

import os
from pathlib import Path

from featstore.datasets.folders import scan_folder
from featstore.datasets.manifest import Manifest, Picture, Skipped
from featstore.datasets.options import DataOptions
from featstore.datasets.table_files import TABLE_ENDINGS
from featstore.datasets.tables import scan_table_file
from featstore.datasets.walk import Walk
from featstore.errors import DataError, UsageError, param
from featstore.system.paths import OneOrMorePaths, OnePath, one_or_more, one_path, refuse_whole_disk

_OTHER_TABLES = (".xlsx", ".xls", ".ods", ".json", ".jsonl", ".feather", ".arff")


def scan(data: OnePath, options: DataOptions | None = None) -> Manifest:
    """List the images of a data set, without reading them.

    Args:
        data: A folder of images, a table (CSV, TSV or Parquet with columns such as path, label, split and group), or
            one image.
        options: How it is read: labels in the names of files, links, the columns of a table.

    Returns:
        The manifest: a row for each image, with its label and split where the folders or the CSV give them.

    Raises:
        DataError: `data` does not exist, its layout is not one of the known ones, or it has no image.
        UsageError: `data` is not a path, or is the whole disk or a home folder.
    """
    source, options = one_path(data, "data"), options or DataOptions()
    if not os.path.exists(source):
        raise DataError(f"{source}: no such file or folder; give a folder of images, a CSV or an image")
    ending = os.path.splitext(source)[1].lower()
    if ending in TABLE_ENDINGS and not os.path.isdir(source):
        manifest = scan_table_file(Path(source), options)
    elif ending in _OTHER_TABLES and not os.path.isdir(source):
        raise DataError(f"{source}: is a table in a format that is not read: save it as CSV")
    else:
        _refuse_options_of_tables(source, options)
        if os.path.isdir(source):
            refuse_whole_disk(source)
        manifest = scan_folder(source, options) if os.path.isdir(source) else list_files([source], options)
    if not manifest.pictures:
        left_out = "".join(f"; skipped: {path}: {reason}" for path, reason in manifest.skipped[:1])
        raise DataError(
            f"{source}: no image files found; expected DATA/<class>/*, DATA/train/<class>/* or DATA/*{left_out}"
        )
    return manifest


def _refuse_options_of_tables(source: str, options: DataOptions) -> None:
    """Raise UsageError for options that would do nothing."""
    for name, value in options.given():
        if name in ("images", "path_column", "label_column"):
            raise UsageError(f"{param(name, value)}: is for tables, and {source} is not one: give the table as DATA")


def as_manifest(data: OnePath | Manifest, options: DataOptions | None = None) -> Manifest:
    """Return the manifest of `data`, which may be one; raises UsageError for options that come too late for it."""
    if not isinstance(data, Manifest):
        return scan(data, options)
    for name, value in options.given() if options else ():
        raise UsageError(f"{param(name, value)}: has no effect on a manifest, which was read before; give it to scan")
    return data


def list_files(paths: OneOrMorePaths, options: DataOptions | None = None) -> Manifest:
    """Return a manifest without labels of files, in the given order, and of all files below folders, sorted.

    Raises UsageError for anything but paths, and for a folder that is the whole disk or a home folder.
    """
    pictures: list[Picture] = []
    skipped: list[Skipped] = []
    named = one_or_more(paths, "images")
    for path in named:
        walk = Walk(os.path.realpath(path), options or DataOptions())
        if os.path.isdir(path):
            refuse_whole_disk(path)
            pictures += (Picture(file, info) for file, info in walk.files(path))
        elif (info := walk.stat(path)) is not None:
            pictures.append(Picture(path, info))
        skipped += walk.skipped
    return Manifest(named[0] if named else "", tuple(pictures), tuple(skipped))
