"""A model of power loss: what was not synced is dropped, in any combination, at any moment.

A disk notes every operation. For a loss of power after each of them, the states are made that the disk may then be in:
the content of a file that was not synced may be whole, empty, zeros or half; each change of a name in a folder that was
not synced since may have happened or not. A new process opens each state.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.errors import StoreError
from featstore.store import claims, sandbox
from featstore.store.compaction import compact_key
from featstore.store.pruning import prune_key
from featstore.store.repair import repair_key
from featstore.store.rowid import RowId, row_id
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from featstore.system.disk import use_disk
from featstore.system.files import TEMPORARY
from helpers.disks import DecoratedDisk, HastyDisk

SPEC_JSON = "{}"
KEY = key_of({})
FOLDER = Path("cache") / "model" / f"variant-{KEY[:12]}"

Names = dict[Path, "File | None"]  # a path is a file or, with None, a folder
State = dict[Path, bytes | None]


GONE = "gone"


@dataclass(eq=False)
class File:
    """What is in a file, and what of it was synced; None: nothing."""

    data: bytes = b""
    synced: bytes | None = None

    def contents(self) -> list[bytes]:
        """What may be found in it after a loss of power."""
        if self.synced == self.data:
            return [self.data]
        return [*dict.fromkeys([self.data, b"", bytes(len(self.data)), self.data[: len(self.data) // 2]])]


@dataclass
class Change:
    """Of names, in one step: to a file, to a folder (None), or to nothing. To sync one of the folders is enough."""

    names: dict[Path, File | str | None]

    @property
    def folders(self) -> set[Path]:
        return {path.parent for path in self.names}


@dataclass
class PowerLoss:
    """The states that a disk may be in, from the operations on it."""

    durable: Names
    names: Names = field(init=False)
    pending: list[Change] = field(default_factory=list)
    open: dict[int, File] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = dict(self.durable)

    def note(self, operation: str, arguments: tuple[Any, ...], result: Any) -> None:
        """An operation was done."""
        first = arguments[0]
        if isinstance(first, int):
            self._note_content(operation, *arguments, result)
        elif operation == "create":
            self.open[result] = File()
            self._change({first: self.open[result]})
        elif operation == "rename":
            self._change({first: GONE, arguments[1]: self.names[first]})
        elif operation == "make_folder":
            self._change({first: None})
        elif operation in ("remove", "remove_folder"):
            self._change({first: GONE})
        elif operation == "sync_folder":
            for change in self.pending:
                if first in change.folders:
                    _apply(change, self.durable)
            self.pending = [change for change in self.pending if first not in change.folders]

    def _note_content(self, operation: str, descriptor: int, *rest: Any) -> None:
        file = self.open[descriptor]
        if operation == "write":
            data, count = rest
            file.data += data[:count]
        elif operation == "sync":
            file.synced = file.data
        elif operation == "close":
            del self.open[descriptor]

    def states(self, draw: random.Random, most: int) -> Iterator[State]:
        """All states that may be found if the power is lost now; where they are more than `most`, some are drawn."""
        files = {file for file in [*self.names.values(), *self.durable.values()] if file is not None}
        if 2 ** len(self.pending) * math.prod(len(file.contents()) for file in files) > most:
            for _ in range(most // 16):
                names = self._names([draw.random() < 0.5 for _ in self.pending])
                yield {path: None if file is None else draw.choice(file.contents()) for path, file in names.items()}
            return
        for happened in itertools.product([True, False], repeat=len(self.pending)):
            names = self._names(happened)
            files = [path for path, file in names.items() if file is not None]
            for contents in itertools.product(*((names[path] or File()).contents() for path in files)):
                yield dict.fromkeys(names) | dict(zip(files, contents, strict=True))

    def _change(self, names: dict[Path, File | str | None]) -> None:
        change = Change(names)
        self.pending.append(change)
        _apply(change, self.names)

    def _names(self, happened: Any) -> Names:
        """What can be reached if only these of the pending changes have happened."""
        names = dict(self.durable)
        for change, done in zip(self.pending, happened, strict=True):
            if done:
                _apply(change, names)
        return {path: file for path, file in names.items() if all(p in names for p in path.parents if p.parts)}


def _apply(change: Change, names: Names) -> None:
    for path, to in change.names.items():
        names.pop(path, None)
        if not isinstance(to, str):
            names[path] = to


class NotedDisk(DecoratedDisk):
    """The real disk below a folder, with a note of each operation, by paths in that folder."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.notes: list[tuple[str, tuple[Any, ...], Any]] = []
        self.before: Names = {
            path.relative_to(root): File(path.read_bytes(), path.read_bytes()) if path.is_file() else None
            for path in root.rglob("*")
        }

    def perform(self, operation: str, *arguments: Any) -> Any:
        done = super().perform(operation, *arguments)
        inside = tuple(a.relative_to(self.root) if isinstance(a, Path) else a for a in arguments)
        self.notes.append((operation, tuple(bytes(a) if isinstance(a, memoryview) else a for a in inside), done))
        return done


