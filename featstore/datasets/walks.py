"""Which walk goes over a data set: that over a disk, or that over object storage."""

from __future__ import annotations

import os
from typing import Protocol

from featstore.datasets.disk_walk import DiskWalk
from featstore.datasets.object_walk import ObjectsBeside, ObjectWalk
from featstore.datasets.options import DataOptions
from featstore.datasets.walk import Walk
from featstore.errors import StoreError
from featstore.system.paths import is_url


class Beside(Protocol):
    """What can be asked of the folders around a data set; methods raise DataError if one cannot be listed."""

    def folders(self, top: str) -> list[str]: ...

    def has_images(self, top: str) -> bool: ...


def walk_over(top: str, options: DataOptions) -> Walk:
    """Return a walk over a folder; raises StoreError if object storage cannot be listed."""
    if not is_url(top):
        return DiskWalk(os.path.realpath(top), options)
    try:
        return ObjectWalk(top)
    except OSError as error:
        raise StoreError(f"{top}: cannot be listed: {error.strerror}") from error


def look_beside(top: str, options: DataOptions) -> Beside:
    """Return what tells of the folders around a data set: all below `top` need not be looked at."""
    return ObjectsBeside() if is_url(top) else DiskWalk(top, options)
