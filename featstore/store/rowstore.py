"""The rows of one key: a set of ids to ask, append to and read from."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from featstore.errors import StoreError
from featstore.files import write_whole
from featstore.store.index import ShardEntry, load_index, save_index
from featstore.store.rowid import SIZE, RowId

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT_VERSION = 1
_SHARD_NAME = re.compile(r"s-.+\.h5")


class RowStore:
    """Rows of features under one key, each an array of the same shape, never rewritten.

    Opening reads the index and verifies only shards that it does not know. numpy and h5py load when rows are read or
    written, not when ids are asked for.
    """

    def __init__(self, folder: Path, key: str, spec_json: str, versions: Callable[[], Mapping[str, str]]) -> None:
        self.folder = folder
        self.key = key
        self.damaged: list[str] = []  # shards that are passed over, each with the reason
        self._spec_json = spec_json
        self._versions = versions
        self._shards: dict[str, ShardEntry] = {}
        self._place: dict[RowId, tuple[str, int]] = {}
        self._unsaved = False
        self._check_spec()
        self._scan()

    def __contains__(self, row: RowId) -> bool:
        return row in self._place

    def __len__(self) -> int:
        return len(self._place)

    @property
    def row_shape(self) -> tuple[int, ...] | None:
        """The shape of one row; None while there is none."""
        return next((entry.shape for entry in self._shards.values()), None)

    @property
    def item_bytes(self) -> int:
        """Bytes of a number in memory: 4 if any row is float32, for then all are read as such."""
        return 4 if any(entry.dtype == "float32" for entry in self._shards.values()) else 2

    @property
    def bytes_on_disk(self) -> int:
        return sum(entry.state[0] for entry in self._shards.values())

    def append(self, ids: Sequence[RowId], rows: NDArray[Any]) -> None:
        """Store `rows` (n, ...), one per id, as one shard; on return they are on disk.

        float32 rows that float16 cannot hold belong in a shard of their own (see `shelf`). Raises ValueError for
        rows that are not finite: whoever wants them stored has to say what they mean. Raises StoreError if the disk
        refuses; nothing that was stored before is touched then.
        """
        import numpy as np

        from featstore.store.shard import build_shard, parse_shard

        if len(ids) != len(rows) or len(set(ids)) != len(ids):
            raise ValueError(f"{len(ids)} ids for {len(rows)} rows: expected one id per row, none twice")
        if self.row_shape not in (None, rows.shape[1:]):
            raise ValueError(f"rows of shape {rows.shape[1:]} under a key with rows of shape {self.row_shape}")
        if not np.isfinite(rows).all():
            raise ValueError("rows with NaN or infinity cannot be stored")
        name, data = build_shard(self.key, self._spec_json, self._versions(), ids, rows)
        contents = parse_shard(name, data, self.key)  # nothing is written that could not be read again
        self._write_spec()
        state = _state(write_whole(self.folder / name, data))
        self._add(ShardEntry(name, state, contents.ids, contents.dtype, contents.shape, contents.offset))
        self._unsaved = True

    def read(self, ids: Sequence[RowId]) -> NDArray[Any]:
        """The rows of `ids` in that order, (len(ids), ...); float32 if any of them is, else float16.

        Raises KeyError for an id that is not stored, StoreError for rows that were stored and are gone.
        """
        try:
            return self._gather(ids)
        except (OSError, StoreError):  # a shard was compacted, pruned or damaged: what the folder holds now counts
            self._scan()
        try:
            return self._gather(ids)
        except (KeyError, OSError, StoreError) as error:
            raise StoreError(
                f"{self.folder}: rows that were stored are gone or cannot be read; run the same command again"
            ) from error

    def _gather(self, ids: Sequence[RowId]) -> NDArray[Any]:
        import numpy as np

        places = [self._place[row] for row in ids]
        by_shard: dict[str, list[int]] = {}
        for position, (name, _) in enumerate(places):
            by_shard.setdefault(name, []).append(position)
        kinds = {self._shards[name].dtype for name in by_shard}
        dtype = np.float32 if "float32" in kinds else np.float16
        out = np.empty((len(ids), *(self.row_shape or ())), dtype)
        for name, positions in by_shard.items():
            out[positions] = self._map(name)[[places[p][1] for p in positions]]
        return out

    def save_index(self) -> None:
        """Keep the index if it has changed. A cache that cannot be written costs only time here."""
        if self._unsaved:
            with suppress(StoreError):
                save_index(self.folder / "index", self._shards)
                self._unsaved = False

    def _map(self, name: str) -> NDArray[Any]:
        """The features of a shard as a read-only map of the file that was verified."""
        import numpy as np

        with (self.folder / name).open("rb") as file:
            entry = self._shards[name]
            if _state(os.fstat(file.fileno())) != entry.state:  # a process that made the same rows wrote it again
                entry = self._shards[name] = self._check(name, file)
            dtype = np.dtype(entry.dtype).newbyteorder("<")
            return np.memmap(file, dtype, "r", entry.offset, (entry.rows, *entry.shape))

    def _scan(self) -> None:
        """Take in the shards of the folder: by the index where the file is in a known state, else by verifying it."""
        known = load_index(self.folder / "index") | self._shards
        self._shards, self._place, self.damaged = {}, {}, []
        try:
            for name in self._names():
                with suppress(FileNotFoundError):  # somebody pruned
                    entry = known.get(name)
                    if entry is None or entry.state != _state(os.stat(self.folder / name)):
                        entry = self._verify(name)
                        self._unsaved = True
                    if entry is not None:
                        self._add(entry)
        except OSError as error:
            raise StoreError(
                f"{self.folder}: cannot be read: {error.strerror}; choose another cache with --cache"
            ) from error

    def _names(self) -> list[str]:
        """File names of the shards, sorted; none where there is no folder yet."""
        try:
            with os.scandir(self.folder) as entries:
                return sorted(e.name for e in entries if e.is_file() and _SHARD_NAME.fullmatch(e.name))
        except FileNotFoundError:
            return []

    def _verify(self, name: str) -> ShardEntry | None:
        """Read, check and parse a shard; None, with the reason in `damaged`, if it is not right."""
        try:
            with (self.folder / name).open("rb") as file:
                return self._check(name, file)
        except FileNotFoundError:
            raise
        except OSError as error:
            self.damaged.append(f"{name}: cannot be read: {error.strerror}")
        except StoreError as error:
            self.damaged.append(str(error))
        return None

    def _check(self, name: str, file: BinaryIO) -> ShardEntry:
        """The entry of an open shard; raises StoreError if it is not right."""
        from featstore.store.shard import parse_shard

        state = _state(os.fstat(file.fileno()))  # taken first: what changes later shows as another state
        contents = parse_shard(name, file.read(), self.key)
        if self.row_shape not in (None, contents.shape):
            raise StoreError(f"{name}: rows of shape {contents.shape} among rows of shape {self.row_shape}")
        return ShardEntry(name, state, contents.ids, contents.dtype, contents.shape, contents.offset)

    def _add(self, entry: ShardEntry) -> None:
        self._shards[entry.name] = entry
        ids = entry.ids
        for number in range(entry.rows):
            self._place.setdefault(ids[number * SIZE : (number + 1) * SIZE], (entry.name, number))

    def _check_spec(self) -> None:
        """A folder is named by 12 digits of the key; the spec inside says which key it really is."""
        path = self.folder / "spec.json"
        try:
            kept = json.loads(path.read_bytes())
            version, key = kept["format_version"], kept["key"]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise StoreError(f"{path}: cannot be read: {error}; move the folder away and extract again") from error
        if version != FORMAT_VERSION:
            raise StoreError(f"{path}: format version {version}, this featstore reads {FORMAT_VERSION}: upgrade it")
        if key != self.key:
            raise StoreError(f"{path}: belongs to the key {key}, not to {self.key}; choose another --cache")

    def _write_spec(self) -> None:
        if not (self.folder / "spec.json").exists():
            content = {
                "format": "featstore-key",
                "format_version": FORMAT_VERSION,
                "key": self.key,
                "spec": json.loads(self._spec_json),
                "versions": dict(self._versions()),
            }
            write_whole(self.folder / "spec.json", json.dumps(content, indent=1, sort_keys=True).encode())


def _state(info: os.stat_result) -> tuple[int, int, int, int]:
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino
