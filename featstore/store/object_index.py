"""The index of a key in parts, for many processes that add to a key at the same time.

Each would have to read and write the index of all rows for every shard of its own, and the last one would undo what
the others have added. So a process whose work was parted writes an index of its own shards, as an object named by its
digest. All parts are read together with the index, and who reads many of them writes one index in their place. Parts
are derived data, as the index is: where one is missing, its shards are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

from featstore.store.index import Index, empty_index, parse_index
from featstore.store.layout import INDEX
from featstore.system.large_pages import Bytes

MANY = 16  # parts
_THREADS = 8


def make_part(index: Bytes, shards: Collection[str]) -> tuple[str, bytes] | None:
    """Return the name and the bytes of an index of some of the shards of another one; None if it has none of them."""
    whole = parse_index(index) or empty_index()
    entries = {name: whole.shards[name] for name in shards if name in whole.shards}
    if not entries:
        return None
    data = empty_index().with_shards(entries, {name: whole.ids_of(name) for name in entries}).to_bytes()
    return f"{INDEX}-{hashlib.sha256(data).hexdigest()[:16]}", data


class IndexParts:
    """The parts of an index that were read. get: returns the bytes of an object; raises OSError."""

    def __init__(self, get: Callable[[str], bytes]) -> None:
        self._get = get
        self._known: dict[str, Index] = {}

    def merge(self, base: Bytes, names: Iterable[str]) -> bytes:
        """Return an index of all that `base`, the bytes of one, and parts list. Parts that cannot be read are left out.

        Of a shard that several list, as it was replaced, the entries of parts count: they are younger.
        """
        names = [*names]
        unknown = [name for name in names if name not in self._known]
        with ThreadPoolExecutor(_THREADS, "featstore-index") as threads:
            self._known.update(zip(unknown, threads.map(self._read, unknown), strict=True))
        index = parse_index(base) or empty_index()
        shards, ids = dict(index.shards), dict[str, bytes]()
        for name in names:
            part = self._known[name]
            shards |= part.shards
            ids |= {shard: part.ids_of(shard) for shard in part.shards}
        return index.with_shards(shards, ids).to_bytes()

    def take(self) -> list[str]:
        """Return the names of the parts that were merged, and forget them: one index has all that they list."""
        names, self._known = [*self._known], {}
        return names

    def _read(self, name: str) -> Index:
        try:
            return parse_index(self._get(name)) or empty_index()
        except OSError:  # another process has just merged it
            return empty_index()
