"""The index of a key: which rows each shard holds, in parts of falling size.

It is derived data: it may be deleted at any time, and reading the shards makes it again. With it, a run that has
nothing to do opens no HDF5 file and does not import numpy.

One sorted table would have to be written again for every few rows: 420 MB at ten million. So new rows become a part of
their own, and parts are merged when what is new is no longer small against them (a log-structured merge tree). Each
part is more than `_GROWTH` times as large as all behind it, so there are few, and a row is written a few times however
large the key becomes. A key of up to `_SMALL` rows has one part.

Each part names the digest of the one before it, and counts only behind that one. So the files of two processes that
write at the same time never mix: what does not fit is not listed, and its shards are verified again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import count, takewhile
from operator import or_
from typing import TYPE_CHECKING

from featstore.store.index_part import DIGEST_SIZE, Part, ShardEntry, make_part, parse_part, record_type
from featstore.store.key_folder import KeyFolder
from featstore.store.layout import INDEX
from featstore.store.rowid import SIZE, RowId, split_ids
from featstore.system.large_pages import Bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GROWTH = 4
_SMALL = 100_000  # rows: 4 MB, which are written in 10 ms


class Index:
    """The rows of `shards`, which are in name order. An id may have several rows; that of the first shard is served."""

    def __init__(self, parts: Sequence[Part] = ()) -> None:
        self.parts = tuple(parts)
        entries = [entry for part in self.parts for entry in part.shards.items()]
        self.shards: dict[str, ShardEntry] = dict(entries if len(self.parts) == 1 else sorted(entries))

    def __len__(self) -> int:
        """The number of ids."""
        return sum(part.new for part in self.parts)

    def __contains__(self, row: RowId) -> bool:
        return any(row in part for part in self.parts)

    def which(self, rows: Iterable[RowId]) -> list[bool]:
        """Return for each id whether it is listed."""
        rows = list(rows)
        listed = [False] * len(rows)
        for part in self.parts:
            listed = list(map(or_, listed, part.which(rows)))
        return listed

    def find(self, row: RowId) -> tuple[str, int] | None:
        """Return (shard, row in it) of an id; None if the id is not listed."""
        places = (place for part in self.parts if (place := part.find(row)) is not None)
        return next(places, None) if self._has_no_id_twice else min(places, default=None)

    def find_all(self, ids: NDArray[np.void]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return (n,) shards, as numbers in name order, and (n,) rows in them, of (n,) ids; -1 for an id not listed."""
        import numpy as np

        nowhere = len(self.shards)
        number = {name: place for place, name in enumerate(self.shards)}
        shard, row = np.full(len(ids), nowhere), np.full(len(ids), -1)
        for part in self.parts:
            own, its = part.find_all(ids)
            found = np.array([*(number[name] for name in part.shards), nowhere])[own]  # -1 is the last one
            is_first = found < shard
            shard[is_first], row[is_first] = found[is_first], its[is_first]
        shard[shard == nowhere] = -1
        return shard, row

    def ids_of(self, name: str) -> bytes:
        """Return the ids of a shard in the order of its rows, 34 bytes each."""
        return next(part.ids_of(name) for part in self.parts if name in part.shards)

    def repeated(self) -> set[str]:
        """Return the shards that share an id with another shard."""
        import numpy as np

        if self._has_no_id_twice:
            return set()
        names = list(self.shards)
        rows = _merged(names, self.parts, {})
        same = np.flatnonzero(rows["id"][1:] == rows["id"][:-1])
        return {names[number] for number in np.unique(rows["shard"][np.concatenate([same, same + 1])])}

    def with_shards(self, shards: Mapping[str, ShardEntry], ids: Mapping[str, bytes]) -> Index:
        """Return an index of exactly `shards`; `ids` has the packed ids of those that are not in this index.

        Parts whose shards have all stayed as they are stay too, as long as what comes behind them is small.
        """
        kept = list(takewhile(lambda part: _stays(part, shards, ids), self.parts))
        behind = sum(entry.rows for entry in shards.values()) - sum(part.rows for part in kept)
        while kept and behind and kept[-1].rows <= max(_GROWTH * behind, _SMALL):
            behind += kept.pop().rows
        if not behind:
            return Index(kept)
        listed = {name for part in kept for name in part.shards}
        names = sorted(shards.keys() - listed)
        records = _merged(names, self.parts[len(kept) :], ids)
        new = _count_new(records, kept)
        entries = {name: shards[name] for name in names}
        return Index([*kept, make_part(entries, records, new, kept[-1].digest if kept else "")])

    def to_bytes(self) -> bytes:
        """Return the bytes of one part with all rows."""
        if len(self.parts) == 1:
            return bytes(self.parts[0].data)
        records = _merged(list(self.shards), self.parts, {})
        return bytes(make_part(self.shards, records, _count_new(records, ()), "").data)

    @cached_property
    def _has_no_id_twice(self) -> bool:
        return len(self) == sum(part.rows for part in self.parts)


