"""Repair: bad files are moved aside, leftovers of dead writers are removed, and derived files are made again."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from featstore.errors import StoreError
from featstore.store.claims import is_locked
from featstore.store.index import empty_index, save_index
from featstore.store.layout import CLAIMS, INDEX, QUARANTINE, SPEC
from featstore.store.locks import exclusive_lock
from featstore.store.spec_file import KeyFile
from featstore.store.verify import Findings, verify_key
from featstore.system.disk import current_disk
from featstore.system.files import TEMPORARY, move, read_regular, remove


@dataclass(frozen=True)
class Repaired:
    """What a repair found and did.

    quarantined: names of files that were moved to `quarantine/`. cleared: number of leftovers that were removed.
    restored: whether `spec.json` was made again. canary_lost: whether that was without a canary. unmended: a line for
    each fault that remains.
    """

    findings: Findings
    quarantined: tuple[str, ...]
    cleared: int
    restored: bool
    canary_lost: bool
    unmended: tuple[str, ...]


def repair_key(folder: Path, on_shard: Callable[[], None] = lambda: None) -> Repaired:
    """Repair the folder of a key; raises StoreError if another process uses it. Only leftovers are removed."""
    with exclusive_lock(folder):
        findings = verify_key(folder, on_shard=on_shard)
        if findings.newer:
            raise StoreError(f"{folder}: {findings.newer[0]}; nothing was changed")
        quarantined, unmended = list(findings.bad), list(findings.unreadable)
        for name in findings.bad:
            _move_aside(folder, name)
        key_file = None
        if findings.key is None and not any(str(folder / SPEC) in reason for reason in findings.unreadable):
            quarantined += [SPEC] if findings.good and (folder / SPEC).exists() else []
            key_file = _restore_spec(findings)
        if findings.key is None and key_file is None and not unmended:
            unmended.append(f"{folder / SPEC}: no good shard to make it from; `featstore cache prune` removes the key")
        shards = {name: entry for name, (entry, _) in findings.good.items()}
        index = empty_index().with_shards(shards, {name: found.ids for name, (_, found) in findings.good.items()})
        save_index(folder / INDEX, index)
        restored = key_file is not None
        canary_lost = key_file is not None and key_file.canary is None
        cleared = clear_leftovers(folder)
        return Repaired(findings, tuple(quarantined), cleared, restored, canary_lost, tuple(unmended))


def _move_aside(folder: Path, name: str) -> None:
    """Move a file into the quarantine, under a name that is free there."""
    number, target = 1, folder / QUARANTINE / name
    while target.exists():
        number += 1
        target = target.with_name(f"{name}.{number}")
    move(folder / name, target)


def _restore_spec(findings: Findings) -> KeyFile | None:
    """Make `spec.json` from the attributes of a shard. These have no canary: that of the old file is kept.

    All good shards have rows of one shape.
    """
    folder = findings.folder
    if not findings.good:
        return None
    entry, contents = findings.good[min(findings.good)]
    key = hashlib.sha256(contents.spec.encode()).hexdigest()
    canary = None
    if (folder / SPEC).exists():
        with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
            canary = json.loads(read_regular(folder / SPEC)[0]).get("canary")
        _move_aside(folder, SPEC)
    spec, versions = json.loads(contents.spec), json.loads(contents.versions)
    kept = canary if isinstance(canary, dict) else None
    key_file = KeyFile(key=key, spec=spec, versions=versions, row_shape=entry.shape, canary=kept)
    key_file.write(folder / SPEC)
    return key_file


def clear_leftovers(folder: Path) -> int:
    """Remove temporary files and claims of dead writers; return how many. A living writer holds a lock on its file.

    folder: any folder of the cache.
    """
    cleared = 0
    for path in [*folder.glob(f"{TEMPORARY}*"), *folder.glob(f"{CLAIMS}/*")]:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            continue
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode) and not is_locked(descriptor):
                remove(path)
                cleared += 1
        finally:
            os.close(descriptor)
    with suppress(OSError):
        current_disk().remove_folder(folder / CLAIMS)
    return cleared
