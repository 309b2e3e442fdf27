"""Compaction: the same rows in fewer files, while others read, whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from featstore.errors import StoreError
from featstore.store import compaction
from featstore.store.compaction import compact_key
from featstore.store.disk_folder import DiskFolder
from featstore.store.shard import build_shard, parse_shard
from featstore.store.verify import verify_key
from helpers.cli import call
from helpers.keyfolder import VERSIONS, filled, ids, key_of, open_key, put, put_shard, rows, save, shard_files, text_of


def test_many_small_shards_become_one(tmp_path: Path) -> None:
    """It has the same rows, verifies, and is in the index."""
    folder = filled(tmp_path, shards=10)
    done = compact_key(folder)
    assert (done.shards, len(shard_files(folder))) == ((10, 1), 1)
    assert done.bytes[1] == shard_files(folder)[0].stat().st_size < done.bytes[0]
    findings = verify_key(folder)
    assert (findings.faults, findings.notes) == ([], [])
    assert np.array_equal(open_key(tmp_path).read(ids(*range(20))), rows(*range(20)))


def test_rows_keep_the_order_of_extraction(tmp_path: Path) -> None:
    """Neighbours of one class are read together; names are digests, so the times of the files say it."""
    folder = filled(tmp_path, shards=10)
    for number, store_row in enumerate(ids(*range(0, 20, 2))):
        path = next(path for path in shard_files(folder) if store_row in path.read_bytes())
        os.utime(path, (1000 + number, 1000 + number))
    compact_key(folder)
    path = shard_files(folder)[0]
    assert parse_shard(path.name, path.read_bytes(), None).ids == b"".join(ids(*range(20)))


def test_a_second_compaction_does_nothing(tmp_path: Path) -> None:
    """A shard that is alone stays, byte for byte and with its time."""
    folder = filled(tmp_path, shards=4)
    compact_key(folder)
    before = [(path.name, path.stat().st_mtime_ns) for path in shard_files(folder)]
    assert compact_key(folder).shards == (1, 1)
    assert [(path.name, path.stat().st_mtime_ns) for path in shard_files(folder)] == before


def test_full_shards_are_left_and_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the smallest good size stay; what is merged is written as soon as it is full."""
    folder = filled(tmp_path, shards=2, each=300)
    large = {path.name for path in shard_files(folder)}
    store = open_key(tmp_path)
    for number in range(1000, 1010):
        put(store, ids(number), rows(number))
    save(store)
    monkeypatch.setattr(compaction, "SMALL_BYTES", 10_000)
    monkeypatch.setattr(compaction, "SHARD_BYTES", 18)  # three rows
    assert compact_key(folder).shards == (12, 6)
    assert large <= {path.name for path in shard_files(folder)}
    assert sorted(entry.rows for entry in open_key(tmp_path).shards.values()) == [1, 3, 3, 3, 300, 300]


def test_rows_that_are_stored_twice_are_kept_once_as_they_were_served(tmp_path: Path) -> None:
    """Two processes that made one row may differ in the last bit; compaction must not change which is read."""
    for trial in range(20):  # names are digests: who is first is chance
        cache = tmp_path / str(trial)
        folder = filled(cache, shards=2)
        for n in range(3):
            put_shard(folder, [0, 2, 100 + n], rows(trial * 7 + n, 3 * trial + n, 100 + n))
        numbers = 0, 1, 2, 3, 100, 101, 102
        before = open_key(cache).read(ids(*numbers))
        assert len(open_key(cache).repeated_shards()) == 5
        compact_key(folder)
        assert np.array_equal(open_key(cache).read(ids(*numbers)), before)
        assert open_key(cache).repeated_shards() == set()
        assert verify_key(folder).rows == 7