def load_index(folder: KeyFolder, known: Sequence[Part] = ()) -> Index:
    """Return the index of a folder. A part that is missing, damaged or of another version ends it.

    known: parts that need not be read again if they are still there.
    """
    by_digest = {part.digest.encode(): part for part in known}
    parts: list[Part] = []
    for number in count():
        name = part_name(number)
        part = by_digest.get(_digest(folder, name)) if by_digest and folder.keeps_parts else None
        if part is None:
            with suppress(OSError):
                part = parse_part(folder.read_index(name))
        if part is None or not follows(part, parts):
            return Index(parts)
        parts.append(part)
    raise AssertionError("the numbers never end")


def parse_index(data: Bytes) -> Index | None:
    """Return the index whose only part has these bytes; None if they are damaged or of another version."""
    part = parse_part(data)
    return None if part is None or part.after else Index([part])


def follows(part: Part, parts: Sequence[Part]) -> bool:
    """Whether `part` was written behind `parts`, and lists none of their shards."""
    expected = parts[-1].digest if parts else ""
    return part.after == expected and all(part.shards.keys().isdisjoint(other.shards) for other in parts)


def save_index(folder: KeyFolder, index: Index, known: Sequence[Part] = ()) -> None:
    """Write the index; raises StoreError if the folder cannot be written.

    known: parts that were read from this folder or written there. Those that are still there are not written again.
    """
    if not folder.keeps_parts:
        folder.write(INDEX, index.to_bytes())
        return
    stored = {part.digest.encode() for part in known}
    parts = index.parts or Index([make_part({}, _merged([], (), {}), 0, "")]).parts
    for number, part in enumerate(parts):
        name = part_name(number)
        digest = part.digest.encode()
        if digest not in stored or _digest(folder, name) != digest:
            folder.write(name, bytes(part.data))
    for number in count(len(parts)):
        if not _digest(folder, part_name(number)):
            break
        folder.remove(part_name(number))


def part_name(number: int) -> str:
    """Return the name of the file of a part: `index`, `index-1`, `index-2` and so on."""
    return f"{INDEX}-{number}" if number else INDEX


def _digest(folder: KeyFolder, name: str) -> bytes:
    """Return the digest that the file of a part begins with; nothing if there is no such file."""
    with suppress(OSError):
        return bytes(folder.read_index(name, DIGEST_SIZE))
    return b""


def _stays(part: Part, shards: Mapping[str, ShardEntry], ids: Mapping[str, bytes]) -> bool:
    return all(name not in ids and shards.get(name) == entry for name, entry in part.shards.items())


def _merged(names: Sequence[str], parts: Iterable[Part], ids: Mapping[str, bytes]) -> NDArray[np.void]:
    """Return the sorted records of the shards `names`, from `ids` or else from `parts`."""
    import numpy as np

    number = {name: place for place, name in enumerate(names)}
    tables = []
    for part in parts:
        moved = np.array([number.get(name, -1) if name not in ids else -1 for name in part.shards] or [-1], np.int64)
        rows = part.records()
        place = moved[rows["shard"].astype(np.int64)]
        table = rows[place >= 0]
        table["shard"] = place[place >= 0]
        tables.append(table)
    for name in ids.keys() & number.keys():
        table = np.empty(len(ids[name]) // SIZE, record_type())
        table["id"] = np.frombuffer(ids[name], f"V{SIZE}")
        table["shard"], table["row"] = number[name], np.arange(len(table))
        tables.append(table)
    kind = record_type()
    if not tables:
        return np.empty(0, kind)
    packed = np.concatenate([table.view(f"S{kind.itemsize}") for table in tables])
    packed.sort(kind="stable")  # which merges what is sorted already
    return packed.view(kind)


def _count_new(records: NDArray[np.void], parts: Sequence[Part]) -> int:
    """Return how many ids of sorted records none of the parts has."""
    import numpy as np

    is_repeated = records["id"][1:] == records["id"][:-1]
    if not parts:
        return len(records) - int(is_repeated.sum())
    ids = np.concatenate([records["id"][:1], records["id"][1:][~is_repeated]])
    return len(ids) - sum(Index(parts).which(split_ids(ids.tobytes())))
