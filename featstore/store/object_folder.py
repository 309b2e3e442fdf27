"""The folder of a key on object storage: objects whose paths begin alike, with the names of the files on a disk.

Nothing is renamed, locked or synced there. A shard is written with one request under the name that its bytes give it,
so it is there whole or not at all, and all who write it write the same. A key is begun with one request that only one
process can win. Reads bring whole shards to this machine (`object_copies`).
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING

from featstore.errors import StoreError, param
from featstore.objects.bucket import Bucket, ObjectError
from featstore.objects.local import local_folder
from featstore.objects.opening import open_bucket
from featstore.objects.urls import Url
from featstore.store.layout import CLAIMS, INDEX, INDEX_NAME, INDEX_PART, QUARANTINE, SHARD_NAME, SPEC, USED, shard_name
from featstore.store.object_claims import NoClaims, ObjectClaims, are_claims_on
from featstore.store.object_condition import check_condition
from featstore.store.object_copies import Copies, DamagedShard
from featstore.store.object_index import ObjectIndex
from featstore.store.object_locks import Hold, ObjectWriterLock
from featstore.store.object_signs import WRITER, Sign
from featstore.store.object_writes import failed, remove_objects, write_first, write_named, write_over
from featstore.system.files import FileStat
from featstore.system.fork_lock import ForkLock
from featstore.system.large_pages import Bytes

if TYPE_CHECKING:
    from featstore.store.key_folder import RowClaims

LOOK_SECONDS = 3.0  # between two looks at what others have stored
_LOOK_SHARE = 20  # a look takes no more than one part in so many of the time
_PAGE = 1000  # names in one answer to a LIST, which are of one moment
_USED_SECONDS = 3600.0  # between two notes of a process that a key is in use
_STILL_SECONDS = 30.0  # after `begin`, the sign of a writer lives that long
_KEY_NAME = re.compile(r".*-[0-9a-f]{12}")

_noted: dict[Url, float] = {}  # when this process has noted that a key is in use


class ObjectFolder:
    """A folder on object storage; see `KeyFolder`."""

    def __init__(self, url: Url) -> None:
        self._url = url
        self._local = local_folder(url.parent.parent) / url.parent.name / url.name
        self._copies = Copies(self._local, lambda name: self._get(name)[0])
        self._damaged: dict[str, FileStat] = {}  # states of objects that were not sound
        self._lock = ForkLock()
        self._found: dict[str, FileStat] | None = None  # all objects directly in it, as they were listed last
        self._pages = 1  # of that listing
        self._is_new = False  # whether nobody has asked for that listing
        self._stamp = 0
        self._looks_at = 0.0  # when the next look is due
        self._hold: Hold | None = None
        self._index = ObjectIndex(url, self._local, self._get)
        self._has_spec = False  # whether one was ever seen
        # when `begin` found or wrote `spec.json`, and its state
        self._begun: tuple[float, FileStat] | None = None

    def __str__(self) -> str:
        return str(self._url)

    @property
    def keeps_parts(self) -> bool:
        return False

    @property
    def location(self) -> Url:
        return self._url

    @property
    def _bucket(self) -> Bucket:
        return open_bucket(self._url)  # each time: a forked process is told so

    def exists(self) -> bool:
        with self._errors("listed"):
            return any(True for _ in islice(self._bucket.list_all(self._url.path), 1))

    # Looking

    def names(self) -> list[str]:
        with self._errors("listed"):
            folders, found = self._bucket.list_folder(self._url.path)
        return [*folders, *(item.path.rpartition("/")[2] for item in found)]

    def size(self) -> int:
        with self._errors("listed"):
            return sum(item.state.size for item in self._bucket.list_all(self._url.path))

    def shards(self) -> dict[str, FileStat]:
        """Return the shards as they are listed now.

        A process whose work was parted by another one (`are_claims_on`) lists them once: it would fetch the shards of
        all others, which hold nothing that it needs.
        """
        with self._lock:
            if self._found is None or not (self._is_new or self._is_parted()):
                self._list()
            self._is_new = False
            return _shards(self._found or {})

    def stamp(self) -> int:
        """Return the number of the listing. A new one is made every few seconds, if the work was not parted."""
        with self._lock:
            if self._found is None or (monotonic() >= self._looks_at and not self._is_parted()):
                with suppress(StoreError):  # a caller that needs the listing asks for it, and is told
                    self._list()
            return self._stamp

    def lasting(self, stamp: int) -> int:
        return stamp

    def is_of_one_moment(self, files: Mapping[str, FileStat], stamp: int) -> bool:
        """Whether no shard went while it was listed. Those that came meanwhile give the next stamp."""
        with self._lock:
            if self._pages == 1:
                return True
            self._list()
            return files.keys() <= (self._found or {}).keys()

    def _list(self) -> None:
        began = monotonic()
        with self._errors("listed"):
            folders, listed = self._bucket.list_folder(self._url.path)
        found = {path.rpartition("/")[2]: state for path, state in listed}
        self._stamp += self._found is None or _shards(found) != _shards(self._found)
        self._found, self._pages, self._is_new = found, 1 + (len(folders) + len(listed)) // _PAGE, True
        self._looks_at = monotonic() + max(LOOK_SECONDS, _LOOK_SHARE * (monotonic() - began))

    def _is_parted(self) -> bool:
        return not are_claims_on()

    def _look_again(self) -> None:
        """Have the next `stamp` look."""
        self._looks_at = 0.0

    # Reading

    def read(self, name: str) -> tuple[bytes, FileStat]:
        found = self._get(name)
        if SHARD_NAME.fullmatch(name) and shard_name(found[0]) != name:
            found = self._get(name)  # it may be the way here that damaged it
        self._has_spec |= name == SPEC
        return found

    def _get(self, name: str) -> tuple[bytes, FileStat]:
        with self._reading_errors():
            return self._bucket.get((self._url / name).path)

    def read_index(self, name: str = INDEX, most: int | None = None) -> Bytes:
        if name != INDEX:
            raise FileNotFoundError(errno.ENOENT, "no such object")
        with self._lock:
            if self._found is None:
                self._list()
            found = self._found or {}
        return self._index.read(found, only_read=self._is_parted())[:most]

    def bring(self, names: Collection[str]) -> None:
        found = self._found or {}
        self._copies.bring((name, found[name].size) for name in names if name in found and not self._is_damaged(name))

    def open_shard(self, name: str) -> tuple[int, FileStat]:
        if self._is_damaged(name):
            raise StoreError(f"{name}: the bytes do not match the name: damaged")
        try:
            return self._copies.open(name)
        except FileNotFoundError:
            self._found = None
            raise
        except DamagedShard:
            with self._lock:
                if self._found is not None and name in self._found:
                    self._damaged[name] = self._found[name]
            raise

    def _is_damaged(self, name: str) -> bool:
        """Whether an object was not sound when it was read, and has not been replaced since."""
        return name in self._damaged and self._damaged[name] == (self._found or {}).get(name)

    # Writing

    def prepare(self) -> None:
        """Object storage has no folders."""

    def publish(self, name: str, data: bytes) -> FileStat:
        with self._errors("written"):
            state = write_named(self._bucket, self._url / name, data)
            if not self._is_still_ours():
                remove_objects(self._bucket, self._url, [name])
                raise StoreError(
                    f"{self}: was removed or begun again while this process stood still: run the same command again"
                )
        with self._lock:
            self._index.note(name)
            if self._found is not None:
                self._found = {**self._found, name: state}
        self._copies.keep(name, data)
        return state

    def _is_still_ours(self) -> bool:
        """Whether no other process can have removed the key since it was held, or since `begin`; see `object_locks`."""
        if self._hold is not None and self._hold.sign.can_be_relied_on:
            return True
        if self._begun is None or monotonic() - self._begun[0] < _STILL_SECONDS:
            return True
        try:  # others may have changed shards, which does no harm to this one
            return self._bucket.head((self._url / SPEC).path) == self._begun[1]
        except FileNotFoundError:
            return False

    def begin(self, data: bytes) -> bool:
        url, now = self._url / SPEC, monotonic()
        with self._errors("written"):
            try:
                self._begun = now, self._bucket.head(url.path)
                return False
            except FileNotFoundError:
                self._begun = None
            shards = self.shards()
            if SPEC in (self._found or {}):  # just now
                return False
            if shards:
                raise StoreError(
                    f"{url}: is missing, though there are rows: `featstore cache repair` makes it from a shard"
                )
            check_condition(self._url / CLAIMS)
            is_first = write_first(self._bucket, url, data)
            if is_first:
                self._begun = now, self._bucket.head(url.path)
        self._has_spec = True
        return is_first

    def write(self, name: str, data: bytes) -> FileStat:
        with self._errors("written"):
            if name == INDEX:
                as_part = self._is_parted() and self._hold is None
                return self._index.write_part(data) if as_part else self._index.write(data)
            state = write_over(self._bucket, self._url / name, data)
        if name == SPEC and self._begun is not None:
            self._begun = self._begun[0], state
        return state

    def remove(self, name: str) -> None:
        self._remove([name])
        self._copies.forget(name)

    def move_aside(self, name: str) -> None:
        """Copy an object into the quarantine, then remove it. Killed in between, the next repair copies it again."""
        try:
            data, _ = self._get(name)
            if self._get(name)[0] != data:
                raise OSError(errno.EIO, "two readings of it differ")
        except FileNotFoundError:
            return
        except OSError as error:
            raise failed(self._url / name, "moved", error) from error
        with self._errors("listed"):
            _, found = self._bucket.list_folder((self._url / QUARANTINE).path)
        taken = {path.rpartition("/")[2] for path, _ in found}
        target, number = name, 1
        while target in taken:
            number += 1
            target = f"{name}.{number}"
        with self._errors("written"):
            write_over(self._bucket, self._url / QUARANTINE / target, data)
        self.remove(name)

    def clear_leftovers(self) -> int:
        """Remove the signs of dead processes; return how many."""
        with self._errors("cleared"):
            sign = self._hold.sign if self._hold else Sign(self._url / CLAIMS, WRITER)
            sign.show()
            _, void = sign.look()
        self._remove([f"{CLAIMS}/{other.name}" for other in void])
        if self._hold is None:
            sign.withdraw()
        self._remove([name for name in self.names() if INDEX_PART.fullmatch(name)])  # the index was made again
        return len(void)

    def remove_all(self) -> list[str]:
        """Remove the key. Killed half-way, it leaves rows that are sound, with their spec until they are gone.

        A writer whose sign is void may have stored a shard since. So the folder is listed again.
        """
        while True:
            with self._errors("listed"):
                names = [path.removeprefix(f"{self._url.path}/") for path, _ in self._bucket.list_all(self._url.path)]
            shards = [name for name in names if SHARD_NAME.fullmatch(name)]
            indexes = [name for name in names if INDEX_NAME.fullmatch(name) or INDEX_PART.fullmatch(name)]
            if not (shards or indexes or SPEC in names):
                break
            for some in (indexes, shards, [SPEC]):
                self._remove([name for name in some if name in names])
        own = "" if self._hold is None else f"{CLAIMS}/{self._hold.sign.url.name}"
        ours = [name for name in names if name.startswith((f"{CLAIMS}/", f"{QUARANTINE}/")) or name == USED]
        self._remove([name for name in ours if name != own])
        shutil.rmtree(self._local, ignore_errors=True)  # derived
        return sorted({name.partition("/")[0] for name in names if name not in ours})

    def _remove(self, names: list[str]) -> None:
        """Remove objects, in parts, as long as the folder is held."""
        for start in range(0, len(names), _PAGE):
            if self._hold is not None:
                self._hold.check()
            with self._errors("removed"):
                is_certain = remove_objects(self._bucket, self._url, names[start : start + _PAGE])
            if self._hold is not None and not is_certain:
                self._hold.doubt()
        with self._lock:
            self._found = None
            self._stamp += 1

    # Those who work there

    def claims(self) -> RowClaims:
        if not are_claims_on():
            return NoClaims()
        return ObjectClaims(self._url / CLAIMS, self._look_again)

    def writer_lock(self) -> ObjectWriterLock:
        return ObjectWriterLock(self._url)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder alone in a `with` block; see `object_locks` for what that means here."""
        with Hold(self._url) as self._hold:
            try:
                with self._errors("read"), suppress(FileNotFoundError):
                    self._begun = monotonic(), self._bucket.head((self._url / SPEC).path)
                yield
            finally:
                self._hold = None

    def mark_used(self) -> None:
        """Note that the key is used now: an object, once an hour for each process, since each is a request."""
        if self._has_spec and monotonic() - _noted.get(self._url, -_USED_SECONDS) >= _USED_SECONDS:
            _noted[self._url] = monotonic()
            with suppress(ObjectError):
                self._bucket.put((self._url / USED).path, b"")

    def last_used(self) -> float:
        """Return when anything was last written there, the note of its use included."""
        with self._errors("listed"):
            found = self._bucket.list_all(self._url.path)
            newest = max((item.state.mtime_ns for item in found), default=None)
        if newest is None:
            raise FileNotFoundError(errno.ENOENT, "no such object")
        return newest / 1e9

    @contextmanager
    def _reading_errors(self) -> Iterator[None]:
        """Give an error the number of one that says nothing against the object."""
        try:
            yield
        except ObjectError as error:
            raise OSError(errno.EIO, error.strerror) from error

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Turn an error of the object storage into a StoreError."""
        try:
            yield
        except ObjectError as error:
            raise failed(self._url, what, error) from error


def object_folders(cache: Url) -> list[Url]:
    """Return the folders of keys in a cache, sorted; raises StoreError if there is nothing, or it cannot be listed."""
    try:
        bucket = open_bucket(cache)
        models, found = bucket.list_folder(cache.path)
        folders = [cache / model / name for model in models for name in bucket.list_folder((cache / model).path)[0]]
        keys = [folder for folder in folders if _KEY_NAME.fullmatch(folder.name) and _holds_rows(bucket, folder)]
    except ObjectError as error:
        raise StoreError(f"{cache}: cannot be listed: {error.strerror}; choose another {param('cache')}") from error
    if not models and not found:
        raise StoreError(f"{cache}: nothing is stored there; name it with {param('cache')}, or extract first")
    return sorted(keys)


def _holds_rows(bucket: Bucket, folder: Url) -> bool:
    """Whether there are rows, a spec or a quarantine. The listing is read until one is found: mostly its first page."""
    prefix = f"{folder.path}/"
    return any(
        SHARD_NAME.fullmatch(name) or name == SPEC or name.startswith(f"{QUARANTINE}/")
        for name in (path.removeprefix(prefix) for path, _ in bucket.list_all(folder.path))
    )


def _shards(found: Mapping[str, FileStat]) -> dict[str, FileStat]:
    """Return those with the name of a shard, in the order of the names."""
    return {name: state for name, state in sorted(found.items()) if SHARD_NAME.fullmatch(name)}
