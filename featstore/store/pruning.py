"""Pruning: removing whole keys, selected by age, by name, or until the cache is small enough."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from featstore.store.keys import KeyInfo
from featstore.store.layout import CLAIMS, INDEX, QUARANTINE, SHARD_NAME, SPEC, USED
from featstore.store.locks import exclusive_lock
from featstore.system.disk import current_disk
from featstore.system.files import TEMPORARY, remove


def choose_keys(
    keys: Sequence[KeyInfo],
    named: Collection[Path] | None = None,
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


def prune_key(folder: Path) -> list[str]:
    """Remove a key; return the names of files that are not featstore's, which are left with the folder.

    Raises StoreError if another process writes there. Killed half-way, it leaves rows that are sound.
    """
    with exclusive_lock(folder):
        names = os.listdir(folder)
        remove(folder / INDEX)
        for name in names:
            if SHARD_NAME.fullmatch(name) or name.startswith(TEMPORARY):
                remove(folder / name)
        remove(folder / SPEC)
        for inside in (QUARANTINE, CLAIMS):
            for path in (folder / inside).glob("*"):
                remove(path)
            with suppress(OSError):
                current_disk().remove_folder(folder / inside)
        remove(folder / USED)
    for empty in (folder, folder.parent):
        with suppress(OSError):
            current_disk().remove_folder(empty)
    return sorted(set(os.listdir(folder)) - {USED, CLAIMS, QUARANTINE}) if folder.is_dir() else []
