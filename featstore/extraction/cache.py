"""The cache: a folder with a store for each key, and the digests of image files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from featstore.spec import FeatureSpec
from featstore.store.rowstore import RowStore
from featstore.system.environment import environment

if TYPE_CHECKING:
    pass


DEFAULT_CACHE = "cache"


def cache_folder(cache: str | os.PathLike[str] | None) -> Path:
    """`cache`, or $FEATSTORE_CACHE, or `cache` in the working folder."""
    return Path(cache or os.environ.get("FEATSTORE_CACHE") or DEFAULT_CACHE)


def open_store(cache: Path, spec: FeatureSpec) -> RowStore:
    """The rows of `spec` in `cache`; raises StoreError if its folder belongs to something else."""
    return RowStore(cache / spec.folder, spec.key, spec.to_json(), environment)
