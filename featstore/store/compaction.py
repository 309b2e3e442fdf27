"""Compaction: merging many small shards into few of 16 MB and more, on request compressed, or plain again.

Others may read meanwhile. The bytes of a source are compared with its digest before its rows get a new one, and a
source is removed only when all that is served from it is stored elsewhere. Of several rows of one id, the one that is
served is kept: that of the first shard.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.errors import StoreError
from featstore.objects.urls import Location
from featstore.store.folders import FolderLike, as_folder
from featstore.store.layout import SHARD_BYTES
from featstore.store.reader import RowReader
from featstore.store.rowid import RowId, split_ids
from featstore.store.shard import ZSTD, build_shard, load_shard

SMALL_BYTES = 8 * 2**20  # files below this are merged
PLAIN = "none"
OnShard = Callable[[], None]
_Kind = tuple[str, str, str | None]  # dtype, versions and compression: rows of one kind may be in one shard


@dataclass(frozen=True)
class Compacted:
    """Shards and bytes of a key, before and after."""

    folder: Location
    shards: tuple[int, int]
    bytes: tuple[int, int]


def compact_key(folder: FolderLike, compress: str | None = None, on_shard: OnShard = lambda: None) -> Compacted:
    """Merge the small shards of a key.

    compress: `zstd` or `none` for all of its shards, None to leave each as it is. Raises StoreError if another process
    writes there, or if a shard is damaged; what is merged by then stays merged.
    """
    folder = as_folder(folder)
    with folder.alone():
        store = RowReader.open(folder)
        if store.damaged:
            raise StoreError(f"{folder}: {store.damaged[0]}; run `featstore cache repair` first")
        shards, size = len(store.shards), store.bytes_on_disk
        repeated = _in_order_of_age(store, store.repeated_shards())
        if repeated:
            _rewrite(store, repeated, compress, on_shard, repeated=True)
            store.refresh()
        _rewrite(store, to_compact(store, compress), compress, on_shard)
        store.refresh()
        store.save_index()
        return Compacted(folder.location, (shards, len(store.shards)), (size, store.bytes_on_disk))


def to_compact(store: RowReader, compress: str | None) -> list[str]:
    """Return the names of the shards that are too small, or not compressed as asked, oldest first."""
    wrong = [
        name
        for name, entry in store.shards.items()
        if entry.state.size < SMALL_BYTES or compress not in (None, ZSTD if entry.offset is None else PLAIN)
    ]
    return _in_order_of_age(store, wrong)


@dataclass
class _Buffer:
    """Rows of one kind for the next shard, and the shards that they come from."""

    ids: list[RowId] = field(default_factory=list)
    rows: list[NDArray[Any]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    changed: bool = False  # whether they differ from the rows of their only source

    @property
    def is_full(self) -> bool:
        return sum(part.nbytes for part in self.rows) >= SHARD_BYTES


def _rewrite(
    store: RowReader, names: Sequence[str], compress: str | None, on_shard: OnShard, repeated: bool = False
) -> None:
    """Merge shards.

    repeated: they share ids. The sources are then removed when all is written, in falling order of names: at any
    moment the first shard that has an id has the row that was served before.
    """
    buffers: dict[_Kind, _Buffer] = {}
    written: list[str] = []
    for name in names:
        (dtype, versions, found), ids, rows = _load(store, name)
        served = [place for place, row in enumerate(ids) if not repeated or store.shard_of(row) == name]
        wanted = found if compress is None else (None if compress == PLAIN else compress)
        buffer = buffers.setdefault((dtype, versions, wanted), _Buffer())
        buffer.ids += [ids[place] for place in served]
        buffer.rows.append(rows[served] if repeated else rows)
        buffer.sources.append(name)
        buffer.changed |= len(served) < len(ids) or wanted != found
        if buffer.is_full:
            written += _write(store, (dtype, versions, wanted), buffers.pop((dtype, versions, wanted)))
        if not repeated:
            written = _remove(store, written)
        on_shard()
    for kind, buffer in buffers.items():
        written += _write(store, kind, buffer)
    _remove(store, sorted(written, reverse=True))


def _load(store: RowReader, name: str) -> tuple[_Kind, list[RowId], NDArray[Any]]:
    """Return kind, ids and rows (n, ...) of a shard, after comparing its bytes with its digest."""
    try:
        data, _ = store.key_folder.read(name)
    except OSError as error:
        again = f"{store.folder}/{name}: cannot be read: {error.strerror}; run the same command again"
        raise StoreError(again) from error
    contents, rows = load_shard(name, data, store.key)
    compression = ZSTD if contents.offset is None else None
    return (contents.dtype, contents.versions, compression), split_ids(contents.ids), rows


def _write(store: RowReader, kind: _Kind, buffer: _Buffer) -> list[str]:
    """Write a shard; return its sources, which may then be removed."""
    if len(buffer.sources) == 1 and not buffer.changed:
        return []
    if buffer.ids:
        rows = np.concatenate(buffer.rows)
        assert store.key_file is not None  # it was opened by its spec
        name, data = build_shard(store.key, store.key_file.spec_json, json.loads(kind[1]), buffer.ids, rows, kind[2])
        if not np.array_equal(load_shard(name, data, store.key)[1], rows):
            raise StoreError(f"{store.folder}: merged rows could not be read back; nothing was removed")
        store.key_folder.publish(name, data)
        return [source for source in buffer.sources if source != name]
    return buffer.sources


def _remove(store: RowReader, names: Sequence[str]) -> list[str]:
    for name in names:
        store.key_folder.remove(name)
    return []


def _in_order_of_age(store: RowReader, names: set[str] | list[str]) -> list[str]:
    """Return names of shards, oldest first: rows keep the order of extraction, so that neighbours are read together."""
    return sorted(names, key=lambda name: (store.shards[name].state.mtime_ns, name))
