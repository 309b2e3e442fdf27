"""The index of a key's shards: which rows each holds, and the state of the file in which it was verified.

Derived data: it may be deleted at any time and is made again by reading the shards. It spares a run that has nothing to
do from opening HDF5 files, and from importing numpy.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from featstore.files import write_whole
from featstore.store.rowid import SIZE

INDEX_VERSION = 1


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A verified shard. `state` is (size, mtime in ns, ctime in ns, inode) of the file when its digest was checked."""

    name: str
    state: tuple[int, int, int, int]
    ids: bytes
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def rows(self) -> int:
        return len(self.ids) // SIZE


def load_index(path: Path) -> dict[str, ShardEntry]:
    """Entries by shard name; empty where there is no index, or one that is damaged or of another version."""
    try:
        check, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return {}
    if hashlib.sha256(body).hexdigest().encode() != check:
        return {}
    header_line, _, ids = body.partition(b"\n")
    header = json.loads(header_line)
    if header["version"] != INDEX_VERSION:
        return {}
    entries: dict[str, ShardEntry] = {}
    start = 0
    for item in header["shards"]:
        stop = start + item.pop("rows") * SIZE
        item["state"], item["shape"] = tuple(item["state"]), tuple(item["shape"])
        entries[item["name"]] = ShardEntry(ids=ids[start:stop], **item)
        start = stop
    return entries


def save_index(path: Path, entries: dict[str, ShardEntry]) -> None:
    """Write the index whole; raises StoreError where the folder cannot be written."""
    ordered = [entries[name] for name in sorted(entries)]
    shards = []
    for entry in ordered:
        item = asdict(entry)
        del item["ids"]
        shards.append({**item, "rows": entry.rows})
    header = json.dumps({"version": INDEX_VERSION, "shards": shards}).encode()
    body = header + b"\n" + b"".join(entry.ids for entry in ordered)
    write_whole(path, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
