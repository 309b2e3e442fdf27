"""Faults at every operation that changes the disk: the n-th fails for n = 1, 2, ... until a run meets no fault."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Manifest
from featstore.datasets.sources import scan
from featstore.errors import StoreError
from featstore.extraction import job, passes, writer
from featstore.images import prefetch
from featstore.images.files import read_file
from featstore.store import claims, sandbox
from featstore.store.compaction import compact_key
from featstore.store.layout import CLAIMS, INDEX, QUARANTINE, SPEC, USED
from featstore.store.pruning import prune_key
from featstore.store.repair import repair_key
from featstore.store.rowid import RowId, row_id
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from featstore.store.verify import verify_key
from featstore.store.writer import RowWriter
from featstore.system.disk import use_disk
from helpers.disks import DEATHS, FAULTS, FaultyDisk, HastyDisk, Killed, live
from helpers.keyfolder import put, save
from helpers.passes import pass_of
from helpers.photos import write_photos

SPEC_JSON = '{"dtype":"float16"}'
KEY = key_of({"dtype": "float16"})
FOLDER = Path("model") / f"variant-{KEY[:12]}"
FOLDERS = ("cache", "model", FOLDER.name, CLAIMS, "digests")  # whoever needs one makes it
IMAGES = 8
LATER = 10**19
Rows = dict[RowId, np.ndarray]


class Watched(RowStore):
    """Notes the rows that were acknowledged: those for which `append` has returned."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache / FOLDER, KEY, SPEC_JSON, lambda: {"featstore-keras": "test"})
        self.acknowledged: set[RowId] = set()

    def writing(self, on_wait: Any = lambda: None, more: Any = dict) -> RowWriter:
        return NotingWriter(self, on_wait)


class NotingWriter(RowWriter):
    def __init__(self, store: Watched, *arguments: Any) -> None:
        super().__init__(store._inventory, store._spec_json, store._environment, *arguments)
        self._acknowledged = store.acknowledged

    def append(self, ids: Any, *rest: Any) -> None:
        super().append(ids, *rest)
        self._acknowledged |= {*ids}


