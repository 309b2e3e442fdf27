"""Writing rows under one key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from featstore.errors import StoreError
from featstore.store.index_part import ShardEntry
from featstore.store.inventory import Inventory
from featstore.store.layout import SPEC
from featstore.store.rowid import RowId
from featstore.store.spec_file import KeyFile, spec_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

MakeCanary = Callable[[], Mapping[str, Any] | None]


class RowWriter:
    """Appends rows to a key. While it is open, the key cannot be pruned or compacted; use it in a `with` block.

    claims: which rows this writer computes. Rows are readable as soon as `append` returns, here and elsewhere.
    """

    def __init__(
        self,
        inventory: Inventory,
        spec_json: str,
        environment: Callable[[], Mapping[str, str]],
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_wait` is called once if another process is pruning, compacting or repairing the key."""
        self.claims = inventory.folder.claims()
        self._inventory = inventory
        self._spec_json = spec_json
        self._environment = environment
        self._is_prepared = False
        self._lock = inventory.folder.writer_lock()
        self._lock.acquire(on_wait)
        inventory.refresh()

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def append(self, ids: Sequence[RowId], rows: NDArray[Any], canary: MakeCanary = lambda: None) -> None:
        """Store `rows` (n, ...), one per id, as one shard. On return they are on disk.

        float32 rows that float16 cannot hold belong in a shard of their own (see `featstore.extraction.writer`).
        canary: returns what is kept in `spec.json` if the key has none. It is called again if another process has given
        the key one meanwhile, and then raises StoreError if the two do not fit.

        Raises ValueError for rows with NaN or infinity, or of another number than expected. Raises StoreError for rows
        of another shape than those of the key, or if the disk refuses them; earlier rows are untouched then.
        """
        from featstore.store.shard import all_finite, build_shard, parse_shard

        folder, shape = self._inventory.folder, self._inventory.row_shape
        if len(ids) != len(rows) or len(set(ids)) != len(ids):
            raise ValueError(f"{len(ids)} ids for {len(rows)} rows: expected one id per row, none twice")
        if shape not in (None, rows.shape[1:]):
            raise StoreError(
                f"{folder}: its rows have shape {shape}, those of this base have shape {rows.shape[1:]}: they were not "
                "made by the same network; move the folder away and extract again"
            )
        if not all_finite(rows):
            raise ValueError("rows with NaN or infinity cannot be stored")
        environment = self._environment()
        name, data = build_shard(self._inventory.key, self._spec_json, environment, ids, rows)
        contents = parse_shard(name, data, self._inventory.key)  # nothing is written that could not be read again
        if not self._is_prepared:
            folder.prepare()
            self._is_prepared = True
        self._lock.acquire()  # before the first rows there was no folder to lock
        self._write_key_file(environment, rows.shape[1:], canary)
        state = folder.publish(name, data)
        entry = ShardEntry.of(name, state, contents)
        self._inventory.add(entry, ids, contents.ids)

    def save_index(self) -> None:
        """Write the index if it has changed. A cache that cannot be written loses only time."""
        self._inventory.save()

    def close(self) -> None:
        """Release the claims and the lock, and save the index."""
        try:
            self.claims.close()
            self._inventory.save()
            self._inventory.folder.mark_used()
        finally:
            self._lock.release()

    def _write_key_file(
        self, environment: Mapping[str, str], row_shape: tuple[int, ...], make_canary: MakeCanary
    ) -> None:
        """Write `spec.json` with the first rows, and a canary into one that has none.

        Processes of one machine may differ in what has computed their rows, as another engine. So if another process
        has just begun the key, the canaries decide. Raises StoreError if they do not fit, or if there are no two.
        """
        known, canary = self._inventory.key_file, make_canary()
        if self._begin(environment, row_shape, known.canary if known is not None and canary is None else canary):
            return
        if known is None or (known.canary is None and canary is not None):
            self._inventory.load_key_file()
            found = self._inventory.key_file
            if found is not None and found.canary is not None and canary is not None:
                make_canary()  # which compares the two
            elif found is None or (known is None and found.versions != environment):
                raise StoreError(_begun_elsewhere(spec_path(self._inventory.folder)))
            elif canary is not None:
                self._inventory.key_file = replace(found, canary=canary)
                self._inventory.folder.write(SPEC, self._inventory.key_file.to_bytes())

    def _begin(
        self, environment: Mapping[str, str], row_shape: tuple[int, ...], canary: Mapping[str, Any] | None
    ) -> bool:
        """Write `spec.json` if there is none; return False if there is one."""
        spec, versions = json.loads(self._spec_json), dict(environment)
        first = KeyFile(key=self._inventory.key, spec=spec, versions=versions, row_shape=row_shape, canary=canary)
        if not self._inventory.folder.begin(first.to_bytes()):
            return False
        self._inventory.key_file = first
        return True


def _begun_elsewhere(path: str) -> str:
    return (
        f"{path}: another process has begun this key just now in another environment; run the same command again, "
        "which then compares the two"
    )