class FailsOnce(NotedDisk):
    """The sync of a folder fails the first time that it is asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.failed: set[Path] = set()

    def perform(self, operation: str, *arguments: Any) -> Any:
        if operation == "sync_folder" and arguments[0] not in self.failed:
            self.failed.add(arguments[0])
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().perform(operation, *arguments)


class WithoutSync(NotedDisk):
    """Leaves out the sync of files."""

    def perform(self, operation: str, *arguments: Any) -> Any:
        return None if operation == "sync" else super().perform(operation, *arguments)


class WithoutFolderSync(NotedDisk):
    """Leaves out the sync of folders."""

    def perform(self, operation: str, *arguments: Any) -> Any:
        return None if operation == "sync_folder" else super().perform(operation, *arguments)


def ids(*numbers: int) -> list[RowId]:
    return [row_id(f"{n:064x}") for n in numbers]


def features(*numbers: int) -> np.ndarray:
    kind = np.float32 if 6 in numbers else np.float16
    return np.array([[n, -n, 0.5] for n in numbers], kind)


ALL = range(8)


def open_store(root: Path) -> RowStore:
    return RowStore(root / FOLDER, KEY, SPEC_JSON, lambda: {"featstore-keras": "test"})


def append(root: Path, acknowledge: Callable[..., None]) -> None:
    """Four shards in a folder that is not there yet, and the index."""
    store = open_store(root)
    with store.writing() as writer:
        for numbers in ((0, 1, 2), (3, 4), (5, 7), (6,)):
            if ids(*numbers)[0] in store:
                continue
            for row in ids(*numbers):
                assert writer.claims.claim(row)
            writer.append(ids(*numbers), features(*numbers))
            acknowledge(*numbers)


def append_in_spite_of_errors(root: Path, acknowledge: Callable[..., None]) -> None:
    """The same job again until all is stored."""
    while any(row not in open_store(root) for row in ids(*ALL)):
        with suppress(StoreError):
            append(root, acknowledge)


def compact(root: Path, acknowledge: Callable[..., None]) -> None:
    """Four shards become two."""
    acknowledge(*ALL)
    assert compact_key(root / FOLDER).shards == (4, 2)


def append_and_compact(root: Path, acknowledge: Callable[..., None]) -> None:
    append(root, acknowledge)
    compact(root, acknowledge)


def harmed(root: Path, acknowledge: Callable[..., None]) -> None:
    """A shard and the spec are damaged, and a killed writer's file lies about."""
    append(root, acknowledge)
    folder = root / FOLDER
    bad = folder / open_store(root).shard_of(ids(6)[0])
    bad.write_bytes(bad.read_bytes()[:-1] + b"x")
    (folder / "spec.json").write_bytes(b"{")
    (folder / ".tmp-1-00").write_bytes(b"half a sha")


def repair(root: Path, acknowledge: Callable[..., None]) -> None:
    acknowledge(*(n for n in ALL if n != 6))
    repaired = repair_key(root / FOLDER)
    assert (len(repaired.quarantined), repaired.restored, repaired.unmended) == (2, True, ())  # a shard and the spec


def prune(root: Path, acknowledge: Callable[..., None]) -> None:
    """Nothing has to be left, but what is left has to be right."""
    assert prune_key(root / FOLDER) == []


@dataclass
class Found:
    """How many states there were, how many of them a reader can tell apart, and in how many rows were lost or wrong."""

    states: int = 0
    opened: int = 0
    lost: int = 0
    wrong: int = 0


Work = Callable[[Path, Callable[..., None]], None]


