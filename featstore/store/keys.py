"""The keys of a cache: which folders hold rows, of what they are, and how large they are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from featstore.errors import StoreError, UsageError, param
from featstore.objects.urls import Location
from featstore.store.folders import as_folder, folders_in
from featstore.store.key_folder import KeyFolder
from featstore.store.layout import SHARD_NAME
from featstore.store.reader import RowReader
from featstore.store.spec_file import read_key_file
from featstore.system.text import count

_DIGITS = 12  # of the key in the name of its folder


@dataclass(frozen=True)
class KeyInfo:
    """A key as it is stored.

    spec, rows: None if the key cannot be opened; `problem` then says why. bytes: of all files in the folder. last_used:
    seconds since the epoch.
    """

    folder: Location
    key: str
    spec: dict[str, Any] | None
    rows: int | None
    shards: int
    bytes: int
    last_used: float
    problem: str | None = None


def key_folders(cache: Location, keys: Sequence[str] = ()) -> list[Location]:
    """Return the folders `cache/<model>/<...-key12>` that hold a spec or shards, sorted.

    keys: only folders whose key begins with one of these. Raises StoreError if the cache does not exist or cannot be
    read, UsageError if no key begins with one of `keys`.
    """
    found = folders_in(cache)
    selected: list[Location] = []
    for key in keys:
        matching = [folder for folder in found if key and _begins(folder, key.lower())]
        if not matching:
            raise UsageError(f"{param('key', key)}: no key in {cache} begins with it; `featstore cache ls` lists them")
        selected += matching
    return [folder for folder in found if folder in selected] if keys else [*found]


def describe_key(location: Location) -> KeyInfo | None:
    """Describe the key of a folder; return None if it was pruned meanwhile.

    Shards that are not in the index are verified.
    """
    folder = as_folder(location)
    try:
        size, used = folder.size(), folder.last_used()
        try:
            rows = RowReader.open(folder)
        except StoreError as error:
            shards = sum(SHARD_NAME.fullmatch(name) is not None for name in _names(folder))
            return KeyInfo(location, _short_key(location), None, None, shards, size, used, str(error))
        if not rows.is_index_saved:
            with suppress(StoreError), folder.alone():  # what was verified now need not be verified again
                rows.save_index()
    except FileNotFoundError:
        return None
    problem = f"{folder}: {count(len(rows.damaged), 'damaged shard')}" if rows.damaged else None
    spec = None if rows.key_file is None else dict(rows.key_file.spec)
    return KeyInfo(location, rows.key, spec, len(rows), len(rows.shards), size, used, problem)


def _names(folder: KeyFolder) -> list[str]:
    with suppress(PermissionError):
        return folder.names()
    return []


def _begins(folder: Location, key: str) -> bool:
    """Whether the key of the folder begins with `key`. The name of the folder has twelve digits of it."""
    if len(key) <= _DIGITS:
        return _short_key(folder).startswith(key)
    with suppress(StoreError, FileNotFoundError):
        return read_key_file(as_folder(folder)).key.startswith(key)
    return False


def _short_key(folder: Location) -> str:
    """Return the first twelve digits of the key, from the name of the folder."""
    return folder.name.rpartition("-")[2]
