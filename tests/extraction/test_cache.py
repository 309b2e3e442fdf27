"""The cache as an object: stores open once, show what is on disk, and are shared by threads and forked processes."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.errors import StoreError, UsageError
from featstore.extraction import cache as module
from featstore.extraction.cache import Cache
from featstore.images.preprocessing import NAMED
from featstore.images.reading import Reading
from featstore.spec import FeatureSpec
from featstore.store import inventory, reader
from featstore.store.compaction import compact_key
from featstore.store.disk_folder import DiskFolder
from featstore.store.locks import exclusive_lock, last_used
from featstore.store.pruning import prune_key
from featstore.store.reader import RowReader
from featstore.store.repair import repair_key
from featstore.store.rowid import row_id
from helpers.children import in_child
from helpers.keyfolder import put, save, shard_files

SPEC = FeatureSpec("tiny", "ab" * 32, Reading(32, 32), NAMED["tf"])
OTHERS = [replace(SPEC, layer=f"other{number}") for number in range(3)]


def ids(*numbers: int) -> list[bytes]:
    return [row_id(hashlib.sha256(str(n).encode()).hexdigest()) for n in numbers]


def rows(*numbers: int) -> np.ndarray:
    return np.array([[n, -n, 0.5] for n in numbers], np.float16)


def store(folder: Path, *numbers: int, spec: FeatureSpec = SPEC) -> Path:
    """Store rows as another process does; return the folder of the key."""
    elsewhere = Cache(folder).store(spec)
    put(elsewhere, ids(*numbers), rows(*numbers))
    save(elsewhere)
    return elsewhere.folder


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the index of each key was read."""
    counted: Counter[str] = Counter()
    real = inventory.load_index

    def load(folder: Any, known: Any) -> Any:
        counted.update([folder.location.name])
        return real(folder, known)

    monkeypatch.setattr(inventory, "load_index", load)
    return counted


def test_the_folder_is_the_one_given_or_of_the_environment_or_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)
    assert Cache().folder == Cache("").folder == Path("cache")
    monkeypatch.setenv("FEATSTORE_CACHE", "/there")
    assert Cache().folder == Cache.at(None).folder == Path("/there")
    assert Cache("here").folder == Cache.at(Path("here")).folder == Path("here")
    assert Cache("here").digests.folder == Path("here/digests")
    assert repr(Cache("here")) == "Cache('here')"


def test_a_cache_is_taken_as_it_is() -> None:
    """A verb that calls another one passes on what it has opened."""
    cache = Cache("here")
    assert Cache.at(cache) is cache
    assert copy.deepcopy(cache) is cache  # as `sklearn.base.clone` does
    assert pickle.loads(pickle.dumps(cache)).folder == cache.folder


def test_nothing_is_made_before_there_are_rows(tmp_path: Path) -> None:
    """Reading does not create the folder."""
    cache = Cache(tmp_path / "cache")
    assert len(cache.store(SPEC)) == 0
    cache.digests.refresh()
    with pytest.raises(StoreError, match="no such folder"):
        cache.keys()
    assert not cache.folder.exists()


def test_a_store_is_opened_once(tmp_path: Path, loads: Counter[str]) -> None:
    """The second use does not read the index again."""
    folder = store(tmp_path, 1, 2)
    cache = Cache(tmp_path)
    loads.clear()
    first = cache.store(SPEC)
    assert cache.store(SPEC) is first
    assert loads == {folder.name: 1}
    assert np.array_equal(cache.store(SPEC).read(ids(2, 1)), rows(2, 1))
    assert loads == {folder.name: 1}


