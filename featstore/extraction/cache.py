"""The cache: a store of rows for each key, in a folder or on object storage, and the digests of image files."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from featstore.bases.pooling import check_poolable
from featstore.datasets.digests import DigestMemory
from featstore.datasets.tar_members import INDEXES, keep_indexes
from featstore.engines.choice import settle_engine
from featstore.engines.memory import FOLDER as ENGINES
from featstore.errors import UsageError, param
from featstore.objects.caches import CacheLocation, cache_location, local_of
from featstore.spec import FeatureSpec
from featstore.store.keys import KeyInfo, describe_key, key_folders
from featstore.store.rowstore import RowStore
from featstore.system.environment import describe_environment
from featstore.system.fork_lock import ForkLock

if TYPE_CHECKING:
    from featstore.store.repair import Repaired
    from featstore.store.verify import Findings

DIGESTS, SKETCHES = "digests", "sketches"  # folders of what is derived from image files
DERIVED = DIGESTS, INDEXES, SKETCHES, ENGINES
KEPT_ROWS = 2**20  # a row takes 50 bytes in a large index and 200 in a small one: 50 to 200 MB in all


class Cache:
    """A folder of stored features, on a disk or on object storage.

    Each store is opened once and kept, so that its index is not read again. Of many, those used last are kept, up to
    about a million rows in all. Other processes may use the folder at the same time: the next use shows what they have
    stored, compacted or pruned. Threads may share a cache, and a forked process may go on using one on a disk. It is
    pickled as the path or the URL of its folder.

    Args:
        folder: Folder of the features, a path or a URL (s3://, gs://, az://). Default: $FEATSTORE_CACHE, or `cache` in
            the working folder. It is created when the first features are stored.
        rehash: Whether every file is read and hashed once more, though its digest is remembered. For files whose
            changes leave no time stamp.
        engine: What computes features that are missing: `auto` (the fastest here that gives the same), or an engine by
            name. Default: $FEATSTORE_ENGINE, or `auto`.

    Attributes:
        folder: The path or the URL of the folder.
        local: The folder on this machine of what is derived: `folder` itself, if it is on a disk.
        is_chosen: Whether the folder was named, here or by $FEATSTORE_CACHE. Where it was not, a run is used with the
            cache that made it.
        rehash, engine: As above.
        digests: The digests of image files and weights that were read before.
    """

    def __init__(self, folder: CacheLocation = None, *, rehash: bool = False, engine: str | None = None) -> None:
        self.folder = cache_location(folder)
        self.local = local_of(self.folder)
        self.is_chosen = bool(folder or os.environ.get("FEATSTORE_CACHE"))
        self.rehash = rehash
        self.engine = settle_engine(engine)
        self.digests = DigestMemory(self.local / DIGESTS, rehash=rehash)
        keep_indexes(self.local / INDEXES)
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

    def verify(self, share: float = 1.0) -> list[Findings]:
        """Read the shards and compare each with its digest, its key and the index, as `featstore cache verify`.

        Args:
            share: Share of the shards of each key, chosen at random, above 0 and up to 1.

        Returns:
            The findings for each key; it is sound if its `faults` are empty.

        Raises:
            StoreError: If the folder does not exist or cannot be read.
        """
        from featstore.store.verify import verify_key

        if not 0 < share <= 1:
            raise UsageError(f"{param('share', share)}: expected a share above 0 and up to 1")
        return [verify_key(folder, share) for folder in key_folders(self.folder)]

    def repair(self) -> list[Repaired]:
        """Quarantine damaged shards, remove leftovers, and rebuild indexes, as `featstore cache repair`.

        Returns:
            What was done for each key. Rows that are lost are computed again by the next extraction.

        Raises:
            StoreError: If another process writes there, or if a file cannot be moved.
        """
        from featstore.store.disk_folder import clear_leftovers
        from featstore.store.repair import repair_key

        done = [repair_key(folder) for folder in key_folders(self.folder)]
        for derived in DERIVED:
            clear_leftovers(self.local / derived)
        return done

    def prune(self, *, older_than: float | None = None, max_bytes: int | None = None) -> list[KeyInfo]:
        """Remove the keys that were not used for long, as `featstore cache prune --yes`.

        Args:
            older_than: Keys that were not used for this many seconds.
            max_bytes: The longest unused keys, until the cache is no larger than this.

        Returns:
            The keys that were removed.

        Raises:
            UsageError: If neither is given.
            StoreError: If another process writes there.
        """
        from featstore.store.pruning import choose_keys, prune_key

        if older_than is None and max_bytes is None:
            raise UsageError(f"expected a choice of keys: give {param('older_than')} or {param('max_bytes')}")
        since = None if older_than is None else time.time() - older_than
        chosen = choose_keys(self.keys(), None, since, max_bytes)
        for key in chosen:
            prune_key(key.folder)
        return chosen

    def __repr__(self) -> str:
        return f"Cache({str(self.folder)!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Cache:
        return self  # a copy, such as `sklearn.base.clone` makes, would open the stores again

    def __reduce__(self) -> tuple[Callable[..., Cache], tuple[str]]:
        return partial(Cache, rehash=self.rehash, engine=self.engine), (str(self.folder),)


CacheLike = CacheLocation | Cache