def lose_power(
    work: Work, tmp_path: Path, begin: Work | None = None, kind: type[NotedDisk] = NotedDisk, most: int = 1024
) -> Found:
    """Do `work`, and open all states that a loss of power may leave, after each of its operations."""
    root = tmp_path / "disk"
    root.mkdir()
    if begin:
        begin(root, lambda *numbers: None)
    disk = kind(root)
    before = use_disk(disk)
    try:
        work(root, lambda *numbers: disk.notes.append(("acknowledge", numbers, None)))
        use_disk(HastyDisk())  # the power stays on while states are looked at
        return look_at_all(disk, tmp_path / "state", most)
    finally:
        use_disk(before)


def look_at_all(disk: NotedDisk, room: Path, most: int) -> Found:
    found, model, draw = Found(), PowerLoss(disk.before), random.Random(1)
    acknowledged: set[int] = set()
    seen = set()
    for operation, arguments, result in disk.notes:
        if operation == "acknowledge":
            acknowledged.update(arguments)
        else:
            model.note(operation, arguments, result)
        for state in model.states(draw, most):
            found.states += 1
            files = frozenset((path, data) for path, data in state.items() if not path.name.startswith(TEMPORARY))
            if (files, len(acknowledged)) not in seen:
                seen.add((files, len(acknowledged)))
                found.opened += 1
                lost, wrong = look(make(state, room), acknowledged)
                found.lost += lost
                found.wrong += wrong
    return found


def make(state: State, root: Path) -> Path:
    """Bring a state to a folder of its own."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for path, data in sorted(state.items()):
        if data is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(data)
    return root


def look(root: Path, acknowledged: set[int]) -> tuple[bool, bool]:
    """Whether rows are lost, and whether wrong ones are served, to a new process, which then stores what is missing."""
    try:
        store = open_store(root)
    except StoreError as error:
        assert "featstore cache repair" in str(error)
        if repair_key(root / FOLDER).unmended:  # it has no shard: it says to remove the folder
            shutil.rmtree(root / FOLDER)
        store = open_store(root)
    there = [n for n in ALL if ids(n)[0] in store]
    wrong = len(store) != len(there) or (there and not np.array_equal(store.read(ids(*there)), features(*there)))
    missing = [n for n in ALL if n not in there]
    with store.writing() as writer:
        if missing:
            writer.append(ids(*missing), features(*missing))
    again = open_store(root)
    wrong = wrong or not np.array_equal(again.read(ids(*ALL)), features(*ALL))
    return not acknowledged <= {*there}, bool(wrong)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither threads nor a process for HDF5 beside the test: it knows the order of operations, and its own shards."""
    monkeypatch.setattr(claims, "_beat", lambda path, stopped: None)
    monkeypatch.setattr(sandbox._Inspector, "_start", lambda self: False)


CASES = {
    "append": (append, None),
    "compact": (append_and_compact, None),
    "repair": (repair, harmed),
    "prune": (prune, append),
}


@pytest.mark.parametrize("work, begin", CASES.values(), ids=CASES)
def test_no_row_is_lost_or_wrong(work: Work, begin: Work | None, tmp_path: Path) -> None:
    """What was acknowledged is there, in every state, and the same job completes from it."""
    found = lose_power(work, tmp_path, begin)
    assert (found.lost, found.wrong) == (0, 0)
    assert found.opened > 5


def test_a_failed_sync_of_a_folder_is_not_forgotten(tmp_path: Path) -> None:
    """A folder whose name may not be on disk is not taken for one that is there."""
    found = lose_power(append_in_spite_of_errors, tmp_path, kind=FailsOnce)
    assert (found.lost, found.wrong) == (0, 0)


@pytest.mark.parametrize("kind", [WithoutSync, WithoutFolderSync])
@pytest.mark.parametrize("work, begin", [(append, None), (compact, append)], ids=["append", "compact"])
def test_the_model_is_not_blind(kind: type[NotedDisk], work: Work, begin: Work | None, tmp_path: Path) -> None:
    """Without the sync of the file, or of the folder, rows are lost in many states; and still none is wrong."""
    found = lose_power(work, tmp_path, begin, kind, most=128)
    assert found.lost > found.opened / 4, "the model is blind"
    assert found.wrong == 0
