"""Copies of shards of object storage on this machine: whole shards, each compared with its digest.

A part of a shard could not be compared with anything, and takes hardly less time to fetch. A copy gets its name once it
is sound. It may be damaged later, so a process compares it once more when it first opens it, and fetches it again if it
is. Several processes share the copies. They take no more than $FEATSTORE_LOCAL_GB; those that were opened last stay.
One that is removed while it is open can be read to its end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from featstore.errors import StoreError, UsageError
from featstore.store.layout import shard_name
from featstore.store.object_room import make_room, most_bytes
from featstore.system.files import FileStat, write_whole
from featstore.system.fork_lock import ForkLock

_ATTEMPTS = 3
THREADS = 8  # that fetch at the same time, each a shard of 16 MB and more

Fetch = Callable[[str], bytes]  # takes the name of a shard; raises OSError


class DamagedShard(StoreError):
    """A shard whose bytes, where they are stored, do not match its name."""


class Copies:
    """The copies of the shards of one key. Threads may share it. folder: where they are. fetch: gets a shard."""

    def __init__(self, folder: Path, fetch: Fetch) -> None:
        self._folder = folder
        self._fetch = fetch
        self._sound: dict[str, FileStat] = {}  # the copies that this process has compared
        self._lock = ForkLock()
        self._turns: dict[str, ForkLock] = {}

    def bring(self, shards: Iterable[tuple[str, int]]) -> None:
        """Fetch the shards that are not here, several at once; `shards` has names and bytes.

        No more than half of what may be kept: more would drive each other out before they are opened. Errors are left
        to `open`.
        """
        wanted, room = list[str](), most_bytes() // 2
        for name, size in shards:
            if not (self._folder / name).exists() and (room := room - size) >= 0:
                wanted.append(name)
        if len(wanted) > 1:
            with ThreadPoolExecutor(min(THREADS, len(wanted)), "featstore-shards") as threads:
                for _ in threads.map(self._bring, wanted):
                    pass

    def open(self, name: str) -> tuple[int, FileStat]:
        """Return the descriptor of a copy, and the state in which it was found sound.

        Raises OSError if it cannot be fetched, DamagedShard if its object is damaged, UsageError if no copy can be
        kept.
        """
        with self._turn(name):
            for _ in range(_ATTEMPTS):  # another process may make room meanwhile
                opened = self._open_sound(name)
                if opened is not None:
                    return opened
                data = self._fetch_sound(name)
                try:
                    self._keep(name, data)
                except StoreError as error:  # of this machine: nothing is wrong with the shard
                    raise UsageError(f"{error}, or name a folder for copies of shards by $FEATSTORE_LOCAL") from error
        raise UsageError(
            f"{self._folder / name}: is damaged or gone each time that it was written: check the disk, or "
            "name another folder for copies of shards by $FEATSTORE_LOCAL"
        )

    def keep(self, name: str, data: bytes) -> None:
        """Keep a shard that was just written, since it is often read next."""
        with suppress(StoreError), self._turn(name):
            self._keep(name, data)

    def forget(self, name: str) -> None:
        """Remove the copy of a shard that is gone."""
        with suppress(OSError):
            (self._folder / name).unlink()

    def _turn(self, name: str) -> ForkLock:
        """Return the lock of a name: of two threads that want a shard one fetches it."""
        with self._lock:
            return self._turns.setdefault(name, ForkLock())

    def _bring(self, name: str) -> None:
        with suppress(OSError, StoreError), self._turn(name):
            if not (self._folder / name).exists():
                self._keep(name, self._fetch_sound(name))

    def _fetch_sound(self, name: str) -> bytes:
        """Return the bytes of a shard. What comes damaged is fetched once more: it may be the way here that damaged it.

        Raises OSError, and DamagedShard.
        """
        for _ in range(2):
            data = self._fetch(name)
            if shard_name(data) == name:
                return data
        raise DamagedShard(f"{name}: the bytes do not match the name: damaged")

    def _keep(self, name: str, data: bytes) -> None:
        make_room(len(data))
        write_whole(self._folder / name, data)

    def _open_sound(self, name: str) -> tuple[int, FileStat] | None:
        """Return the open copy and its state; None if there is none, or if it is damaged."""
        path = self._folder / name
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            return None
        try:
            state = FileStat.of(os.fstat(descriptor))._replace(ctime_ns=0)  # changes when it is removed, or used
            if self._sound.get(name) != state:
                with open(os.dup(descriptor), "rb") as file:
                    if shard_name(file.read()) != name:
                        raise StoreError(f"{path}: damaged")
                os.lseek(descriptor, 0, os.SEEK_SET)
                self._sound[name] = state
            with suppress(OSError):
                os.utime(path, ns=(time.time_ns(), state.mtime_ns))  # it was used now
            return descriptor, state
        except (OSError, StoreError):
            os.close(descriptor)
            return None
