"""Repair: bad files are moved aside, leftovers of dead writers are removed, and derived files are made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from featstore.errors import StoreError
from featstore.store.folders import FolderLike, as_folder
from featstore.store.index import Index, save_index
from featstore.store.layout import SPEC
from featstore.store.spec_file import KeyFile, spec_path
from featstore.store.verify import Findings, verify_key


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


def repair_key(folder: FolderLike, on_shard: Callable[[], None] = lambda: None) -> Repaired:
    """Repair the folder of a key; raises StoreError if another process uses it. Only leftovers are removed."""
    folder = as_folder(folder)
    with folder.alone():
        findings = verify_key(folder, on_shard=on_shard)
        if findings.newer:
            raise StoreError(f"{folder}: {findings.newer[0]}; nothing was changed")
        quarantined, unmended = list(findings.bad), list(findings.unreadable)
        for name in findings.bad:
            folder.move_aside(name)
        key_file = None
        if findings.key is None and not any(spec_path(folder) in reason for reason in findings.unreadable):
            quarantined += [SPEC] if findings.good and SPEC in folder.names() else []
            key_file = _restore_spec(findings)
        if findings.key is None and key_file is None and not unmended:
            spec = spec_path(folder)
            unmended.append(f"{spec}: no good shard to make it from; `featstore cache prune` removes the key")
        shards = {name: entry for name, (entry, _) in findings.good.items()}
        index = Index().with_shards(shards, {name: found.ids for name, (_, found) in findings.good.items()})
        save_index(folder, index)
        restored = key_file is not None
        canary_lost = key_file is not None and key_file.canary is None
        cleared = folder.clear_leftovers()
        return Repaired(findings, tuple(quarantined), cleared, restored, canary_lost, tuple(unmended))


def _restore_spec(findings: Findings) -> KeyFile | None:
    """Make `spec.json` from the attributes of a shard. These have no canary: that of the old file is kept.

    All good shards have rows of one shape.
    """
    folder = findings.key_folder
    if not findings.good:
        return None
    entry, contents = findings.good[min(findings.good)]
    key = hashlib.sha256(contents.spec.encode()).hexdigest()
    canary = None
    if SPEC in folder.names():
        with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
            canary = json.loads(folder.read(SPEC)[0]).get("canary")
        folder.move_aside(SPEC)
    spec, versions = json.loads(contents.spec), json.loads(contents.versions)
    kept = canary if isinstance(canary, dict) else None
    key_file = KeyFile(key=key, spec=spec, versions=versions, row_shape=entry.shape, canary=kept)
    folder.write(SPEC, key_file.to_bytes())
    return key_file