def test_repeated_rows_are_the_same_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two removals a new reader is served what it would have been served before."""
    remove = DiskFolder.remove
    for trial in range(10):
        cache = tmp_path / str(trial)
        folder = filled(cache, shards=2)
        for n in range(3):
            put_shard(folder, [0, 2, 100 + n], rows(trial + 7 * n, trial + 3 * n, 100 + n))
        before = open_key(cache).read(ids(0, 1, 2, 3, 100, 101, 102))

        def looking(self: DiskFolder, name: str, cache: Path = cache, before: np.ndarray = before) -> None:
            remove(self, name)
            assert np.array_equal(open_key(cache).read(ids(0, 1, 2, 3, 100, 101, 102)), before)

        with monkeypatch.context() as patch:
            patch.setattr(DiskFolder, "remove", looking)
            compact_key(folder)


def test_float16_and_float32_and_other_versions_stay_apart(tmp_path: Path) -> None:
    """A shard has one dtype, and says which versions made it."""
    folder = filled(tmp_path, shards=2)
    for numbers, versions in (([10], VERSIONS), ([11], VERSIONS), ([12], {"featstore-keras": "0.2"})):
        name, data = build_shard(
            key_of_default(), text_default(), versions, ids(*numbers), np.array([[1e6, 0, 1e-9]], np.float32)
        )
        (folder / name).write_bytes(data)
    assert compact_key(folder).shards == (5, 3)
    found = {}
    for path in shard_files(folder):
        contents = parse_shard(path.name, path.read_bytes(), None)
        found[contents.dtype, contents.versions] = contents.rows
    old, new = json.dumps(VERSIONS), '{"featstore-keras": "0.2"}'
    assert found == {("float16", old): 4, ("float32", old): 2, ("float32", new): 1}
    assert open_key(tmp_path).read(ids(10))[0, 0] == np.float32(1e6)


def key_of_default() -> str:
    from helpers.keyfolder import SPEC

    return key_of(SPEC)


def text_default() -> str:
    from helpers.keyfolder import SPEC

    return text_of(SPEC)


def test_a_damaged_source_is_never_given_a_new_digest(tmp_path: Path) -> None:
    """The bytes are compared even if the state of the file is in the index, so the damage stays visible."""
    folder = filled(tmp_path, shards=4)
    victim = shard_files(folder)[0]
    real = compaction.load_shard

    def after_damage(name: str, data: bytes, key: str | None) -> object:
        return real(name, data[:-1] + bytes([data[-1] ^ 1]) if name == victim.name else data, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "load_shard", after_damage)
        with pytest.raises(StoreError, match="do not match the name"):
            compact_key(folder)
    assert np.array_equal(open_key(tmp_path).read(ids(*range(8))), rows(*range(8)))
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(StoreError, match="run `featstore cache repair` first"):
        compact_key(folder)


def test_zstd_and_back(tmp_path: Path) -> None:
    """Compressed shards hold the same numbers; `none` makes them plain again."""
    folder = filled(tmp_path, shards=3)
    compact_key(folder, "zstd")
    store = open_key(tmp_path)
    assert [entry.offset for entry in store.shards.values()] == [None]
    assert np.array_equal(store.read(ids(5, 0, 3)), rows(5, 0, 3))
    assert verify_key(folder).faults == []
    put(store, ids(6), rows(6))
    save(store)
    assert compact_key(folder).shards == (2, 2)  # as they are: one of each kind
    assert compact_key(folder, "none").shards == (2, 1)
    assert open_key(tmp_path).shards[shard_files(folder)[0].name].offset is not None
    assert np.array_equal(open_key(tmp_path).read(ids(*range(7))), rows(*range(7)))


def test_readers_go_on_while_it_works(tmp_path: Path) -> None:
    """One that had the shards open, and new ones all the time, in another thread."""
    folder = filled(tmp_path, shards=30)
    old, wrong, stop = open_key(tmp_path), [], threading.Event()
    old.read(ids(0))

    def read() -> None:
        while not stop.is_set():
            for store in (old, open_key(tmp_path)):
                if not np.array_equal(store.read(ids(*range(60))), rows(*range(60))):
                    wrong.append(store)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(5):
            compact_key(folder, "zstd" if number % 2 else "none")
            put_shard(folder, [100 + number], rows(100 + number))
    finally:
        stop.set()
        reader.join()
    assert wrong == []


def test_a_writer_at_work_is_not_disturbed(tmp_path: Path) -> None:
    """Nor waited for."""
    folder = filled(tmp_path)
    store = open_key(tmp_path)
    writer = store.writing()
    writer.append(ids(50), rows(50))
    with pytest.raises(StoreError, match="in use by another process"):
        compact_key(folder)
    writer.close()
    compact_key(folder)
    assert np.array_equal(store.read(ids(50, 0)), rows(50, 0))


def test_two_compactions_at_once(tmp_path: Path) -> None:
    """One works; the other is refused, or finds nothing to do. No row is lost."""
    folder = filled(tmp_path, shards=20)
    code = f"""
import sys
from pathlib import Path
from featstore.errors import StoreError
from featstore.store.compaction import compact_key
try:
    compact_key(Path({str(folder)!r}))
except StoreError as error:
    assert "in use" in str(error), error
"""
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(shard_files(folder)) == 1
    assert np.array_equal(open_key(tmp_path).read(ids(*range(40))), rows(*range(40)))


def test_the_command(tmp_path: Path) -> None:
    """A table, or JSON; another compression is a usage error."""
    folder = filled(tmp_path)
    done = call("cache", "compact", "--cache", tmp_path)
    assert done.code == 0
    assert done.out.splitlines()[1].split()[:3] == [str(folder), "3", "1"]
    found = json.loads(call("cache", "compact", "--cache", tmp_path, "--compress", "zstd", "--json").out)
    assert found["keys"][0]["shards"] == [1, 1]
    assert found["failed"] == []
    done = call("cache", "compact", "--cache", tmp_path, "--compress", "gzip")
    assert done.code == 2
    assert done.err.startswith("featstore: invalid value for '--compress': 'gzip' is not one of 'zstd', 'none'")


def test_compaction_is_no_use(tmp_path: Path) -> None:
    """Done every night, it would keep old keys from being pruned."""
    folder = filled(tmp_path)
    os.utime(folder / "used", (1, 1))
    compact_key(folder)
    assert (folder / "used").stat().st_mtime == 1
