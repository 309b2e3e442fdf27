"""The folder of a key seen from outside: the files with the name of a shard, and when one came or went."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from featstore.errors import StoreError, param
from featstore.store.layout import SHARD_NAME
from featstore.system.files import FileStat

_TICK_NS = 20_000_000


def list_shards(folder: Path) -> dict[str, FileStat]:
    """Return the state of each file with the name of a shard, in the order of the names; {} if the folder is missing.

    Raises StoreError for a folder that cannot be read.
    """
    found = {}
    try:
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for name in sorted(e.name for e in entries if SHARD_NAME.fullmatch(e.name) and e.is_file()):
                with suppress(FileNotFoundError):  # pruned meanwhile
                    found[name] = FileStat.of(os.stat(folder / name))
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read: {error.strerror}; choose another {param('cache')}") from error
    return found


def folder_mtime(folder: Path) -> int:
    """Return when a name in the folder last changed, in ns; 0 if the folder is missing."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def reliable_mtime(mtime: int) -> int:
    """Return `mtime` (ns) if any later change has another time, else -1: some clocks tick every 4 ms."""
    return mtime if time.time_ns() - mtime > _TICK_NS else -1
