"""The folder of a key on a disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from featstore.errors import StoreError, param
from featstore.store.claims import Claims, is_locked
from featstore.store.layout import CLAIMS, INDEX, INDEX_NAME, INDEX_PART, QUARANTINE, SHARD_NAME, SPEC, USED
from featstore.store.listing import folder_mtime, list_shards, reliable_mtime
from featstore.store.locks import SharedLock, exclusive_lock, last_used, mark_used
from featstore.system.disk import current_disk
from featstore.system.files import TEMPORARY, FileStat, move, read_regular, remove, sync_folders, write_whole
from featstore.system.large_pages import Bytes, read_large

_LEVELS = 3  # the folder of the key, that of the model, and the cache


class DiskFolder:
    """A folder on a disk; see `KeyFolder`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    @property
    def keeps_parts(self) -> bool:
        return True

    @property
    def location(self) -> Path:
        return self._path

    def exists(self) -> bool:
        return self._path.is_dir()

    def names(self) -> list[str]:
        return os.listdir(self._path)

    def size(self) -> int:
        size = 0
        for path in self._path.rglob("*"):
            with suppress(FileNotFoundError, PermissionError):
                info = path.lstat()
                size += info.st_size if stat.S_ISREG(info.st_mode) else 0
        return size

    def shards(self) -> dict[str, FileStat]:
        return list_shards(self._path)

    def stamp(self) -> int:
        return folder_mtime(self._path)

    def lasting(self, stamp: int) -> int:
        return reliable_mtime(stamp)

    def is_of_one_moment(self, files: Mapping[str, FileStat], stamp: int) -> bool:
        return all((self._path / name).exists() for name in files) and self.stamp() == stamp

    def read(self, name: str) -> tuple[bytes, FileStat]:
        return read_regular(self._path / name)

    def read_index(self, name: str = INDEX, most: int | None = None) -> Bytes:
        return read_large(self._path / name, most)

    def bring(self, names: Collection[str]) -> None:
        """Files are there already."""

    def open_shard(self, name: str) -> tuple[int, FileStat | None]:
        return os.open(self._path / name, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)), None

    def prepare(self) -> None:
        sync_folders(self._path, _LEVELS)

    def publish(self, name: str, data: bytes) -> FileStat:
        return write_whole(self._path / name, data)

    def begin(self, data: bytes) -> bool:
        if (self._path / SPEC).exists():
            return False
        write_whole(self._path / SPEC, data)
        return True

    def write(self, name: str, data: bytes) -> FileStat:
        return write_whole(self._path / name, data)

    def remove(self, name: str) -> None:
        remove(self._path / name)

    def move_aside(self, name: str) -> None:
        number, target = 1, self._path / QUARANTINE / name
        while target.exists():
            number += 1
            target = target.with_name(f"{name}.{number}")
        move(self._path / name, target)

    def clear_leftovers(self) -> int:
        return clear_leftovers(self._path)

    def remove_all(self) -> list[str]:
        """Remove the key. Killed half-way, it leaves rows that are sound."""
        names = os.listdir(self._path)
        for name in filter(INDEX_NAME.fullmatch, names):
            self.remove(name)
        for name in names:
            if SHARD_NAME.fullmatch(name) or INDEX_PART.fullmatch(name) or name.startswith(TEMPORARY):
                self.remove(name)
        self.remove(SPEC)
        for inside in (QUARANTINE, CLAIMS):
            for path in (self._path / inside).glob("*"):
                remove(path)
            with suppress(OSError):
                current_disk().remove_folder(self._path / inside)
        self.remove(USED)
        for empty in (self._path, self._path.parent):
            with suppress(OSError):
                current_disk().remove_folder(empty)
        return sorted(set(os.listdir(self._path)) - {USED, CLAIMS, QUARANTINE}) if self.exists() else []

    def claims(self) -> Claims:
        return Claims(self._path)

    def writer_lock(self) -> SharedLock:
        return SharedLock(self._path)

    def alone(self) -> AbstractContextManager[None]:
        return exclusive_lock(self._path)

    def mark_used(self) -> None:
        mark_used(self._path)

    def last_used(self) -> float:
        return last_used(self._path)


def disk_folders(cache: Path) -> list[Path]:
    """Return the folders of keys in a cache, sorted; raises StoreError if it does not exist or cannot be read."""
    if not cache.is_dir():
        raise StoreError(f"{cache}: no such folder; name it with {param('cache')}, or extract first")
    try:
        return sorted(folder for folder in cache.glob("*/*") if _holds_rows(folder))
    except OSError as error:
        raise StoreError(f"{cache}: cannot be read: {error.strerror}; choose another {param('cache')}") from error


def _holds_rows(folder: Path) -> bool:
    try:
        names = os.listdir(folder)
    except PermissionError:  # perhaps: the line of this key will say that it cannot be read
        return True
    except (FileNotFoundError, NotADirectoryError):  # pruned meanwhile, or a file that is not featstore's
        return False
    return SPEC in names or QUARANTINE in names or any(SHARD_NAME.fullmatch(name) for name in names)


def clear_leftovers(folder: Path) -> int:
    """Remove temporary files and claims of dead writers; return how many. A living writer holds a lock on its file.

    folder: any folder of the cache.
    """
    cleared = 0
    for path in [*folder.glob(f"{TEMPORARY}*"), *folder.glob(f"{CLAIMS}/*")]:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            continue
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode) and not is_locked(descriptor):
                remove(path)
                cleared += 1
        finally:
            os.close(descriptor)
    with suppress(OSError):
        current_disk().remove_folder(folder / CLAIMS)
    return cleared
