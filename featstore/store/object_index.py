"""The index of a key on object storage: one object, parts of it, and a copy on this machine.

It is on the bucket so that another machine need not fetch all shards to know what is stored.

Many processes may add to a key at the same time. Each would have to read and write the index of all rows for every
shard of its own, and the last one would undo what the others have added. So a process whose work was parted writes an
index of its own shards: a part, named by its digest. Parts are read together with the index, and who reads many of them
writes one index in their place. They are derived data, as the index is: where one is missing, its shards are read.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from featstore.errors import StoreError
from featstore.objects.bucket import ObjectError
from featstore.objects.opening import open_bucket
from featstore.objects.urls import Url
from featstore.store.index import Index, parse_index
from featstore.store.layout import INDEX, INDEX_PART
from featstore.store.object_writes import remove_objects, write_over
from featstore.system.files import FileStat, write_whole
from featstore.system.large_pages import Bytes, read_large

MANY = 16  # parts, for which one index is written
_THREADS = 8

Get = Callable[[str], tuple[bytes, FileStat]]  # takes the name of an object of the key; raises OSError


class ObjectIndex:
    """The index of the key at `folder`. local: the folder of this machine for the key."""

    def __init__(self, folder: Url, local: Path, get: Get) -> None:
        self._folder, self._local = folder, local
        self._get = get
        self._parts: dict[str, Index] = {}  # those that were read since the index was written
        self._own = set[str]()  # shards that this process has stored since then

    def note(self, shard: str) -> None:
        """Note that this process has stored a shard."""
        self._own.add(shard)

    def read(self, found: Mapping[str, FileStat], only_read: bool) -> Bytes:
        """Return the bytes of an index of all that the index and its parts list; raises OSError.

        found: the objects of the key. only_read: whether the parts stay, also if they are many.
        """
        parts = [name for name in found if INDEX_PART.fullmatch(name)]
        if not parts:
            return self._read_whole(found)
        whole: Bytes = b""
        with suppress(FileNotFoundError):
            whole = self._read_whole(found)
        merged = self._merge(whole, parts)
        if len(parts) >= MANY and not only_read:
            with suppress(StoreError, ObjectError):
                self.write(merged)
        return merged

    def write(self, data: bytes) -> FileStat:
        """Write the index in the place of another one and of the parts that were read; raises StoreError."""
        state = write_over(open_bucket(self._folder), self._folder / INDEX, data)
        self._keep(data, state)
        self._own.clear()
        merged, self._parts = [*self._parts], {}
        if merged:  # a process that looks for one meanwhile does without
            remove_objects(open_bucket(self._folder), self._folder, merged)
        return state

    def write_part(self, data: bytes) -> FileStat:
        """Write an index of the shards that this process has stored; raises StoreError. data: of the whole index."""
        whole = parse_index(data) or Index()
        entries = {name: whole.shards[name] for name in [*self._own] if name in whole.shards}
        if not entries:  # it has read those of others, which nobody need do again
            return self.write(data)
        part = Index().with_shards(entries, {name: whole.ids_of(name) for name in entries}).to_bytes()
        name = f"{INDEX}-{hashlib.sha256(part).hexdigest()[:16]}"
        state = write_over(open_bucket(self._folder), self._folder / name, part)
        self._own -= entries.keys()
        return state

    def _merge(self, whole: Bytes, names: Collection[str]) -> bytes:
        """Return an index of all that `whole`, the bytes of one, and parts list.

        Of a shard that several list, as it was replaced, the entries of parts count: they are younger.
        """
        unknown = [name for name in names if name not in self._parts]
        with ThreadPoolExecutor(_THREADS, "featstore-index") as threads:
            self._parts.update(zip(unknown, threads.map(self._read_part, unknown), strict=True))
        index = parse_index(whole) or Index()
        shards, ids = dict(index.shards), dict[str, bytes]()
        for part in (self._parts[name] for name in names):
            shards |= part.shards
            ids |= {shard: part.ids_of(shard) for shard in part.shards}
        return index.with_shards(shards, ids).to_bytes()

    def _read_part(self, name: str) -> Index:
        """Return the index in a part; an empty one if it cannot be read, as when another process has merged it."""
        try:
            return parse_index(self._get(name)[0]) or Index()
        except OSError:
            return Index()

    def _read_whole(self, found: Mapping[str, FileStat]) -> Bytes:
        """Return the bytes of the index, from this machine if it has those in the state that was listed."""
        if INDEX not in found:
            raise FileNotFoundError(errno.ENOENT, "no such object")
        with suppress(OSError):
            path = self._path(found[INDEX])
            if path.stat().st_size == found[INDEX].size:
                return read_large(path)
        data, state = self._get(INDEX)
        self._keep(data, state)
        return data

    def _path(self, state: FileStat) -> Path:
        """Return where this machine keeps the index in that state."""
        return self._local / f"{INDEX}-{state.inode:x}-{state.mtime_ns:x}"

    def _keep(self, data: bytes, state: FileStat) -> None:
        with suppress(OSError, StoreError):
            write_whole(self._path(state), data)
            for path in self._local.glob(f"{INDEX}-*"):
                if path != self._path(state):
                    path.unlink()
