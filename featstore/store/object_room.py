"""The room that copies of shards take on this machine, of all caches on object storage together.

The sizes of all copies are added up now and then, not for each: other processes make copies at the same time, so the
sum is never exact. It is exceeded by a sixteenth for each process that fetches.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from featstore.errors import UsageError
from featstore.objects.local import local_root
from featstore.store.layout import SHARD_NAME
from featstore.system.fork_lock import ForkLock

VARIABLE = "FEATSTORE_LOCAL_GB"
DEFAULT_GB = 20
_LOOKS = 16  # at all copies, while this process fetches as many bytes as may be kept
_KEPT = 0.9  # of what may be kept stays when room is made, so that it need not be made for each shard

_lock = ForkLock()
_fetched: dict[Path, int] = {}  # bytes since the last look, by the folder of all copies


class _Copy(NamedTuple):
    used_ns: int
    size: int
    path: str


def most_bytes() -> int:
    """Return how many bytes the copies may take; raises UsageError if the variable is not a number."""
    text = os.environ.get(VARIABLE, "")
    try:
        gigabytes = float(text or DEFAULT_GB)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < float("inf"):
        raise UsageError(f"{VARIABLE}={text}: expected a number of gigabytes, as in {VARIABLE}={DEFAULT_GB}")
    return int(gigabytes * 1e9)


def make_room(size: int) -> None:
    """Remove copies, the longest unused ones first, until another of `size` bytes fits in."""
    most, root = most_bytes(), local_root()
    with _lock:
        _fetched[root] = _fetched.get(root, most) + size
        if _fetched[root] < most / _LOOKS:
            return
        _fetched[root] = 0
    copies = sorted(_copies(root))
    total = size + sum(copy.size for copy in copies)
    if total <= most:
        return
    for copy in copies:
        if total <= most * _KEPT:
            break
        with suppress(OSError):
            os.unlink(copy.path)
        total -= copy.size


def _copies(root: Path) -> Iterator[_Copy]:
    """Yield the copies of all keys of all caches."""
    for folder in root.glob("*/*/*"):
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if SHARD_NAME.fullmatch(entry.name):
                    with suppress(OSError):
                        info = entry.stat(follow_symlinks=False)
                        yield _Copy(info.st_atime_ns, info.st_size, entry.path)
