"""The folders of keys in a cache, on a disk or on object storage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from featstore.objects.urls import Location, Url
from featstore.store.disk_folder import DiskFolder, disk_folders
from featstore.store.key_folder import KeyFolder

FolderLike: TypeAlias = Location | KeyFolder


def as_folder(folder: FolderLike) -> KeyFolder:
    """Return the folder of a key that is at a path or a URL, or `folder` as it is."""
    if isinstance(folder, Path):
        return DiskFolder(folder)
    if isinstance(folder, Url):
        from featstore.store.object_folder import ObjectFolder

        return ObjectFolder(folder)
    return folder


def folders_in(cache: Location) -> Sequence[Location]:
    """Return the folders `<model>/<...-key12>` of a cache that hold a spec or shards, sorted.

    Raises StoreError if the cache does not exist or cannot be read.
    """
    if isinstance(cache, Url):
        from featstore.store.object_folder import object_folders

        return object_folders(cache)
    return disk_folders(cache)
