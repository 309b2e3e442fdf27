"""The index of a key: which rows each shard holds, and the state of the file in which the shard was verified.

It is derived data: it may be deleted at any time, and reading the shards makes it again. With it, a run that has
nothing to do opens no HDF5 file and does not import numpy.

The file is the SHA-256 (hex) of all that follows, a line of JSON, a table of offsets and one record of 42 bytes per
row: id, number of the shard in name order, row in the shard, sorted by these three as bytes. Ids begin with a digest,
so they are spread evenly: the first bits of an id give the few records to search (about eight), as in git's pack
index. A million rows are 42 MB, which open in the time that their SHA-256 takes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from struct import Struct, iter_unpack
from typing import TYPE_CHECKING, Any

from featstore.errors import StoreError
from featstore.store.layout import SHARD_NAME
from featstore.store.rowid import SIZE, RowId
from featstore.system.files import FileStat
from featstore.system.large_pages import Bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.store.shard import Contents

INDEX_VERSION = 3  # 3: shards are listed once their numbers are known to be finite
_RECORD = SIZE + 8  # id, shard and row, the latter two as unsigned 32-bit big-endian numbers
_BUCKET = 8  # records
_BOUNDS = Struct("<2I")  # of a bucket: its first record, and that of the next one
_PLACE = Struct(">2I")  # shard and row
_FORGED = "the index lists rows that its shards do not have: `featstore cache repair` makes it again"
_FEW = 2**16  # rows: 10 ms
ITEM_BYTES = {"float16": 2, "float32": 4}


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A verified shard.

    state: of the file when its digest was checked. shape: of one row. offset: of the features in the file, in bytes;
    None where they are compressed. checked: whether its numbers are known to be finite; compressed ones need a plug-in
    to be read.
    """

    name: str
    state: FileStat
    rows: int
    dtype: str
    shape: tuple[int, ...]
    offset: int | None
    checked: bool

    @classmethod
    def of(cls, name: str, state: FileStat, found: Contents) -> ShardEntry:
        """Return the entry of the shard with these contents."""
        return cls(name, state, found.rows, found.dtype, found.shape, found.offset, found.checked)


class ForgedIndex(StoreError):
    """An index with the right check sum and impossible content."""


