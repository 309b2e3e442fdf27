"""Verification: every shard is read and compared with its name, its key, its spec and the index.

A fault may have lost rows, or would serve wrong ones. A harmless leftover, such as the temporary file of a killed
writer, is a note.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from featstore.errors import StoreError
from featstore.objects.urls import Location
from featstore.store.folders import FolderLike, as_folder
from featstore.store.index import Index, follows, part_name
from featstore.store.index_part import ForgedIndex, Part, ShardEntry, is_intact, parse_part
from featstore.store.key_folder import KeyFolder
from featstore.store.layout import CLAIMS, INDEX, INDEX_NAME, INDEX_PART, QUARANTINE, SHARD_NAME, SPEC, USED
from featstore.store.row_shape import Shape, shape_of_rows, why_misshapen
from featstore.store.rowid import RowId, split_ids
from featstore.store.sandbox import inspect_shard
from featstore.store.shard import Contents
from featstore.store.spec_file import NewerFormat, Unreadable, key_of, read_key_file
from featstore.system.files import TEMPORARY
from featstore.system.text import count

_NOT_CHECKED = "compressed shards were not decompressed: hdf5plugin is not installed"


class Fault(NamedTuple):
    """A file of the cache, and what is wrong with it."""

    path: Location
    reason: str


@dataclass
class Findings:
    """What was found in the folder of a key.

    good: verified shards. shards: number of all shards. checked: number of those that were read. bytes: of these. bad:
    names of shards that are not sound. lost: ids of rows that the index lists and no good shard has. unknown: number
    of bad shards that the index does not list. newer: files of another version of the format. unreadable: files that
    the system refuses to read. Both of these have the reason, and are not `bad`, since they may be sound.
    """

    key_folder: KeyFolder
    key: str | None = None
    good: dict[str, tuple[ShardEntry, Contents]] = field(default_factory=dict)
    shards: int = 0
    checked: int = 0
    bytes: int = 0
    faults: list[Fault] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    lost: list[RowId] = field(default_factory=list)
    unknown: int = 0
    newer: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Location:
        """The path or the URL of the folder."""
        return self.key_folder.location

    @property
    def rows(self) -> int:
        """Rows in the shards that were checked."""
        return sum(entry.rows for entry, _ in self.good.values())

    def fault(self, path: Location, reason: str) -> None:
        self.faults.append(Fault(path, reason))


def verify_key(folder: FolderLike, share: float = 1.0, on_shard: Callable[[], None] = lambda: None) -> Findings:
    """Check the folder of a key.

    share: of the shards, chosen at random, 0 to 1; at least one is read. Others may write, compact or prune meanwhile:
    the index is read first, then the shards, until no new one appears.
    """
    folder = as_folder(folder)
    findings = Findings(folder)
    try:
        shape = _check_spec(findings)
        index = _load(findings)
        names = _list(findings)
        chosen = names if share >= 1 else sorted(random.sample(names, math.ceil(share * len(names))))
        seen = {*names}
        while chosen:
            for name in chosen:
                _check_shard(findings, name)
                on_shard()
            names = _list(findings)
            chosen = [name for name in names if name not in seen]
            seen.update(chosen)
        findings.shards = len(names)
        _check_shapes(findings, shape)
        if index is not None:
            _compare(findings, index, names, share >= 1)
        else:
            findings.unknown = len(findings.bad)
        _note_others(findings)
    except StoreError as error:
        findings.fault(folder.location, str(error).removeprefix(f"{folder}: "))
        findings.unreadable.append(str(error))
    except FileNotFoundError:
        pass
    return findings if folder.exists() else Findings(folder)


def _list(findings: Findings) -> list[str]:
    """Return the shards, sorted. Anything else with the name of a shard is a fault, reported once."""
    names = [name for name in findings.key_folder.names() if SHARD_NAME.fullmatch(name)]
    shards = list(findings.key_folder.shards())
    for name in sorted({*names} - {*shards}):
        if name not in findings.key_folder.names() or name in findings.bad:
            continue
        findings.fault(findings.folder / name, "cannot be read: not a regular file")
        findings.bad.append(name)
    return shards


def _check_spec(findings: Findings) -> Shape | None:
    """Check `spec.json` and note its key; return the shape of a row, None if it does not say or cannot be trusted."""
    path = findings.folder / SPEC
    try:
        content = read_key_file(findings.key_folder)
    except FileNotFoundError:
        findings.fault(path, "is missing")
        return None
    except StoreError as error:
        findings.fault(path, str(error).removeprefix(f"{path}: "))
        findings.newer += [str(error)] if isinstance(error, NewerFormat) else []
        findings.unreadable += [str(error)] if isinstance(error, Unreadable) else []
        return None
    key, spec = content.key, content.spec
    if key_of(spec) != key:
        findings.fault(path, f"the spec hashes to {key_of(spec)[:12]}, not to its key {key[:12]}")
        return None
    if not findings.folder.name.endswith(f"-{key[:12]}"):
        findings.fault(path, f"belongs to the key {key[:12]}, which is not that of the folder")
        return None
    findings.key = key
    return content.row_shape


def _check_shard(findings: Findings, name: str) -> None:
    path = findings.folder / name
    findings.checked += 1
    try:
        data, state = findings.key_folder.read(name)
        findings.bytes += len(data)
        contents = inspect_shard(name, data, findings.key)
        reason = _why_elsewhere(findings.folder, contents)
    except FileNotFoundError:  # compacted or pruned meanwhile
        return
    except NewerFormat as error:
        findings.newer.append(str(error))
        findings.fault(path, str(error).removeprefix(f"{name}: "))
        return
    except OSError as error:
        findings.unreadable.append(f"{path}: cannot be read: {error.strerror}; left as it is")
        findings.fault(path, f"cannot be read: {error.strerror}")
        return
    except StoreError as error:
        reason = str(error).removeprefix(f"{name}: ")
    if reason:
        findings.fault(path, reason)
        findings.bad.append(name)
        return
    if not contents.checked and _NOT_CHECKED not in findings.notes:
        findings.notes.append(_NOT_CHECKED)
    findings.good[name] = ShardEntry.of(name, state, contents), contents


def _why_elsewhere(folder: Location, contents: Contents) -> str | None:
    """Return why a sound shard does not belong into `folder`, whose key may be unknown; None if it does."""
    key = hashlib.sha256(contents.spec.encode()).hexdigest()
    if not folder.name.endswith(f"-{key[:12]}"):
        return f"its spec hashes to {key[:12]}, which is not the key of the folder"
    return None


def _check_shapes(findings: Findings, stated: Shape | None) -> None:
    """Move shards whose rows have another shape than those of the key from `good` to `bad`."""
    expected = shape_of_rows({name: entry for name, (entry, _) in findings.good.items()}, stated)
    for name, (entry, _) in list(findings.good.items()):
        if reason := why_misshapen(entry.shape, expected):
            findings.fault(findings.folder / name, reason)
            findings.bad.append(name)
            del findings.good[name]


def _load(findings: Findings) -> Index | None:
    """Return the parts of the index that count; None if it is missing, damaged, or of another version."""
    parts: list[Part] = []
    for name in map(part_name, itertools.count()):
        try:
            data, _ = findings.key_folder.read(name)
        except FileNotFoundError:
            break
        except OSError as error:
            findings.fault(findings.folder / name, f"cannot be read: {error.strerror}")
            break
        part = parse_part(data)
        if part is None and not is_intact(data):
            findings.fault(findings.folder / name, "damaged: `featstore cache repair` makes it again")
            break
        if part is None:
            findings.notes.append("the index is of another version: the next run makes it again")
            break
        if not follows(part, parts):
            findings.notes.append(f"{name} is left of an older index: the next run writes or removes it")
            break
        parts.append(part)
    return Index(parts) if parts else None


def _compare(findings: Findings, index: Index, names: list[str], whole: bool) -> None:
    """Compare index and files. An index that lacks shards is not a fault; one that is wrong or lists lost rows is."""
    path = findings.folder / INDEX
    try:
        for name, (entry, contents) in findings.good.items():
            listed = index.shards.get(name)
            if listed is not None and not _agrees(index, listed, entry, contents):
                findings.fault(path, f"does not match the contents of {name}")
        behind = sum(name not in index.shards for name in findings.good)
        if behind:
            findings.notes.append(f"{count(behind, 'shard')} not in the index yet: the next run takes them in")
        missing = [name for name in index.shards if name not in names and name not in findings.bad]
        _find_lost(findings, index, missing, whole)
    except ForgedIndex as error:
        findings.fault(path, str(error))
    findings.unknown = sum(name not in index.shards for name in findings.bad)


def _agrees(index: Index, listed: ShardEntry, entry: ShardEntry, contents: Contents) -> bool:
    same = (listed.rows, listed.dtype, listed.shape, listed.offset) == (
        entry.rows,
        entry.dtype,
        entry.shape,
        entry.offset,
    )
    return same and index.ids_of(entry.name) == contents.ids


def _find_lost(findings: Findings, index: Index, missing: list[str], whole: bool) -> None:
    """Find the rows of bad and of missing shards that no other shard has."""
    listed = [name for name in [*missing, *findings.bad] if name in index.shards]
    gone = {row for name in listed for row in split_ids(index.ids_of(name))}
    if not gone:
        return
    kept = {name: contents.ids for name, (_, contents) in findings.good.items()}
    if not whole:  # shards that were not read count as they are listed
        others = index.shards.keys() - kept.keys() - {*missing, *findings.bad}
        kept |= {name: index.ids_of(name) for name in others}
    for ids in kept.values():
        gone.difference_update(split_ids(ids))
    findings.lost = sorted(gone)
    for name in missing:
        lost = sum(row in gone for row in split_ids(index.ids_of(name)))
        if lost:
            findings.fault(findings.folder / name, f"is missing, and {lost} of its rows are nowhere else")


def _note_others(findings: Findings) -> None:
    names = findings.key_folder.names()
    known = {SPEC, USED, CLAIMS, QUARANTINE, *filter(INDEX_NAME.fullmatch, names)}
    temporary = [name for name in names if name.startswith(TEMPORARY)]
    if temporary:
        findings.notes.append(f"{count(len(temporary), 'temporary file')} of writers at work, or killed")
    ours = (SHARD_NAME, INDEX_PART)
    strange = [n for n in names if n not in {*known, *temporary} and not any(kind.fullmatch(n) for kind in ours)]
    findings.notes += [f"{name} is not a file of featstore's" for name in strange]
