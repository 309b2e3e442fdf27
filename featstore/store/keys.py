"""The keys of a cache: which folders hold rows, what they are, and how large."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featstore.errors import StoreError, UsageError, param
from featstore.store.layout import QUARANTINE, SHARD_NAME, SPEC
from featstore.store.locks import alone, last_used
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import read_key_file
from featstore.system.text import count

_DIGITS = 12  # of the key in the name of its folder


@dataclass(frozen=True)
class KeyInfo:
    """A key as it is on disk. `spec` is None, with a `problem`, where it cannot be opened; rows are then unknown.

    bytes: all files of the folder. last_used: seconds since the epoch.
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
    """The folders `cache/<model>/<...-key12>` that hold a spec or shards, sorted; with `keys`, those that they begin.

    Raises StoreError where there is no cache, UsageError for a beginning of a key that fits none.
    """
    if not cache.is_dir():
        raise StoreError(f"{cache}: no such folder; name it with {param('cache')}, or extract first")
    try:
        found = sorted(folder for folder in cache.glob("*/*") if _holds_rows(folder))
    except OSError as error:
        raise StoreError(f"{cache}: cannot be read: {error.strerror}; choose another {param('cache')}") from error
    chosen: list[Path] = []
    for key in keys:
        fitting = [folder for folder in found if key and _begins(folder, key.lower())]
        if not fitting:
            raise UsageError(f"{param('key', key)}: no key in {cache} begins so; `featstore cache ls` lists them")
        chosen += fitting
    return sorted(set(chosen)) if keys else found


def open_key(folder: Path) -> RowStore:
    """The store of a key's folder as it is, to be looked at; raises StoreError if its spec cannot be read."""
    spec = _read_spec(folder)
    return RowStore(folder, spec["key"], json.dumps(spec["spec"], sort_keys=True, separators=(",", ":")), dict)


def describe_key(folder: Path) -> KeyInfo | None:
    """What is in the folder of a key; None if it was pruned meanwhile.

    Shards that the index does not know are verified for it.
    """
    try:
        size, used = _size(folder), last_used(folder)
        try:
            spec = _read_spec(folder)["spec"]
            store = open_key(folder)
        except StoreError as error:
            shards = sum(SHARD_NAME.fullmatch(name) is not None for name in _names(folder))
            return KeyInfo(folder, _short_key(folder), None, None, shards, size, used, str(error))
        with suppress(StoreError), alone(folder):  # what was verified now need not be verified again
            store.save_index()
    except FileNotFoundError:
        return None
    problem = f"{folder}: {count(len(store.damaged), 'damaged shard')}" if store.damaged else None
    return KeyInfo(folder, store.key, spec, len(store), len(store.shards), size, used, problem)


def _read_spec(folder: Path) -> dict[str, Any]:
    try:
        return read_key_file(folder / SPEC)
    except FileNotFoundError as error:
        raise StoreError(f"{folder / SPEC}: is missing; `featstore cache repair` makes it from a shard") from error


def _holds_rows(folder: Path) -> bool:
    try:
        names = os.listdir(folder)
    except PermissionError:  # it may: its line will say so
        return True
    except (FileNotFoundError, NotADirectoryError):  # pruned meanwhile, or a file of somebody's
        return False
    return SPEC in names or QUARANTINE in names or any(SHARD_NAME.fullmatch(name) for name in names)


def _names(folder: Path) -> list[str]:
    with suppress(PermissionError):
        return os.listdir(folder)
    return []


def _begins(folder: Path, key: str) -> bool:
    """Whether the key of the folder begins with `key`, of which the folder's name has twelve digits."""
    if len(key) <= _DIGITS:
        return _short_key(folder).startswith(key)
    with suppress(StoreError):
        return str(_read_spec(folder)["key"]).startswith(key)
    return False


def _short_key(folder: Path) -> str:
    """The first twelve digits of the key, from the folder's name."""
    return folder.name.rpartition("-")[2]


def _size(folder: Path) -> int:
    """Bytes of all files; those that go meanwhile are not counted."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError, PermissionError):
            info = path.lstat()
            size += info.st_size if stat.S_ISREG(info.st_mode) else 0
    return size