class Index:
    """The rows of `shards`, which are in name order. An id may have several rows; that of the first shard is served."""

    def __init__(self, shards: dict[str, ShardEntry], distinct: int, bits: int, body: Bytes, start: int) -> None:
        self.shards = shards
        self._names = list(shards)
        self._distinct = distinct
        self._bits = bits
        self._body = body  # the table of offsets begins at `start`; the records follow it
        self._table = start
        self._records = start + 4 * (2**bits + 1)

    def __len__(self) -> int:
        """The number of ids."""
        return self._distinct

    def __contains__(self, row: RowId) -> bool:
        return self.find(row) is not None if self._ids is None else row in self._ids

    def which(self, rows: Iterable[RowId]) -> list[bool]:
        """Return for each id whether it is listed."""
        ids = self._ids
        return [self._record(row) >= 0 for row in rows] if ids is None else [row in ids for row in rows]

    def find(self, row: RowId) -> tuple[str, int] | None:
        """Return (shard, row in it) of an id; None if the id is not listed."""
        at = self._record(row)
        return None if at < 0 else self._place(*_PLACE.unpack_from(self._body, at + SIZE))

    def _record(self, row: RowId) -> int:
        """Return where the first record of an id begins; -1 if the id is not listed."""
        bucket = int.from_bytes(row[:4]) >> (32 - self._bits)
        first, last = _BOUNDS.unpack_from(self._body, self._table + 4 * bucket)
        at: int = self._records + first * _RECORD
        stop: int = self._records + last * _RECORD
        while (at := self._body.find(row, at, stop)) >= 0 and (at - self._records) % _RECORD:
            at += 1  # a match across two records
        return at

    def _place(self, shard: int, row: int) -> tuple[str, int]:
        if shard >= len(self._names) or row >= self.shards[self._names[shard]].rows:
            raise ForgedIndex(_FORGED)
        return self._names[shard], row

    def find_all(self, ids: NDArray[np.void]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return (n,) shards, as numbers in name order, and (n,) rows in them, of (n,) ids; -1 for an id not listed.

        The same as `find` for many ids at once. It searches for a short form of each id, and calls `find` where that
        gives another id.
        """
        import numpy as np

        if not len(self._rows):
            return np.full(len(ids), -1), np.full(len(ids), -1)
        which = self._rows[np.searchsorted(self._sorted, _short(ids)).clip(max=len(self._rows) - 1)]
        shard, row = which["shard"].astype(np.intp), which["row"].astype(np.intp)
        for place in np.flatnonzero(which["id"] != ids):
            at = self.find(ids[place].tobytes())
            shard[place], row[place] = (self._names.index(at[0]), at[1]) if at else (-1, -1)
        return shard, row

    @cached_property
    def _ids(self) -> frozenset[RowId] | None:
        """All ids, if there are few: then listing them takes no longer than searching for some of them."""
        if len(self) > _FEW:
            return None
        return frozenset(row for (row,) in iter_unpack(f"{SIZE}s8x", memoryview(self._body)[self._records :]))

    @cached_property
    def _rows(self) -> NDArray[np.void]:
        import numpy as np

        rows = np.frombuffer(self._body, _layout(), offset=self._records)
        most = np.array([entry.rows for entry in self.shards.values()] or [0])
        if len(rows) and (rows["shard"].max() >= len(most) or (rows["row"] >= most[rows["shard"]]).any()):
            raise ForgedIndex(_FORGED)
        return rows

    @cached_property
    def _sorted(self) -> NDArray[np.uint64]:
        return _short(self._rows["id"])

    def ids_of(self, name: str) -> bytes:
        """Return the ids of a shard in the order of its rows, 34 bytes each."""
        import numpy as np

        mine = self._rows[self._rows["shard"] == self._names.index(name)]
        return bytes(mine["id"][np.argsort(mine["row"])].tobytes())

    def repeated(self) -> set[str]:
        """Return the shards that share an id with another shard."""
        import numpy as np

        same = np.flatnonzero(self._rows["id"][1:] == self._rows["id"][:-1])
        return {self._names[number] for number in np.unique(self._rows["shard"][np.concatenate([same, same + 1])])}

    def with_shards(self, shards: Mapping[str, ShardEntry], ids: Mapping[str, bytes]) -> Index:
        """Return an index of exactly `shards`; `ids` has the packed ids of those that are not in this index."""
        import numpy as np

        names = sorted(shards)
        number = {name: place for place, name in enumerate(names)}
        old = self._rows
        moved = np.array([number.get(name, -1) if name not in ids else -1 for name in self._names] or [-1], np.int64)
        place = moved[old["shard"].astype(np.int64)]
        parts = [old[place >= 0]]
        parts[0]["shard"] = place[place >= 0]
        for name, its in ids.items():
            new = np.empty(len(its) // SIZE, _layout())
            new["id"] = np.frombuffer(its, f"V{SIZE}")
            new["shard"], new["row"] = number[name], np.arange(len(new))
            parts.append(new)
        records = np.concatenate([part.view(f"S{_RECORD}") for part in parts])
        records.sort(kind="stable")  # which merges what is sorted already
        return _assemble({name: shards[name] for name in names}, records.view(_layout()))

    def to_bytes(self) -> bytes:
        """Return the bytes of the file of this index."""
        content = {"version": INDEX_VERSION, "distinct": self._distinct, "bits": self._bits}
        header = json.dumps({**content, "shards": [asdict(entry) for entry in self.shards.values()]}).encode()
        body = header + b"\n" + memoryview(self._body)[self._table :]
        return hashlib.sha256(body).hexdigest().encode() + b"\n" + body

    def has_records(self, count: int) -> bool:
        """Whether `count` records end where the bytes end."""
        end: int = self._records + count * _RECORD
        return end == len(self._body)


def empty_index() -> Index:
    return Index({}, 0, 0, bytes(8), 0)


def load_index(read: Callable[[], Bytes]) -> Index:
    """Return the index in the bytes that `read` returns; an empty one if it is missing, damaged, or of another version.

    read: may raise OSError.
    """
    try:
        data = read()
    except OSError:
        return empty_index()
    return parse_index(data) or empty_index()


def parse_index(data: Bytes) -> Index | None:
    """Return the index in the bytes of its file; None if they are damaged or of another version."""
    end = data.find(b"\n", 65)
    if end < 0 or not is_intact(data):
        return None
    try:
        header = json.loads(data[65:end])
        if header["version"] != INDEX_VERSION:
            return None
        shards = {item["name"]: _entry(item) for item in header["shards"]}
        rows, distinct, bits = sum(entry.rows for entry in shards.values()), header["distinct"], header["bits"]
        if not _is_number(distinct, rows) or not _is_number(bits, 32):
            return None  # before 2**bits is computed: a forged number may make that take for ever
        index = Index(shards, distinct, bits, data, end + 1)
        return index if index.has_records(rows) else None
    except (ValueError, KeyError, TypeError, RecursionError):  # forged, with a right check sum
        return None


def is_intact(data: Bytes) -> bool:
    """Whether the bytes of an index are those that were written, by any version."""
    return hashlib.sha256(memoryview(data)[65:]).hexdigest().encode() + b"\n" == data[:65]


def _entry(item: dict[str, Any]) -> ShardEntry:
    """Return the entry of a shard; raises ValueError or TypeError for a field of another type."""
    entry = ShardEntry(**{**item, "state": FileStat(*item["state"]), "shape": tuple(item["shape"])})
    numbers = (*entry.state, *entry.shape, entry.rows, 0 if entry.offset is None else entry.offset)
    if not all(_is_number(n, 2**64) for n in numbers):
        raise ValueError("not an entry")
    if type(entry.checked) is not bool or (entry.offset is not None and not entry.checked):
        raise ValueError("not an entry")
    if not SHARD_NAME.fullmatch(entry.name) or entry.dtype not in ITEM_BYTES:
        raise ValueError("not an entry")
    features = math.prod(entry.shape) * entry.rows * ITEM_BYTES[entry.dtype]
    if entry.offset is not None and entry.offset + features > entry.state.size:
        raise ValueError("features reach beyond the file")
    return entry


def _is_number(value: object, most: int) -> bool:
    """Whether `value` is an integer (not a bool) from 0 to `most`."""
    return type(value) is int and 0 <= value <= most


def _short(ids: NDArray[np.void]) -> NDArray[np.uint64]:
    """Return (n,) the first 48 bits of each digest and the view.

    They sort as the ids do, except where two digests begin with the same 48 bits.
    """
    import numpy as np

    parts = ids.view([("first", ">u8"), ("rest", f"V{SIZE - 10}"), ("view", ">u2")])
    short: NDArray[np.uint64] = (parts["first"].astype(np.uint64) & np.uint64(2**64 - 2**16)) | parts["view"]
    return short


def _layout() -> np.dtype[np.void]:
    import numpy as np

    return np.dtype([("id", f"V{SIZE}"), ("shard", ">u4"), ("row", ">u4")])


def _assemble(shards: dict[str, ShardEntry], records: NDArray[np.void]) -> Index:
    """Return the index of sorted records."""
    import numpy as np

    bits = max(0, (len(records) // _BUCKET).bit_length() - 1)
    body = records.tobytes()
    first = np.frombuffer(body, np.dtype({"names": ["p"], "formats": [">u4"], "itemsize": _RECORD}))["p"]
    table = np.searchsorted(first.astype(np.uint64) >> np.uint64(32 - bits), np.arange(2**bits + 1, dtype=np.uint64))
    repeated = int((records["id"][1:] == records["id"][:-1]).sum())
    return Index(shards, len(records) - repeated, bits, table.astype("<u4").tobytes() + body, 0)