@pytest.fixture(autouse=True)
def repeatable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The n-th operation is the same one in each run: images are read one by one, and no thread is left behind.

    No time is spent on what these tests are not about: syncs, and a process of its own for HDF5.
    """

    def one_by_one(pictures: Any, read: Any, needed: Any, *unused: int) -> Iterator[prefetch.Fetched]:
        return (prefetch._fetch(picture, partial(read_file, picture.path), read, needed) for picture in pictures)

    monkeypatch.setattr(job, "fetch_all", one_by_one)
    monkeypatch.setattr(claims, "_beat", lambda path, stopped: None)
    monkeypatch.setattr(sandbox._Inspector, "_start", lambda self: False)
    monkeypatch.setattr(passes, "FIRST_BATCH", 4)
    monkeypatch.setattr(passes, "ThreadPoolExecutor", AtOnce)
    monkeypatch.setattr(writer, "SHARD_SECONDS", -1)
    before = use_disk(HastyDisk())
    yield
    use_disk(before)


def rows_of(store: RowStore, ids: Iterable[RowId]) -> Rows:
    """The rows that a store serves of these."""
    ids = [row for row in ids if row in store]
    return dict(zip(ids, store.read(ids).astype(np.float32), strict=True)) if ids else {}


def check(cache: Path, acknowledged: set[RowId], right: Rows) -> Rows:
    """A new process finds every acknowledged row, and no row that is wrong; those that it finds come back."""
    store = Watched(cache)
    found = rows_of(store, right)
    assert acknowledged <= found.keys()
    assert len(store) == len(found)
    assert all(np.array_equal(row, right[i]) for i, row in found.items())
    assert store.damaged == ()
    return found


def faults(fault: str, attempt: Callable[[FaultyDisk], None]) -> None:
    """Attempt with a fault at the 1st, 2nd, ... operation until it meets none."""
    for nth in itertools.count(1):
        disk = FaultyDisk(nth, fault)
        attempt(disk)
        if not disk.met:
            assert nth > 1, "no operation went through the disk"
            return


def silent(work: Callable[[], object]) -> set[int]:
    """Do `work` without a fault; which operations may fail without a word, because they only save work.

    These are about claims, the time of use, the index, digests of images, and folders, which are made when needed.
    """
    disk = FaultyDisk(0, "kill")
    assert live(disk, work) is None
    assert disk.left_open == []
    return {
        nth
        for nth, (operation, path) in enumerate(disk.done, 1)
        if operation in ("touch", "remove_folder")
        or path.name in (INDEX, USED, *FOLDERS)
        or path.parent.name in (CLAIMS, "digests")
    }


def check_end(ended: BaseException | None, disk: FaultyDisk, fault: str, may_fail: Collection[int]) -> None:
    """A killed process ends so; an error is one line, and only the operations that `may_fail` do so in silence."""
    assert fault in DEATHS or disk.left_open == []
    if not disk.met or fault == "short write":
        assert ended is None
    elif fault in DEATHS:
        assert isinstance(ended, Killed)
    elif ended is not None:
        assert isinstance(ended, StoreError)
        assert len(str(ended).splitlines()) == 1
        assert "; " in str(ended), "a remedy"
    else:
        assert disk.nth in may_fail, f"{disk.done[disk.nth - 1]} failed, and nobody was told"


# Extraction


class AtOnce:
    """An executor without threads: what is submitted is done, so that operations come in one order."""

    def __init__(self, *unused: object) -> None: ...

    def submit(self, work: Callable[..., Any], *arguments: object) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*arguments))
        return done

    def shutdown(self, **unused: bool) -> None: ...


class Base:
    """Mean colours; a bright image has one that float16 cannot hold. Counts what it sees."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.seen += len(images)
        return images.astype(np.float32).mean(axis=(1, 2)) ** 2 * 2


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return scan(write_photos(tmp_path_factory.mktemp("data") / "photos", IMAGES // 2))


def extract(manifest: Manifest, store: RowStore, cache: Path, base: Base) -> job.Outcome:
    memory = DigestMemory(cache / "digests", clock=lambda: LATER)
    return job.run(manifest, [pass_of(store, base, batch=4)], lambda views: lambda raw: {None: read(raw)}, memory)


def read(raw: bytes) -> np.ndarray:
    """Four pixels that differ with every file."""
    return np.frombuffer(hashlib.sha256(raw).digest()[:12], np.uint8).reshape(1, 2, 2, 3)


@pytest.mark.parametrize("fault", FAULTS)
def test_extraction(fault: str, manifest: Manifest, tmp_path: Path) -> None:
    """Nothing stored is lost, nothing is wrong, and the same command completes with each image computed once."""
    cache = tmp_path / "cache"
    whole = Watched(cache)
    may_fail = silent(lambda: extract(manifest, whole, cache, Base()))
    right = rows_of(whole, whole.acknowledged)
    assert {entry.dtype for entry in whole.shards.values()} == {"float16", "float32"}
    assert len(right) == IMAGES

    number = itertools.count()

    def attempt(disk: FaultyDisk) -> None:
        cache = tmp_path / str(next(number)) / "cache"
        cache.parent.mkdir()
        acknowledged: set[RowId] = set()

        def work() -> None:
            store = Watched(cache)
            store.acknowledged = acknowledged
            outcome = extract(manifest, store, cache, Base())
            assert outcome.computed == (IMAGES,)
            assert len(outcome.manifest) == IMAGES
            assert acknowledged == right.keys()

        ended = live(disk, work)
        check_end(ended, disk, fault, may_fail)
        settles = (
            disk.met and disk.done[disk.nth - 1][0] == "sync_folder"
        )  # of the claims or, not to be passed over, of rows
        if fault.startswith("EIO") and disk.nth in may_fail and not settles:
            assert ended is None, "what only saves work has stopped the extraction"
        stored = check(cache, acknowledged, right)
        base, again = Base(), Watched(cache)
        outcome = extract(manifest, again, cache, base)
        assert (base.seen, outcome.computed) == (IMAGES - len(stored), (IMAGES - len(stored),))
        check(cache, {*right}, right)
        assert sum(entry.rows for entry in again.shards.values()) == IMAGES
        assert verify_key(cache / FOLDER).faults == []

    faults(fault, attempt)


# Compaction, repair, prune


FEWER = ("kill", "torn write", "ENOSPC from then on", "EIO", "EIO after the fact")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """A cache with eight small shards, and its rows; one is in float32, and four have the same id."""
    cache = tmp_path_factory.mktemp("filled")
    store = Watched(cache)
    for n in range(3):
        put(store, ids(2 * n, 2 * n + 1), features(2 * n, 2 * n + 1))
    put(store, ids(6), features(6).astype(np.float32) * 1e6)
    for n in (7, 8, 10, 11):  # processes that make one row differ in the last digits
        put(Watched(cache), ids(9, n), features(n, n))
    store.refresh()
    save(store)
    return cache, rows_of(store, ids(*range(12)))


def ids(*numbers: int) -> list[RowId]:
    return [row_id(f"{n:064x}") for n in numbers]


def features(*numbers: int) -> np.ndarray:
    return np.array([[n, -n, n + 0.5] for n in numbers], np.float16)


@pytest.mark.parametrize("fault", FEWER)
def test_compaction(fault: str, filled: tuple[Path, Rows], tmp_path: Path) -> None:
    """At any moment all rows are there, with the values that were served before; run again, it completes."""
    whole, right = filled
    number = itertools.count()

    def copy() -> Path:
        return shutil.copytree(whole, tmp_path / str(next(number)))

    cache = copy()
    may_fail = silent(lambda: compact_key(cache / FOLDER))

    def attempt(disk: FaultyDisk) -> None:
        cache = copy()
        check_end(live(disk, lambda: compact_key(cache / FOLDER)), disk, fault, may_fail)
        check(cache, {*right}, right)
        assert compact_key(cache / FOLDER).shards[1] == 2
        check(cache, {*right}, right)
        findings = verify_key(cache / FOLDER)
        assert (findings.faults, findings.rows) == ([], 12)

    faults(fault, attempt)


@pytest.fixture(scope="module")
def harmed(filled: tuple[Path, Rows], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows, bytes]:
    """A cache with a damaged shard and what killed writers leave; its good rows; the bytes of the damaged shard."""
    cache = shutil.copytree(filled[0], tmp_path_factory.mktemp("harmed") / "cache")
    folder = cache / FOLDER
    bad = next(folder / name for name, entry in Watched(cache).shards.items() if entry.dtype == "float32")
    data = bad.read_bytes()[:-1] + b"x"
    bad.write_bytes(data)
    (folder / ".tmp-1-00").write_bytes(b"half a sha")
    (folder / CLAIMS).mkdir()
    (folder / CLAIMS / "1-00").write_bytes(b"{}\n")
    return cache, {row: values for row, values in filled[1].items() if row != ids(6)[0]}, data


@pytest.mark.parametrize("spec", [False, True], ids=["shard", "shard and spec"])
@pytest.mark.parametrize("fault", FEWER)
def test_repair(fault: str, spec: bool, harmed: tuple[Path, Rows, bytes], tmp_path: Path) -> None:
    """Good rows stay, bad bytes are not lost, and run again, it completes."""
    whole, right, bad = harmed
    number = itertools.count()

    def copy() -> Path:
        cache = shutil.copytree(whole, tmp_path / str(next(number)))
        if spec:
            (cache / FOLDER / SPEC).write_bytes(b"{")
        return cache

    folder = copy() / FOLDER
    may_fail = silent(lambda: repair_key(folder))

    def attempt(disk: FaultyDisk) -> None:
        cache = copy()
        folder = cache / FOLDER
        check_end(live(disk, lambda: repair_key(folder)), disk, fault, may_fail)
        assert any(path.read_bytes() == bad for path in folder.rglob("s-*"))
        if not (folder / SPEC).exists() or (folder / SPEC).read_bytes() != b"{":
            assert rows_of(Watched(cache), right).keys() == right.keys()
        repair_key(folder)
        check(cache, {*right}, right)
        assert [name[:2] for name in sorted(os.listdir(folder / QUARANTINE))] == ["s-", "sp"][: 1 + spec]
        findings = verify_key(folder)
        assert (findings.faults, findings.notes) == ([], [])

    faults(fault, attempt)


@pytest.mark.parametrize("fault", [fault for fault in FEWER if fault != "torn write"])
def test_prune(fault: str, harmed: tuple[Path, Rows, bytes], tmp_path: Path) -> None:
    """What is left half-way is right, may be extended, and goes when it is run again."""
    whole, right, _ = harmed
    number = itertools.count()

    def copy() -> Path:
        return shutil.copytree(whole, tmp_path / str(next(number)))

    folder = copy() / FOLDER
    may_fail = silent(lambda: prune_key(folder))

    def attempt(disk: FaultyDisk) -> None:
        cache = copy()
        check_end(live(disk, lambda: prune_key(cache / FOLDER)), disk, fault, may_fail)
        left = rows_of(Watched(cache), right)
        assert all(np.array_equal(row, right[i]) or i == ids(9)[0] for i, row in left.items())
        put(Watched(cache), ids(100), features(100))
        assert np.array_equal(Watched(cache).read(ids(100)), features(100))
        assert prune_key(cache / FOLDER) == []
        assert not (cache / FOLDER).exists()

    faults(fault, attempt)
