"""What the folder of a key shows from outside: the files that are named like shards, and when one came or went."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from featstore.errors import StoreError, param
from featstore.store.index import State, file_state
from featstore.store.layout import SHARD_NAME

_TICK_NS = 20_000_000


def list_shards(folder: Path) -> dict[str, State]:
    """The state of each file that is named like a shard, in the order of the names; none if there is no folder.

    Raises StoreError for a folder that cannot be read.
    """
    found = {}
    try:
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for name in sorted(e.name for e in entries if SHARD_NAME.fullmatch(e.name) and e.is_file()):
                with suppress(FileNotFoundError):  # somebody pruned
                    found[name] = file_state(os.stat(folder / name))
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read: {error.strerror}; choose another {param('cache')}") from error
    return found


def last_change(folder: Path) -> int:
    """When a name in the folder was changed last, in ns; 0 where there is none."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def settled(changed: int) -> int:
    """`changed`, in ns, if that is so long ago that a later change has another time: some clocks tick every 4 ms."""
    return changed if time.time_ns() - changed > _TICK_NS else -1
