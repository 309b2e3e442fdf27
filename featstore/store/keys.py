"""The keys of a cache: which folders hold rows, of what they are, and how large they are."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featstore.errors import StoreError, UsageError, param
from featstore.store.layout import QUARANTINE, SHARD_NAME, SPEC
from featstore.store.locks import exclusive_lock, last_used
from featstore.store.reader import RowReader
from featstore.store.spec_file import read_key_file
from featstore.system.text import count

_DIGITS = 12  # of the key in the name of its folder


@dataclass(frozen=True)
class KeyInfo:
    """A key as it is on disk.

    spec, rows: None if the key cannot be opened; `problem` then says why. bytes: of all files in the folder. last_used:
    seconds since the epoch.
    """

    folder: Path
    key: str
    spec: dict[str, Any] | None
    rows: int | None
    shards: int
    bytes: int
    last_used: float
    problem: str | None = None


def key_folders(cache: Path, keys: Sequence[str] = ()) -> list[Path]:
    """Return the folders `cache/<model>/<...-key12>` that hold a spec or shards, sorted.

    keys: only folders whose key begins with one of these. Raises StoreError if the cache does not exist or cannot be
    read, UsageError if no key begins with one of `keys`.
    """
    if not cache.is_dir():
        raise StoreError(f"{cache}: no such folder; name it with {param('cache')}, or extract first")
    try:
        found = sorted(folder for folder in cache.glob("*/*") if _holds_rows(folder))
    except OSError as error:
        raise StoreError(f"{cache}: cannot be read: {error.strerror}; choose another {param('cache')}") from error
    selected: list[Path] = []
    for key in keys:
        matching = [folder for folder in found if key and _begins(folder, key.lower())]
        if not matching:
            raise UsageError(f"{param('key', key)}: no key in {cache} begins with it; `featstore cache ls` lists them")
        selected += matching
    return sorted(set(selected)) if keys else found


def describe_key(folder: Path) -> KeyInfo | None:
    """Describe the key of a folder; return None if it was pruned meanwhile.

    Shards that are not in the index are verified.
    """
    try:
        size, used = _size(folder), last_used(folder)
        try:
            rows = RowReader.open(folder)
        except StoreError as error:
            shards = sum(SHARD_NAME.fullmatch(name) is not None for name in _names(folder))
            return KeyInfo(folder, _short_key(folder), None, None, shards, size, used, str(error))
        with suppress(StoreError), exclusive_lock(folder):  # what was verified now need not be verified again
            rows.save_index()
    except FileNotFoundError:
        return None
    problem = f"{folder}: {count(len(rows.damaged), 'damaged shard')}" if rows.damaged else None
    spec = None if rows.key_file is None else dict(rows.key_file.spec)
    return KeyInfo(folder, rows.key, spec, len(rows), len(rows.shards), size, used, problem)


def _holds_rows(folder: Path) -> bool:
    try:
        names = os.listdir(folder)
    except PermissionError:  # perhaps: the line of this key will say that it cannot be read
        return True
    except (FileNotFoundError, NotADirectoryError):  # pruned meanwhile, or a file that is not featstore's
        return False
    return SPEC in names or QUARANTINE in names or any(SHARD_NAME.fullmatch(name) for name in names)


def _names(folder: Path) -> list[str]:
    with suppress(PermissionError):
        return os.listdir(folder)
    return []


def _begins(folder: Path, key: str) -> bool:
    """Whether the key of the folder begins with `key`. The name of the folder has twelve digits of it."""
    if len(key) <= _DIGITS:
        return _short_key(folder).startswith(key)
    with suppress(StoreError, FileNotFoundError):
        return read_key_file(folder / SPEC).key.startswith(key)
    return False


def _short_key(folder: Path) -> str:
    """Return the first twelve digits of the key, from the name of the folder."""
    return folder.name.rpartition("-")[2]


def _size(folder: Path) -> int:
    """Return the bytes of all files. Files that are removed meanwhile are not counted."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError, PermissionError):
            info = path.lstat()
            size += info.st_size if stat.S_ISREG(info.st_mode) else 0
    return size
