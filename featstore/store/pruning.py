"""Pruning: removing whole keys, selected by age, by name, or until the cache is small enough."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from featstore.objects.urls import Location
from featstore.store.folders import FolderLike, as_folder
from featstore.store.keys import KeyInfo


def choose_keys(
    keys: Sequence[KeyInfo],
    named: Collection[Location] | None = None,
    unused_since: float | None = None,
    most_bytes: int | None = None,
) -> list[KeyInfo]:
    """Return the keys to remove, the longest unused first.

    named: only these folders; None for all. unused_since: keys last used before it, in seconds since the epoch.
    most_bytes: further keys, until the rest of the cache fits into it. Without the last two, all keys.
    """
    candidates = sorted((key for key in keys if named is None or key.folder in named), key=lambda key: key.last_used)
    if unused_since is None and most_bytes is None:
        return candidates
    selected, left = [], sum(key.bytes for key in keys)
    for key in candidates:
        is_old = unused_since is not None and key.last_used < unused_since
        if is_old or (most_bytes is not None and left > most_bytes):
            selected.append(key)
            left -= key.bytes
    return selected


def prune_key(folder: FolderLike) -> list[str]:
    """Remove a key; return the names of files that are not featstore's, which are left with the folder.

    Raises StoreError if another process writes there. Killed half-way, it leaves rows that are sound.
    """
    folder = as_folder(folder)
    with folder.alone():
        return folder.remove_all()
