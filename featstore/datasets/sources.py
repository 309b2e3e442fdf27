"""What DATA may be: a folder, a table, arrays, files, or the manifest of any of them; on disk, by URL or in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from featstore.datasets.array_files import ARRAY_ENDINGS, scan_array_file
from featstore.datasets.file_lists import list_images
from featstore.datasets.file_names import has_image_name
from featstore.datasets.folders import scan_folder
from featstore.datasets.in_memory import Frame, from_memory, scan_text_table
from featstore.datasets.manifest import Manifest
from featstore.datasets.name_groups import group_by_names
from featstore.datasets.options import DataOptions
from featstore.datasets.table_files import TABLE_ENDINGS, read_table
from featstore.datasets.tar_members import INDEXES, keep_indexes
from featstore.datasets.tars import named_tars, scan_tars, tars_below
from featstore.datasets.walk import LINK_OUT
from featstore.datasets.walks import walk_over
from featstore.errors import DataError, UsageError, param
from featstore.objects.caches import CacheLocation, cache_location, local_of
from featstore.objects.places import kind_of, one_place
from featstore.objects.urls import Url
from featstore.system.paths import OnePath, is_path, is_url, refuse_whole_disk

_OTHER_TABLES = (".xlsx", ".xls", ".ods", ".json", ".jsonl", ".feather", ".arff")


class HasFolder(Protocol):
    """A cache, of which only its folder on this machine counts here."""

    @property
    def local(self) -> Path: ...


CacheFolder: TypeAlias = CacheLocation | HasFolder
DataLike: TypeAlias = OnePath | Manifest | Frame | Mapping[str, Any] | Iterable[Any]


def scan(data: OnePath, options: DataOptions | None = None, cache: CacheFolder = None) -> Manifest:
    """List the images of a data set, without reading them.

    Args:
        data: A folder of images, a table (CSV, TSV or Parquet with columns such as path, label, split and group, or of
            pixels), arrays (.npz, .npy), tars (one, a folder of them, or a pattern such as train-{000..009}.tar), or
            one image: the path, or the URL in object storage.
        options: How it is read: labels in the names of files, links, the columns of a table.
        cache: The folder below which arrays and pixels are written as images. Default: as everywhere.

    Returns:
        The manifest: a row for each image, with its label and split where the data give them.

    Raises:
        DataError: `data` does not exist, its layout is not one of the known ones, or it has no image.
        UsageError: `data` is not a path, or is the whole disk or a home folder.
    """
    source, options = one_place(data, "data"), options or DataOptions()
    keep_indexes(_folder(cache) / INDEXES)
    if tars := named_tars(source):
        return _finished(scan_tars(tars, options), options)
    kind = kind_of(source)
    if kind is None:
        raise DataError(f"{source}: no such file or folder; give a folder of images, a table or an image")
    ending = "" if kind == "folder" else os.path.splitext(source)[1].lower()
    if ending in TABLE_ENDINGS:
        manifest = scan_text_table(read_table(source), options, _folder(cache))
    elif ending in _OTHER_TABLES:
        raise DataError(f"{source}: is a table in a format that is not read: save it as CSV")
    elif ending in ARRAY_ENDINGS:
        manifest = scan_array_file(source, options, _folder(cache))
    else:
        manifest = _scan_folder(source, options) if kind == "folder" else list_images(source, options)
    return _finished(manifest, options)


def _scan_folder(source: str, options: DataOptions) -> Manifest:
    """Return the manifest of a folder: of its images, or of its tars if it has no image."""
    refuse_whole_disk(source)
    if is_url(source):
        options.refuse_but(("label_from", "group_by"), source, "a folder without links and not a table")
    options.refuse_but(("label_from", "group_by", "follow_links"), source, "a folder and not a table")
    walk = walk_over(source, options)
    try:
        manifest = scan_folder(source, options, walk)
    except DataError:  # a folder `train` with tars in it has no class folders
        if tars := tars_below(source, walk.fresh(source)):
            return scan_tars(tars, options)
        raise
    if any(has_image_name(picture.path) for picture in manifest.pictures):
        return manifest
    tars = tars_below(source, walk.fresh(source))
    return scan_tars(tars, options) if tars else manifest


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
    keep_indexes(_folder(cache) / INDEXES)
    return _finished(from_memory(data, options, _folder(cache)), options)


def as_images(images: DataLike, options: DataOptions | None = None, cache: CacheFolder = None) -> Manifest:
    """Return the manifest of images to predict: `images` as for `as_manifest`, but a folder is all images below it."""
    if isinstance(images, Manifest):
        return as_manifest(images, options)
    keep_indexes(_folder(cache) / INDEXES)
    if not is_path(images):
        return from_memory(images, options or DataOptions(), _folder(cache))
    place = one_place(images, "images")
    ending = os.path.splitext(place)[1].lower()
    is_container = ending in (*TABLE_ENDINGS, *ARRAY_ENDINGS, *_OTHER_TABLES) and kind_of(place) != "folder"
    return scan(place, options, cache) if is_container else list_images(place, options)


def _folder(cache: CacheFolder) -> Path:
    if cache is None or isinstance(cache, str | os.PathLike | Url):
        return local_of(cache_location(cache))
    return cache.local


def _finished(manifest: Manifest, options: DataOptions) -> Manifest:
    """Return `manifest` with the groups that names of files say; raises DataError if it has no image."""
    if not manifest.pictures:
        raise DataError(_nothing_found(manifest))
    return manifest if options.group_by is None else group_by_names(manifest, options.group_by)


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
