"""A part of the index of a key: which rows some of its shards hold, and the state of the file of each when verified.

The file is the SHA-256 (hex) of all that follows, a line of JSON, a table of offsets and one record of 42 bytes per
row: id, number of the shard in name order, row in the shard, sorted by these three as bytes. Ids begin with a digest,
so they are spread evenly: the first bits of an id give the few records to search (about eight), as in git's pack
index. A million rows are 42 MB, which open in the time that their SHA-256 takes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
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
DIGEST_SIZE = 64  # hex digits, and a line end behind them
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


class Part:
    """The rows of `shards`, which are in name order. An id may have several rows; that of the first shard is served.

    data: the bytes of its file. after: the digest of the part before it, if there is one. new: number of its ids that
    no part before it has.
    """

    def __init__(
        self, data: Bytes, shards: dict[str, ShardEntry], new: int, bits: int, start: int, after: str = ""
    ) -> None:
        self.data = data
        self.shards = shards
        self.new = new
        self.after = after
        self.rows = sum(entry.rows for entry in shards.values())
        self._names = list(shards)
        self._bits = bits
        self._table = start  # where the table of offsets begins; the records follow it
        self._records = start + 4 * (2**bits + 1)

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) of what follows it in the file."""
        return bytes(self.data[:DIGEST_SIZE]).decode()

    def __contains__(self, row: RowId) -> bool:
        return self._record(row) >= 0

    def which(self, rows: Iterable[RowId]) -> list[bool]:
        """Return for each id whether it is listed."""
        ids = self._ids
        return [self._record(row) >= 0 for row in rows] if ids is None else [row in ids for row in rows]

    def find(self, row: RowId) -> tuple[str, int] | None:
        """Return (shard, row in it) of an id; None if the id is not listed."""
        at = self._record(row)
        return None if at < 0 else self._place(*_PLACE.unpack_from(self.data, at + SIZE))

    def _record(self, row: RowId) -> int:
        """Return where the first record of an id begins; -1 if the id is not listed."""
        bucket = int.from_bytes(row[:4]) >> (32 - self._bits)
        first, last = _BOUNDS.unpack_from(self.data, self._table + 4 * bucket)
        at: int = self._records + first * _RECORD
        stop: int = self._records + last * _RECORD
        while (at := self.data.find(row, at, stop)) >= 0 and (at - self._records) % _RECORD:
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
        if self.rows > _FEW:
            return None
        return frozenset(row for (row,) in iter_unpack(f"{SIZE}s8x", memoryview(self.data)[self._records :]))

    @cached_property
    def _rows(self) -> NDArray[np.void]:
        import numpy as np

        rows = np.frombuffer(self.data, record_type(), offset=self._records)
        most = np.array([entry.rows for entry in self.shards.values()] or [0])
        if len(rows) and (rows["shard"].max() >= len(most) or (rows["row"] >= most[rows["shard"]]).any()):
            raise ForgedIndex(_FORGED)
        return rows

    @cached_property
    def _sorted(self) -> NDArray[np.uint64]:
        return _short(self._rows["id"])

    def ids_of(self, name: str) -> bytes:
        """Return the ids of a shard in the order of its rows, 34 bytes each."""
        order, bounds = self._by_shard
        number = self._names.index(name)
        return bytes(self._rows["id"][order[bounds[number] : bounds[number + 1]]].tobytes())

    @cached_property
    def _by_shard(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The records in the order of shards and rows, and where each shard begins: sorted once for all shards."""
        import numpy as np

        order = np.lexsort((self._rows["row"], self._rows["shard"]))
        return order, np.searchsorted(self._rows["shard"][order], np.arange(len(self._names) + 1))

    def records(self) -> NDArray[np.void]:
        """Return the records (rows,), with the fields `id`, `shard` and `row`, in the order of the file."""
        return self._rows

    def has_records(self, count: int) -> bool:
        """Whether `count` records end where the bytes end."""
        end: int = self._records + count * _RECORD
        return end == len(self.data)


def parse_part(data: Bytes) -> Part | None:
    """Return the part in the bytes of its file; None if they are damaged or of another version."""
    end = data.find(b"\n", DIGEST_SIZE + 1)
    if end < 0 or not is_intact(data):
        return None
    try:
        header = json.loads(data[DIGEST_SIZE + 1 : end])
        if header["version"] != INDEX_VERSION:
            return None
        shards = {item["name"]: _entry(item) for item in header["shards"]}
        rows, new, bits = sum(entry.rows for entry in shards.values()), header["distinct"], header["bits"]
        if not _is_number(new, rows) or not _is_number(bits, 32):
            return None  # before 2**bits is computed: a forged number may make that take for ever
        part = Part(data, shards, new, bits, end + 1, str(header.get("after", "")))
        return part if part.has_records(rows) else None
    except (ValueError, KeyError, TypeError, RecursionError):  # forged, with a right check sum
        return None


def is_intact(data: Bytes) -> bool:
    """Whether the bytes of a part are those that were written, by any version."""
    start = DIGEST_SIZE + 1
    return hashlib.sha256(memoryview(data)[start:]).hexdigest().encode() + b"\n" == data[:start]


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


def record_type() -> np.dtype[np.void]:
    """Return the type of a record."""
    import numpy as np

    return np.dtype([("id", f"V{SIZE}"), ("shard", ">u4"), ("row", ">u4")])


def make_part(shards: dict[str, ShardEntry], records: NDArray[np.void], new: int, after: str) -> Part:
    """Return the part of sorted records; see `Part` for the rest."""
    import numpy as np

    bits = max(0, (len(records) // _BUCKET).bit_length() - 1)
    numbers = records.tobytes()
    first = np.frombuffer(numbers, np.dtype({"names": ["p"], "formats": [">u4"], "itemsize": _RECORD}))["p"]
    table = np.searchsorted(first.astype(np.uint64) >> np.uint64(32 - bits), np.arange(2**bits + 1, dtype=np.uint64))
    content: dict[str, Any] = {"version": INDEX_VERSION, "distinct": new, "bits": bits}
    if after:
        content["after"] = after
    header = json.dumps({**content, "shards": [asdict(entry) for entry in shards.values()]}).encode() + b"\n"
    pieces = header, table.astype("<u4").tobytes(), numbers
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    data = b"".join([digest.hexdigest().encode(), b"\n", *pieces])
    return Part(data, shards, new, bits, DIGEST_SIZE + 1 + len(header), after)
