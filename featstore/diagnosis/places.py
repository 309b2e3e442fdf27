"""The folders that matter: the cache, and the one in which Keras keeps ImageNet weights."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from featstore.bases.catalog import BASES, is_published
from featstore.bases.whereabouts import keras_models
from featstore.diagnosis.topic import Problem, Topic, gigabytes
from featstore.errors import FeatstoreError, StoreError, param
from featstore.objects.caches import local_of
from featstore.objects.urls import Location, Url
from featstore.store.keys import key_folders
from featstore.store.layout import SHARD_BYTES
from featstore.system.mounts import file_system, is_on_network
from featstore.system.text import count, listed

_ENOUGH_DISK = 1e9  # bytes: 180,000 rows of 2,048 numbers, or 20,000 maps of 7x7x512
_IN_MEMORY = ("tmpfs", "ramfs")


def look_at_cache(cache: Location) -> Topic:
    """Return what is known of the cache and its disk. Nothing is written."""
    return _look_at_bucket(cache) if isinstance(cache, Url) else _look_at_folder(cache)


def _look_at_bucket(cache: Url) -> Topic:
    """Return what is known of a cache on object storage, and of the disk with the copies of its shards."""
    copies = local_of(cache)
    free = shutil.disk_usage(existing(copies)).free
    facts: dict[str, Any] = {"path": str(cache), "local": str(copies), "free": free}
    problems = []
    try:
        facts["keys"] = len(key_folders(cache))
        holds = count(facts["keys"], "key")
    except FeatstoreError as error:
        holds = "which cannot be listed"
        problems.append(Problem(str(error), fails=True))
    text = f"{cache}, {holds}; copies of its shards in {copies}, with {gigabytes(free)} free"
    return Topic("cache", text, facts, tuple(problems))


def _look_at_folder(folder: Path) -> Topic:
    place = existing(folder)
    kind, free = file_system(place), shutil.disk_usage(place).free
    writable = os.access(place, os.W_OK | os.X_OK)
    keys = 0
    with suppress(StoreError):
        keys = len(key_folders(folder))
    holds = count(keys, "key") if folder.is_dir() else "not made yet"
    disk = f"{kind} (another machine's disk: safe to share, slower)" if kind and is_on_network(kind) else kind
    text = f"{folder}, {holds}, on {disk or 'an unknown file system'} with {gigabytes(free)} free"
    facts = {
        "path": str(folder),
        "exists": folder.is_dir(),
        "keys": keys,
        "file_system": kind,
        "free": free,
        "writable": writable,
    }
    return Topic("cache", text, facts, tuple(_problems_of(folder, place, kind, free, writable)))


def find_weights() -> Topic:
    """Return the bases whose ImageNet weights are there."""
    folder = keras_models()
    files: dict[str, list[str]] = defaultdict(list)
    with suppress(OSError):
        for file in sorted(folder.iterdir()):
            for info in BASES.values():
                if is_published(info, file.name) and "top" in file.name:
                    files[info.name].append(file.name)
    text = f"{folder} has those of {listed(list(files), 8)}" if files else f"{folder} has none; Keras downloads them"
    return Topic("ImageNet weights", text, {"path": str(folder), "weights_files": dict(files)})


def existing(folder: Path) -> Path:
    """Return the folder, or the one in which it would be made."""
    absolute = folder.absolute()
    return next(place for place in (absolute, *absolute.parents) if place.is_dir())


def _problems_of(folder: Path, place: Path, kind: str | None, free: int, writable: bool) -> Iterator[Problem]:
    elsewhere = f"choose another folder with {param('cache')} or $FEATSTORE_CACHE"
    if not writable:
        yield Problem(f"{place}: features cannot be stored, since you may not write there: {elsewhere}", fails=True)
    if free < _ENOUGH_DISK:
        yield Problem(
            f"{place}: {free / 1e6:.0f} MB are free: make room, or {elsewhere}; `featstore cache prune` removes what "
            "was not used for long",
            fails=free < SHARD_BYTES,
        )
    if kind in _IN_MEMORY:
        yield Problem(f"{folder}: is on {kind}, in memory, and lost when the machine stops: {elsewhere}")
    elif kind == "overlay":
        yield Problem(
            f"{folder}: is on the disk of a container, and lost with it: mount a folder there, or {elsewhere}"
        )
