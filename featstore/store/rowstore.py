"""The rows of one key: a set of ids to ask, append to and read from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from featstore.errors import StoreError
from featstore.store.claims import Claims
from featstore.store.index import ForgedIndex, Index, ShardEntry, State, empty_index, file_state, load_index, save_index
from featstore.store.layout import INDEX
from featstore.store.listing import last_change, list_shards, settled
from featstore.store.locks import Usage, mark_used
from featstore.store.rowid import SIZE, RowId
from featstore.store.spec_file import KeyFile
from featstore.system.files import settle_folder, write_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.store.open_shards import OpenShards
    from featstore.store.places import Places

_LEVELS = 3  # the folder of the key, that of the model, and the cache
_MOST_LOOKS = 20  # at a folder in which files come and go


class RowStore:
    """Rows of features under one key, each an array of the same shape, never rewritten.

    Opening reads the index and verifies only shards that it does not know. numpy and h5py load when rows are read or
    written, not when ids are asked for. `damaged` has a line for each shard that is passed over.
    """

    def __init__(self, folder: Path, key: str, spec_json: str, environment: Callable[[], Mapping[str, str]]) -> None:
        self.folder = folder
        self.key = key
        self.claims = Claims(folder)
        self.damaged: list[str] = []
        self.spec_json = spec_json
        self._environment = environment
        self._key_file = KeyFile(folder, key, spec_json)
        self._usage = Usage(folder)
        self._looked = -1  # when the folder had been changed last as it was looked into
        self._seen: dict[str, State] = {}  # the files that are named like shards, right or not
        self._shards: dict[str, ShardEntry] = {}
        self._index: Index = empty_index()
        self._fresh: dict[str, bytes] = {}  # ids of shards that are not in the index on disk
        self._recent: dict[RowId, tuple[str, int]] = {}  # where their rows are
        self._unsaved = False
        self._settled = False  # whether the folder's name is known to be on disk
        self._reader: OpenShards | None = None
        self._key_file.load()
        self._scan()

    def __contains__(self, row: RowId) -> bool:
        return row in self._index or row in self._recent

    def __len__(self) -> int:
        return len(self._index) + len(self._recent)

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

    @property
    def shards(self) -> Mapping[str, ShardEntry]:
        """The verified shards by name."""
        return self._shards

    @property
    def made_with(self) -> Mapping[str, str] | None:
        """The environment that began this key; None while there is nothing."""
        return self._key_file.versions

    @property
    def canary(self) -> dict[str, Any] | None:
        """What is kept with the spec to recognise an environment that makes other values; set before the first rows."""
        return self._key_file.canary

    @canary.setter
    def canary(self, value: dict[str, Any]) -> None:
        self._key_file.canary = value

    def begin(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Begin to write: from here to `finish` nobody prunes or compacts the key; `on_wait` is called if one does."""
        self._usage.begin(on_wait)
        self.refresh()

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
        environment = self._environment()
        name, data = build_shard(self.key, self.spec_json, environment, ids, rows)
        contents = parse_shard(name, data, self.key)  # nothing is written that could not be read again
        if not self._settled:
            settle_folder(self.folder, _LEVELS)
            self._settled = True
        self._usage.begin()
        self._key_file.write(environment)
        state = file_state(write_whole(self.folder / name, data))
        entry = ShardEntry(name, state, contents.rows, contents.dtype, contents.shape, contents.offset)
        self._shards[name], self._seen[name], self._fresh[name] = entry, state, contents.ids
        for number, row in enumerate(ids):
            if row not in self:
                self._recent[row] = name, number
        self._unsaved = True

    def read(self, ids: Sequence[RowId] | NDArray[np.void]) -> NDArray[Any]:
        """The rows of `ids` in that order, (len(ids), ...); float32 if any of them is, else float16.

        Raises KeyError for an id that is not stored, StoreError for rows that were stored and are gone.
        """
        from featstore.store.shard import PluginMissing

        error: Exception
        for again in range(_MOST_LOOKS):
            try:
                return self.read_at(self.locate(ids))
            except (PluginMissing, ForgedIndex):  # to look again would change nothing
                raise
            except KeyError as missing:
                if not again:
                    raise
                error = missing
            except (OSError, StoreError) as gone:  # compacted, pruned or damaged: what the folder holds now counts
                error = gone
            before = self._seen
            self._scan()
            if again and self._seen == before:
                break
        raise StoreError(
            f"{self.folder}: rows that were stored are gone or cannot be read; run the same command again"
        ) from error

    def locate(self, ids: Sequence[RowId] | NDArray[np.void]) -> Places:
        """Where the rows of `ids` are, to read them more than once; raises KeyError for an id that is not stored."""
        import numpy as np

        from featstore.store.places import Places

        packed = ids if isinstance(ids, np.ndarray) else np.frombuffer(b"".join(ids), f"V{SIZE}")
        shard, row = self._index.find_all(packed)
        names = list(self._index.shards)
        recent = {name: len(names) + number for number, name in enumerate(self._fresh)}
        for place in np.flatnonzero(shard < 0):
            name, row[place] = self._place(packed[place].tobytes())
            shard[place] = recent[name]
        return Places([*names, *recent], shard, row)

    def read_at(self, places: Places, mapped: bool = False) -> NDArray[Any]:
        """As `read`; raises OSError or StoreError where a shard is not there any more, or damaged.

        mapped: through memory maps where that can be. It is faster, but an error of the disk ends the process.
        """
        return self._open_shards().read(places, self._shards, mapped)

    def view(self, places: Places) -> NDArray[Any] | None:
        """Rows that lie side by side in one shard, as a read-only map of the file in its verified state; else None.

        None as well where the shard is compressed, gone or damaged: `read` tells these apart.
        """
        with suppress(OSError, StoreError):
            return self._open_shards().view(places, self._shards)
        return None

    def shard_of(self, row: RowId) -> str:
        """The name of the shard that a row is served from; raises KeyError for an id that is not stored."""
        return self._place(row)[0]

    def repeated_shards(self) -> set[str]:
        """The shards that share an id with another one, as two processes leave behind that made the same row."""
        return self._index.repeated()

    def refresh(self) -> bool:
        """Take in what other processes have stored since; whether there was anything."""
        changed = last_change(self.folder)
        if changed == self._looked:
            return False
        self._looked = settled(changed)
        if list_shards(self.folder) == self._seen:
            return False
        self._scan()
        return True

    def finish(self) -> None:
        """End to write."""
        self.claims.withdraw()
        self.save_index()
        mark_used(self.folder)
        self._usage.end()

    def save_index(self) -> None:
        """Keep the index if it has changed. A cache that cannot be written costs only time here."""
        if self._unsaved:
            with suppress(StoreError):
                self._index = self._index.with_shards(self._shards, self._fresh)
                self._fresh, self._recent = {}, {}
                save_index(self.folder / INDEX, self._index)
                self._unsaved = False

    def _place(self, row: RowId) -> tuple[str, int]:
        place = self._recent.get(row) or self._index.find(row)
        if place is None:
            raise KeyError(row)
        return place

    def _open_shards(self) -> OpenShards:
        if self._reader is None:
            from featstore.store.open_shards import OpenShards

            mark_used(self.folder)
            self._reader = OpenShards(self.folder, self.key, self._check_again)
        return self._reader

    def _scan(self) -> None:
        """Take in the shards of the folder, all of one moment: none may come or go while it is looked into."""
        for _ in range(_MOST_LOOKS):
            changed = last_change(self.folder)
            if self._look() and last_change(self.folder) == changed:
                self._looked = settled(changed)
                return

    def _look(self) -> bool:
        """Take in what is there: by the index where a file is in a known state, else by verifying it.

        False if a shard went in the meantime.
        """
        index = load_index(self.folder / INDEX)
        before, self._shards, self._seen, self.damaged = self._shards, {}, {}, []
        fresh: dict[str, bytes] = {}
        for name, state in list_shards(self.folder).items():
            self._seen[name] = state
            entry = index.shards.get(name)
            if entry is None or entry.state != state:
                entry = before.get(name)
                if entry is not None and entry.state == state:
                    fresh[name] = self._fresh.get(name) or self._index.ids_of(name)
                else:
                    entry, fresh[name] = self._verified(name) or (None, b"")
            if entry is not None:
                self._shards[name] = entry
        fresh = {name: ids for name, ids in fresh.items() if name in self._shards}
        if fresh or index.shards.keys() != self._shards.keys():
            index = index.with_shards(self._shards, fresh)
            self._unsaved = True
        self._index, self._fresh, self._recent = index, fresh, {}
        return all((self.folder / name).exists() for name in self._seen)

    def _verified(self, name: str) -> tuple[ShardEntry, bytes] | None:
        """Read, check and parse a shard: entry and ids; None, with the reason in `damaged`, if it is not right."""
        try:
            with (self.folder / name).open("rb") as file:
                return self._check(name, file)
        except FileNotFoundError:  # somebody pruned
            return None
        except OSError as error:
            self.damaged.append(f"{name}: cannot be read: {error.strerror}")
        except StoreError as error:
            self.damaged.append(str(error))
        return None

    def _check(self, name: str, file: BinaryIO) -> tuple[ShardEntry, bytes]:
        """Entry and ids of an open shard; raises StoreError if it is not right."""
        from featstore.store.sandbox import inspect_shard

        state = file_state(os.fstat(file.fileno()))  # taken first: what changes later shows as another state
        contents = inspect_shard(name, file.read(), self.key)
        if self.row_shape not in (None, contents.shape):
            raise StoreError(f"{name}: rows of shape {contents.shape} among rows of shape {self.row_shape}")
        return ShardEntry(name, state, contents.rows, contents.dtype, contents.shape, contents.offset), contents.ids

    def _check_again(self, name: str, file: BinaryIO) -> None:
        """A shard is not in the state that it was verified in: a process that made the same rows wrote it again."""
        self._shards[name], _ = self._check(name, file)
        self._seen[name] = self._shards[name].state