def test_the_stores_used_last_are_kept(tmp_path: Path, loads: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """They are kept up to a number of rows in all, and at least the last one."""
    monkeypatch.setattr(module, "KEPT_ROWS", 4)
    folders = [store(tmp_path, 1, 2, spec=spec) for spec in OTHERS]
    cache = Cache(tmp_path)
    loads.clear()
    for number in (0, 1, 0, 2, 0, 1):
        assert len(cache.store(OTHERS[number])) == 2
    assert loads == {folders[0].name: 1, folders[1].name: 2, folders[2].name: 1}
    monkeypatch.setattr(module, "KEPT_ROWS", 1)
    assert cache.store(OTHERS[0]) is cache.store(OTHERS[0])


# What other processes do meanwhile


def test_rows_of_other_processes_are_seen(tmp_path: Path) -> None:
    """The next use shows them, as if the store were opened again."""
    cache = Cache(tmp_path)
    held = cache.store(SPEC)
    store(tmp_path, 1)
    assert ids(1)[0] in cache.store(SPEC)
    store(tmp_path, 2)
    assert np.array_equal(cache.store(SPEC).read(ids(1, 2)), rows(1, 2))
    assert cache.store(SPEC) is held


def test_a_key_may_be_compacted(tmp_path: Path) -> None:
    """Rows are read from the new shard, also if they were located before."""
    for number in range(4):
        folder = store(tmp_path, number)
    held = Cache(tmp_path).store(SPEC)
    assert np.array_equal(held.read(ids(0, 3)), rows(0, 3))
    assert compact_key(folder).shards == (4, 1)
    assert np.array_equal(held.read(ids(3, 0)), rows(3, 0))


def test_a_key_may_be_pruned_and_begun_again(tmp_path: Path) -> None:
    """A writer in another environment compares with the present content of `spec.json`."""
    cache = Cache(tmp_path)
    folder = store(tmp_path, 1, 2)
    assert cache.store(SPEC).key_file is not None
    prune_key(folder)
    assert (len(cache.store(SPEC)), cache.store(SPEC).key_file) == (0, None)
    store(tmp_path, 2)
    path = folder / "spec.json"
    path.write_text(path.read_text().replace('"python": "', '"python": "of old '))
    held = cache.store(SPEC)
    assert [row in held for row in ids(1, 2)] == [False, True]
    assert held.key_file is not None
    assert held.key_file.versions["python"].startswith("of old ")


@pytest.mark.skipif(sys.platform != "linux", reason="open files are listed in /proc")
def test_the_space_of_removed_shards_is_freed(tmp_path: Path) -> None:
    """A kept store does not hold files that are gone: their blocks would stay in use."""

    def is_open() -> bool:
        links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        return any(str(folder) in os.readlink(link) for link in links if os.path.lexists(link))

    cache = Cache(tmp_path)
    folder = store(tmp_path, 1)
    cache.store(SPEC).read(ids(1))
    assert is_open()
    prune_key(folder)
    cache.store(SPEC)
    assert not is_open()


@pytest.mark.skipif(sys.platform != "linux", reason="open files are listed in /proc")
@pytest.mark.parametrize("notice", ["read", "write", "refresh"])
def test_removed_shards_are_closed_by_whatever_notices_them(tmp_path: Path, notice: str) -> None:
    """A reader that meets a missing shard, a writer that begins, and a look at the folder all take in the change."""
    cache = Cache(tmp_path)
    for number in (1, 2):
        store(tmp_path, number)
    kept = cache.store(SPEC)
    kept.read([*ids(1), *ids(2)])
    compact_key(kept.folder)
    if notice == "read":
        kept.read([*ids(1), *ids(2)])
    elif notice == "write":
        with kept.writing():
            pass
    cache.store(SPEC)
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    targets = [os.readlink(link) for link in links if os.path.lexists(link)]
    assert not [target for target in targets if str(kept.folder) in target and "(deleted)" in target]


def test_damage_in_place_is_seen(tmp_path: Path) -> None:
    """The folder is unchanged and the file is not: its rows are not served, and are computed again."""
    folder = store(tmp_path, 1)
    cache = Cache(tmp_path)
    assert ids(1)[0] in cache.store(SPEC)
    [path] = shard_files(folder)
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.write(b"damaged")
    assert ids(1)[0] not in cache.store(SPEC)
    assert len(cache.store(SPEC).damaged) == 1
    with path.open("r+b") as file:
        file.write(data)
    assert np.array_equal(cache.store(SPEC).read(ids(1)), rows(1))
    assert cache.store(SPEC).damaged == ()


def test_a_shard_that_could_not_be_read_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk or the network may pass, with the file unchanged."""
    folder = store(tmp_path, 1)
    (folder / "index").unlink()
    cache = Cache(tmp_path)

    def refusing(folder: DiskFolder, name: str) -> Any:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(DiskFolder, "open_shard", refusing)
        assert len(cache.store(SPEC).damaged) == 1
    assert np.array_equal(cache.store(SPEC).read(ids(1)), rows(1))


@pytest.mark.parametrize("care", [compact_key, repair_key, prune_key])
def test_a_kept_store_holds_no_lock(tmp_path: Path, care: Callable[[Path], object]) -> None:
    """Others may compact, repair and prune, whether it was read or written."""
    cache = Cache(tmp_path)
    with cache.store(SPEC).writing() as writer:
        writer.append(ids(1), rows(1))
        with pytest.raises(StoreError, match="in use"), exclusive_lock(cache.store(SPEC).folder):
            pass
    cache.store(SPEC).read(ids(1))
    care(cache.store(SPEC).folder)


def test_a_kept_store_goes_on_noting_its_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does so at most once a minute: `cache prune --older-than` never removes a key that is read every day."""
    folder = store(tmp_path, 1)
    now = [1000.0]
    monkeypatch.setattr(reader, "monotonic", lambda: now[0])
    held = Cache(tmp_path).store(SPEC)
    held.read(ids(1))
    for seconds, noted in ((30, False), (31, True)):
        os.utime(folder / "used", (1, 1))
        now[0] += seconds
        held.read(ids(1))
        assert (last_used(folder) > 1) is noted


# Threads and forks


def test_threads_share_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They read while one writes and another process compacts; each finds every row that was stored."""
    monkeypatch.setattr(reader, "USED_SECONDS", 0)
    folder = store(tmp_path, 0)
    cache, stored, end = Cache(tmp_path), [1], threading.Event()

    def read(seed: int) -> int:
        random, rounds = np.random.default_rng(seed), 0
        while not end.is_set():
            there = stored[0]
            held, numbers = cache.store(SPEC), random.integers(0, there, 8).tolist()
            assert np.array_equal(held.read(ids(*numbers)), rows(*numbers))
            assert (held.row_shape, held.item_bytes, len(held) >= there) == ((3,), 2, True)
            rounds += 1
        return rounds

    with ThreadPoolExecutor(4) as pool:
        reading = [pool.submit(read, seed) for seed in range(4)]
        try:
            for number in range(1, 40):
                with cache.store(SPEC).writing() as writer:
                    writer.append(ids(number), rows(number))
                stored[0] = number + 1
                if number % 10 == 0:
                    compact_key(folder)
        finally:
            end.set()
        assert all(each.result(60) > 1 for each in reading)
    assert len(cache.store(SPEC)) == 40


def read_in_a_fork(folder: str) -> None:
    """Fork while another thread is in the middle of a scan, holding every lock that it takes there."""
    cache = Cache(folder)
    held = cache.store(SPEC)
    scanning, go_on = threading.Event(), threading.Event()
    real = inventory.load_index

    def slow(folder: Any, known: Any) -> Any:
        scanning.set()
        go_on.wait(60)
        return real(folder, known)

    inventory.load_index = slow
    (Path(str(held.folder)) / "index").touch()
    thread = threading.Thread(target=held._inventory.rescan)
    thread.start()
    scanning.wait(60)
    warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 on, about forks with threads
    pid = os.fork()
    if not pid:
        inventory.load_index = real
        held.refresh(every_file=True)
        right = np.array_equal(cache.store(SPEC).read(ids(1, 2)), rows(1, 2))
        put(cache.store(SPEC), ids(3), rows(3))
        cache.digests.refresh()
        os._exit(0 if right else 1)
    _, status = os.waitpid(pid, 0)
    go_on.set()
    thread.join(60)
    assert status == 0
    assert np.array_equal(cache.store(SPEC).read(ids(3, 1)), rows(3, 1))


def test_a_forked_process_goes_on_with_it(tmp_path: Path) -> None:
    """The locks that another thread held in the parent are free in the child, and both see each other's rows."""
    store(tmp_path, 1, 2)
    in_child(read_in_a_fork, tmp_path, seconds=120)


def test_stores_of_one_key_may_be_opened_at_once(tmp_path: Path) -> None:
    """Threads that open a key at the same instant get the same store."""
    store(tmp_path, 1)
    cache, barrier = Cache(tmp_path), threading.Barrier(8)

    def get(number: int) -> RowReader:
        barrier.wait(20)
        return cache.store(SPEC)

    with ThreadPoolExecutor(8) as pool:
        assert len({id(each) for each in pool.map(get, range(8))}) == 1


def test_a_cache_is_looked_after_in_python_too(tmp_path: Path) -> None:
    """As on the command line: a damaged shard is found, put aside and forgotten, and unused keys are removed."""
    folders = [store(tmp_path, 1, 2), store(tmp_path, 3, spec=OTHERS[0])]
    cache = Cache(tmp_path)
    assert [findings.faults for findings in cache.verify()] == [[], []]
    [shard] = shard_files(folders[0])
    shard.write_bytes(b"x")
    faults = [fault.path for findings in cache.verify() for fault in findings.faults]
    assert shard in faults
    assert sum(len(repaired.quarantined) for repaired in cache.repair()) == 1
    assert not any(findings.faults for findings in cache.verify())
    assert cache.prune(older_than=3600) == []
    assert {key.folder for key in cache.prune(max_bytes=0)} == {*folders}
    assert cache.keys() == []


def test_what_makes_no_sense_for_a_cache_is_refused(tmp_path: Path) -> None:
    """A share of nothing would find nothing wrong; without a choice everything would go."""
    for share in (0, -0.1, 1.5):
        with pytest.raises(UsageError, match="expected a share above 0 and up to 1"):
            Cache(tmp_path).verify(share)
    with pytest.raises(UsageError, match="give `older_than` or `max_bytes`"):
        Cache(tmp_path).prune()
