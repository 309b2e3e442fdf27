"""A key as it stands in a cache, with rows that are known by their numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from featstore.objects.urls import Url
from featstore.store.rowid import RowId, row_id
from featstore.store.rowstore import RowStore
from featstore.store.shard import build_shard

SPEC = {"dtype": "float16", "layer": "last", "pool": "avg", "reading": {"size": [32, 32]}}
VERSIONS = {"featstore-keras": "0.1.0"}
_Place = TypeVar("_Place", Path, Url)


def text_of(spec: dict[str, object]) -> str:
    return json.dumps(spec, sort_keys=True, separators=(",", ":"))


def key_of(spec: dict[str, object]) -> str:
    return hashlib.sha256(text_of(spec).encode()).hexdigest()


def folder_of(cache: _Place, spec: dict[str, object] = SPEC) -> _Place:
    return cache / "tiny" / f"tf-32-{key_of(spec)[:12]}"


def open_key(cache: Path | Url, spec: dict[str, object] = SPEC) -> RowStore:
    return RowStore(folder_of(cache, spec), key_of(spec), text_of(spec), lambda: VERSIONS)


def put(store: RowStore, ids: Sequence[RowId], rows: np.ndarray) -> None:
    """Store rows as a writer does that is killed afterwards: the index on disk is not brought up to date."""
    store.writing().append(ids, rows)


def save(store: RowStore) -> None:
    """Bring the index on disk up to date, as every writer does when it is closed."""
    with store.writing():
        pass


def ids(*numbers: int) -> list[RowId]:
    """Ids that are spread as digests are."""
    return [row_id(hashlib.sha256(str(n).encode()).hexdigest()) for n in numbers]


def rows(*numbers: int) -> np.ndarray:
    return np.array([[n, -n, 0.5] for n in numbers], np.float16).reshape(-1, 3)


def filled(cache: Path, shards: int = 3, each: int = 2, spec: dict[str, object] = SPEC) -> Path:
    """The folder of a key with rows 0, 1, 2, ... in several shards, and its index."""
    store = open_key(cache, spec)
    for first in range(0, shards * each, each):
        put(store, ids(*range(first, first + each)), rows(*range(first, first + each)))
    save(store)
    return folder_of(cache, spec)


def shard_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("s-*.h5"))


def put_shard(folder: Path, numbers: list[int], values: np.ndarray, spec: dict[str, object] = SPEC) -> Path:
    """A shard that is as it should be by its name, with whatever is in it."""
    name, data = build_shard(key_of(spec), text_of(spec), VERSIONS, ids(*numbers), values)
    (folder / name).write_bytes(data)
    return folder / name
