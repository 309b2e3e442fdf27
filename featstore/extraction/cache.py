"""The cache: a folder with a store of rows for each key, and the digests of image files."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from featstore.bases.pooling import check_poolable
from featstore.datasets.digests import DigestMemory
from featstore.spec import FeatureSpec
from featstore.store.keys import KeyInfo, describe_key, key_folders
from featstore.store.rowstore import RowStore
from featstore.system.environment import describe_environment
from featstore.system.fork_lock import ForkLock

DEFAULT_CACHE = "cache"
DIGESTS = "digests"
KEPT_ROWS = 2**20  # a row takes 50 bytes in a large index and 200 in a small one: 50 to 200 MB in all


class Cache:
    """A folder of stored features.

    Each store is opened once and kept, so that its index is not read again. Of many, those used last are kept, up to
    about a million rows in all. Other processes may use the folder at the same time: the next use shows what they have
    stored, compacted or pruned. Threads may share a cache, and a forked process may go on using it. It is pickled as
    the path of its folder.

    Args:
        folder: Folder of the features. Default: $FEATSTORE_CACHE, or `cache` in the working folder. It is created
            when the first features are stored.
        rehash: Whether every file is read and hashed once more, though its digest is remembered. For files whose
            changes leave no time stamp.

    Attributes:
        folder: The folder of the features.
        is_chosen: Whether the folder was named, here or by $FEATSTORE_CACHE. Where it was not, a run is used with the
            cache that made it.
        rehash: As above.
        digests: The digests of image files and weights that were read before.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, *, rehash: bool = False) -> None:
        chosen = folder or os.environ.get("FEATSTORE_CACHE")
        self.folder = Path(chosen or DEFAULT_CACHE)
        self.is_chosen = bool(chosen)
        self.rehash = rehash
        self.digests = DigestMemory(self.folder / DIGESTS, rehash=rehash)
        self._stores: OrderedDict[str, RowStore] = OrderedDict()
        self._lock = ForkLock()

    @classmethod
    def at(cls, cache: CacheLike) -> Cache:
        """Return `cache` as it is, or the cache at that path."""
        return cache if isinstance(cache, Cache) else cls(cache)

    def store(self, spec: FeatureSpec) -> RowStore:
        """Return the rows of `spec` as they are on disk now.

        Raises StoreError if they cannot be read, UsageError if they were pooled from what are not maps.
        """
        kept = self._stores.get(spec.key)
        if kept is not None:
            kept.refresh(every_file=True)
        else:
            kept = RowStore(self.folder / spec.folder, spec.key, spec.to_json(), describe_environment)
        if spec.pool != "none" and kept.row_shape is not None:  # pooling takes two dimensions away
            check_poolable(spec.layer, len(kept.row_shape) + 2)
        with self._lock:
            kept = self._stores.setdefault(spec.key, kept)  # another thread may have opened it meanwhile
            self._stores.move_to_end(spec.key)
            while len(self._stores) > 1 and sum(map(len, self._stores.values())) > KEPT_ROWS:
                self._stores.popitem(last=False)
        return kept

    def keys(self) -> list[KeyInfo]:
        """Describe the keys of the cache as they are on disk, sorted by folder.

        Raises:
            StoreError: If the folder does not exist or cannot be read.
        """
        described = [describe_key(folder) for folder in key_folders(self.folder)]
        return [key for key in described if key is not None]

    def __repr__(self) -> str:
        return f"Cache({str(self.folder)!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Cache:
        return self  # a copy, such as `sklearn.base.clone` makes, would open the stores again

    def __reduce__(self) -> tuple[Callable[..., Cache], tuple[str]]:
        return partial(Cache, rehash=self.rehash), (str(self.folder),)


CacheLike = str | os.PathLike[str] | Cache | None
