"""The rows of a key: a mapping that cannot lie and cannot lose."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path

import numpy as np
import pytest

from featstore.errors import StoreError
from featstore.store import inventory
from featstore.store.disk_folder import DiskFolder
from featstore.store.inventory import Inventory
from featstore.store.listing import list_shards
from featstore.store.rowid import RowId, row_id, row_ids
from featstore.store.rowstore import RowStore
from featstore.store.shard import build_shard
from featstore.store.spec_file import key_of
from featstore.system.disk import Disk, use_disk
from helpers import keyfolder
from helpers.children import command, environment
from helpers.disks import small_disk
from helpers.keyfolder import put, save

KEY = key_of({})


def ids(*numbers: int) -> list[RowId]:
    return [row_id(f"{n:064x}") for n in numbers]


def rows(*numbers: int) -> np.ndarray:
    return np.array([[n, -n, 0.5] for n in numbers], np.float16).reshape(-1, 3)


def open_store(folder: Path, key: str = KEY) -> RowStore:
    return RowStore(folder / "key", key, "{}", lambda: {"featstore": "test"})


def shards(folder: Path) -> list[Path]:
    """The shards, in the order of their names."""
    return sorted((folder / "key").glob("s-*.h5"))


def holding(folder: Path, number: int) -> Path:
    """The shard with the row of that number."""
    return next(path for path in shards(folder) if ids(number)[0] in path.read_bytes())


def flip(path: Path) -> None:
    """Damage a file at its end, where the features are."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_an_empty_store_has_nothing_and_makes_nothing(tmp_path: Path) -> None:
    """Reading does not create the folder."""
    store = open_store(tmp_path)
    assert (len(store), store.row_shape, store.bytes_on_disk, store.damaged) == (0, None, 0, ())
    assert ids(1)[0] not in store
    save(store)
    assert not (tmp_path / "key").exists()


def test_shape_and_size_are_those_of_the_files(tmp_path: Path) -> None:
    """The shape of one row, and the bytes of all shards."""
    store = open_store(tmp_path)
    put(store, ids(1, 2), rows(1, 2))
    put(store, ids(3), rows(3))
    for opened in (store, open_store(tmp_path)):
        assert opened.row_shape == (3,)
        assert opened.bytes_on_disk == sum(path.stat().st_size for path in shards(tmp_path))


def test_no_ids_give_no_rows(tmp_path: Path) -> None:
    """The empty array has the right shape, once a row is stored."""
    store = open_store(tmp_path)
    assert store.read([]).shape == (0,)
    put(store, ids(1), rows(1))
    assert store.read([]).shape == (0, 3)


def test_a_row_may_be_asked_for_twice(tmp_path: Path) -> None:
    """Two files may have the same bytes."""
    store = open_store(tmp_path)
    put(store, ids(1, 2), rows(1, 2))
    assert np.array_equal(store.read(ids(2, 1, 2)), rows(2, 1, 2))


def test_a_missing_row_is_a_key_error(tmp_path: Path) -> None:
    """Nothing is invented in its place."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    with pytest.raises(KeyError):
        store.read(ids(1, 2))


def test_rows_can_be_read_that_were_just_appended_and_nothing_else_is_left(tmp_path: Path) -> None:
    """A folder holds the spec, the shards and, once it is saved, the index."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    assert np.array_equal(store.read(ids(1)), rows(1))
    assert sorted(os.listdir(tmp_path / "key")) == [shards(tmp_path)[0].name, "spec.json", "used"]
    save(store)
    assert sorted(os.listdir(tmp_path / "key")) == ["index", shards(tmp_path)[0].name, "spec.json", "used"]


def test_the_spec_is_beside_the_rows(tmp_path: Path) -> None:
    """It is written before the first row, and again if it was removed."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    spec = tmp_path / "key" / "spec.json"
    assert json.loads(spec.read_bytes()) == {
        "format": "featstore-key",
        "format_version": 1,
        "key": KEY,
        "spec": {},
        "row_shape": [3],
        "versions": {"featstore": "test"},
    }
    assert spec.stat().st_mtime_ns <= shards(tmp_path)[0].stat().st_mtime_ns
    spec.unlink()
    put(open_store(tmp_path), ids(2), rows(2))
    assert spec.exists()


def test_a_damaged_shard_is_not_served(tmp_path: Path) -> None:
    """Its rows are missing, the reason is listed, the others are served, and computing it again heals it."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    put(store, ids(2), rows(2))
    save(store)
    victim = holding(tmp_path, 1)
    flip(victim)
    again = open_store(tmp_path)
    assert ids(1)[0] not in again
    assert np.array_equal(again.read(ids(2)), rows(2))
    assert again.damaged == (f"{victim.name}: the bytes do not match the name: damaged",)
    put(again, ids(1), rows(1))
    healed = open_store(tmp_path)
    assert np.array_equal(healed.read(ids(1, 2)), rows(1, 2))
    assert healed.damaged == ()


def test_damage_with_size_and_mtime_kept_is_seen(tmp_path: Path) -> None:
    """The change time cannot be set back, so the index is not trusted for such a file."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    save(store)
    path = shards(tmp_path)[0]
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert ids(1)[0] not in open_store(tmp_path)


def test_a_shard_under_anothers_name_is_not_served(tmp_path: Path) -> None:
    """Nor one of another key, nor one cut short; each is listed."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    shard = shards(tmp_path)[0]
    shutil.copy(shard, shard.with_name(f"s-{'0' * 64}.h5"))
    name, data = build_shard("cd" * 32, "{}", {}, ids(2), rows(2))
    shard.with_name(name).write_bytes(data)
    name, data = build_shard(KEY, "{}", {}, ids(3), rows(3))
    shard.with_name(name).write_bytes(data[:-1])
    again = open_store(tmp_path)
    assert [row in again for row in ids(1, 2, 3)] == [True, False, False]
    assert len(again.damaged) == 3


def test_rows_of_another_shape_are_not_served_among_the_others(tmp_path: Path) -> None:
    """A key has one shape of rows."""
    for columns in (3, 4):
        name, data = build_shard(KEY, "{}", {}, ids(columns), np.zeros((1, columns), np.float16))
        (tmp_path / "key").mkdir(exist_ok=True)
        (tmp_path / "key" / name).write_bytes(data)
    store = open_store(tmp_path)
    assert len(store) == 1
    assert ["those of the key have shape" in line for line in store.damaged] == [True]


def test_other_files_in_the_folder_do_not_count(tmp_path: Path) -> None:
    """Leftovers of a killed writer, folders, links to nowhere, pipes: passed over, not waited for."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    folder = tmp_path / "key"
    shutil.copy(shards(tmp_path)[0], folder / ".tmp-1-00")
    (folder / f"s-{'a' * 64}.h5").mkdir()
    (folder / f"s-{'b' * 64}.h5").symlink_to("nowhere")
    os.mkfifo(folder / f"s-{'c' * 64}.h5")
    found: list[RowStore] = []
    opening = threading.Thread(target=lambda: found.append(open_store(tmp_path)), daemon=True)
    opening.start()
    opening.join(5)
    assert [(len(again), again.damaged) for again in found] == [(1, ())]


def test_a_shard_that_goes_while_the_folder_is_listed_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process pruned or merged it."""
    put(open_store(tmp_path), ids(1), rows(1))
    gone = {f"s-{'d' * 64}.h5": (1, 2, 3, 4)}
    monkeypatch.setattr("featstore.store.disk_folder.list_shards", lambda folder: list_shards(folder) | gone)
    store = open_store(tmp_path)
    assert (len(store), store.damaged) == (1, ())


def test_a_shard_that_the_disk_cannot_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad sector costs the rows of one shard."""
    put(open_store(tmp_path), ids(1), rows(1))
    put(open_store(tmp_path), ids(2), rows(2))
    bad, real = holding(tmp_path, 1), DiskFolder.open_shard

    def failing(self: DiskFolder, name: str) -> object:
        if name == bad.name:
            raise OSError(errno.EIO, "Input/output error")
        return real(self, name)

    monkeypatch.setattr(DiskFolder, "open_shard", failing)
    store = open_store(tmp_path)
    assert [row in store for row in ids(1, 2)] == [False, True]
    assert store.damaged == (f"{bad.name}: cannot be read: Input/output error",)


def test_a_known_shard_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the index and an unchanged file, opening reads only its stat; without, it is verified again."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    save(store)
    verified: list[str] = []
    real = Inventory._verify
    monkeypatch.setattr(
        Inventory, "_verify", lambda self, name, state: (verified.append(name), real(self, name, state))[1]
    )
    assert len(open_store(tmp_path)) == 1
    assert verified == []
    os.utime(shards(tmp_path)[0])
    again = open_store(tmp_path)
    assert len(verified) == len(again) == 1
    save(again)
    assert len(open_store(tmp_path)) == len(verified) == 1
    (tmp_path / "key" / "index").unlink()
    assert len(open_store(tmp_path)) == 1
    assert len(verified) == 2


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:40] + b"x" + d[41:], lambda d: b"", lambda d: b"\n\n"]
)
def test_a_damaged_index_loses_nothing(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """It is made again from the shards."""
    store = open_store(tmp_path)
    put(store, ids(1, 2), rows(1, 2))
    save(store)
    index = tmp_path / "key" / "index"
    whole = index.read_bytes()
    index.write_bytes(damage(whole))
    again = open_store(tmp_path)
    assert np.array_equal(again.read(ids(2, 1)), rows(2, 1))
    save(again)
    assert index.read_bytes() == whole


def test_an_index_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    """It costs only time; it is tried again at the next occasion."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    (tmp_path / "key" / "index").mkdir()
    save(store)
    (tmp_path / "key" / "index").rmdir()
    save(store)
    assert (tmp_path / "key" / "index").is_file()


def test_two_writers_make_the_union(tmp_path: Path) -> None:
    """Each appends without knowing of the other; the one index that is saved last does not hide the other's rows."""
    one, two = open_store(tmp_path).writing(), open_store(tmp_path).writing()
    one.append(ids(1, 2), rows(1, 2))
    two.append(ids(2, 3), rows(2, 3))
    one.close()
    two.close()
    assert np.array_equal(open_store(tmp_path).read(ids(1, 2, 3)), rows(1, 2, 3))


def test_of_two_rows_of_one_id_the_first_shard_in_name_order_has_it(tmp_path: Path) -> None:
    """Two processes that computed one image may differ in the last bit; all who open the store agree afterwards."""
    writers = [open_store(tmp_path).writing() for _ in range(8)]
    for n, writer in enumerate(writers):
        writer.append(ids(1, 100 + n), rows(n, 100 + n))
    first = shards(tmp_path)[0]
    expected = next(n for n in range(8) if holding(tmp_path, 100 + n) == first)
    for _ in range(2):
        store = open_store(tmp_path)
        assert np.array_equal(store.read(ids(1)), rows(expected))
        assert len(store) == 9
        save(store)  # the second is opened from the index


def test_a_process_keeps_the_row_that_it_has_seen(tmp_path: Path) -> None:
    """While it runs, its numbers do not change under it."""
    store = open_store(tmp_path)
    writer = store.writing()
    for n in range(8):  # of eight shards, some sort before the first
        writer.append([*ids(1), *ids(100 + n)], rows(n + 1, 100 + n))
    assert np.array_equal(store.read(ids(1)), rows(1))
    assert shards(tmp_path)[0] != holding(tmp_path, 100)


def test_a_shard_that_another_process_wrote_again_is_still_read(tmp_path: Path) -> None:
    """Two processes that compute the same rows make the same file, and the later one replaces it."""
    one, two = open_store(tmp_path), open_store(tmp_path).writing()
    put(one, ids(1, 2), rows(1, 2))
    inode = shards(tmp_path)[0].stat().st_ino
    two.append(ids(1, 2), rows(1, 2))
    assert shards(tmp_path)[0].stat().st_ino != inode
    assert np.array_equal(one.read(ids(2, 1)), rows(2, 1))


def test_rows_that_moved_to_another_shard_are_still_read(tmp_path: Path) -> None:
    """Another process merged small shards into a larger one while this one had them open."""
    reader = open_store(tmp_path)
    put(reader, ids(1), rows(1))
    put(reader, ids(2), rows(2))
    old = shards(tmp_path)
    put(open_store(tmp_path), ids(1, 2), rows(1, 2))
    for path in old:
        path.unlink()
    assert np.array_equal(reader.read(ids(2, 1)), rows(2, 1))


@pytest.mark.parametrize("harm", [Path.unlink, flip, lambda path: shutil.rmtree(path.parent)])
def test_rows_that_go_while_in_use_are_a_store_error(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    """Pruned or damaged under a reader: one line that says to run again, and never another's numbers."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    put(store, ids(2), rows(2))
    harm(holding(tmp_path, 1))
    with pytest.raises(StoreError, match="run the same command again"):
        store.read(ids(1, 2))


def write_and_read(folder: str, number: str) -> None:
    store, mine = open_store(Path(folder)), int(number)
    for n in range(12):
        with store.writing() as writer:
            writer.append(ids(n), rows(n))
            numbers = 1000 * mine + n, 500 + (n + mine) % 12
            writer.append(ids(*numbers), rows(*numbers))
        assert (store.read(ids(n, *numbers)) == rows(n, *numbers)).all()


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """Three of them have rows of their own, rows in common and shards in common, while another one reads."""
    with ExitStack() as running:
        writers = [
            running.enter_context(subprocess.Popen(command(write_and_read, tmp_path, mine), env=environment()))
            for mine in "123"
        ]
        while any(writer.poll() is None for writer in writers):
            reader = open_store(tmp_path)
            found = [n for n in (*range(12), *range(500, 512)) if ids(n)[0] in reader]
            assert reader.damaged == ()
            assert np.array_equal(reader.read(ids(*found)), rows(*found)) or not found
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    everything = [*range(12), *range(500, 512), *(1000 * mine + n for mine in (1, 2, 3) for n in range(12))]
    store = open_store(tmp_path)
    assert len(store) == len(everything)
    assert np.array_equal(store.read(ids(*everything)), rows(*everything))
    assert not list((tmp_path / "key").glob(".tmp-*"))


def test_what_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    """NaN, infinity, another shape, and ids that do not fit the rows; nothing is written."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    before = sorted(os.listdir(tmp_path / "key"))
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="NaN or infinity"):
            put(store, ids(2), np.array([[bad, 0, 0]], np.float32))
    with pytest.raises(StoreError, match=r"its rows have shape \(3,\), those of this base have shape \(4,\)"):
        put(store, ids(2), np.zeros((1, 4), np.float32))
    for wrong in (ids(2, 2), ids(2), ids(2, 3, 4)):
        with pytest.raises(ValueError, match=f"{len(wrong)} ids for 2 rows"):
            put(store, wrong, rows(2, 3))
    with pytest.raises(StoreError, match="do not fit|contiguously"):
        put(store, [], rows())
    assert sorted(os.listdir(tmp_path / "key")) == before
    assert len(store) == 1


def test_float32_rows_widen_what_is_read_with_them(tmp_path: Path) -> None:
    """A row that float16 cannot hold is read as float32 with the others, exactly."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    put(store, ids(2), np.array([[1e6, 1e-9, 0]], np.float32))
    assert store.read(ids(1)).dtype == np.float16
    both = store.read(ids(2, 1))
    assert both.dtype == np.float32
    assert np.array_equal(both, np.array([[1e6, 1e-9, 0], [1, -1, 0.5]], np.float32))


def test_a_folder_of_another_key_is_refused(tmp_path: Path) -> None:
    """Folders are named by 12 digits of the key; the spec inside has all of it."""
    put(open_store(tmp_path), ids(1), rows(1))
    with pytest.raises(StoreError, match=f"belongs to the key {KEY}, not to {'cd' * 32}"):
        open_store(tmp_path, "cd" * 32)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """The remedy is to upgrade."""
    put(open_store(tmp_path), ids(1), rows(1))
    spec = tmp_path / "key" / "spec.json"
    spec.write_text(spec.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(StoreError, match="format version 2, this featstore reads 1: upgrade it"):
        open_store(tmp_path)


NO_JSON = b'{"format": "featstore-key", "format_version": 1, "key": "x", "spec": {"a": NaN}, "versions": {}}'


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"1", b"null", b"{}", b"\xff", b"[" * 100_000, b'"\\ud800"', NO_JSON]
)
def test_a_spec_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever is in the file: one line that says what to do."""
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "spec.json").write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read: .*move the folder away"):
        open_store(tmp_path)


def test_a_folder_that_cannot_be_listed_is_a_store_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission is denied, or a file has the name of the folder."""

    def refused(path: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "key").touch()
    with pytest.raises(StoreError, match="cannot be read"):
        open_store(tmp_path)
    (tmp_path / "key").unlink()
    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(StoreError, match="Permission denied; choose another `cache`"):
        open_store(tmp_path)


def test_a_failed_append_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store has the rows that it had, here and when it is opened again."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(StoreError, match="free some space"):
            put(store, ids(2), rows(2))
    for opened in (store, open_store(tmp_path)):
        assert [row in opened for row in ids(1, 2)] == [True, False]
    put(store, ids(2), rows(2))
    assert np.array_equal(open_store(tmp_path).read(ids(2, 1)), rows(2, 1))


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """All rows that were reported as stored are there, and it goes on once there is space."""
    many = np.arange(50_000, dtype=np.float32).reshape(1, -1)
    with small_disk(tmp_path / "disk", 2**20) as disk:
        (disk / "ballast").write_bytes(bytes(300_000))
        store, stored = open_store(disk), 0
        with pytest.raises(StoreError, match="free some space"):
            while True:
                put(store, ids(stored), many + stored)
                stored += 1
        save(store)
        assert 0 < stored < 6
        assert np.array_equal(
            open_store(disk).read(ids(*range(stored))), np.concatenate([many + n for n in range(stored)])
        )
        (disk / "ballast").unlink()
        put(store, ids(stored), many + stored)
        assert len(open_store(disk)) == stored + 1


def test_asking_for_ids_loads_neither_numpy_nor_h5py(tmp_path: Path) -> None:
    """A run with nothing to do looks only at the index."""
    store = open_store(tmp_path)
    put(store, ids(1), rows(1))
    save(store)
    code = f"""
import sys
from pathlib import Path
from featstore.store.rowstore import RowStore
store = RowStore(Path({str(tmp_path / "key")!r}), {KEY!r}, "{{}}", dict)
assert len(store) == 1 and {ids(1)[0]!r} in store and store.row_shape == (3,)
assert not {{"numpy", "h5py"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_of_folders_are_on_disk_before_rows_are_acknowledged(tmp_path: Path) -> None:
    """Another process may have made the folder just now, and not have come to sync its name; once is enough."""
    synced: list[Path] = []

    class Noting(Disk):
        def sync_folder(self, folder: Path) -> None:
            synced.append(folder)
            super().sync_folder(folder)

    (tmp_path / "key").mkdir()
    writer, real = open_store(tmp_path).writing(), use_disk(Noting())
    try:
        writer.append(ids(1), rows(1))
        assert synced[:3] == [tmp_path, tmp_path.parent, tmp_path.parent.parent]
        synced.clear()
        writer.append(ids(2), rows(2))
        assert set(synced) == {tmp_path / "key"}
    finally:
        use_disk(real)


def test_a_canary_is_added_to_a_key_without_one(tmp_path: Path) -> None:
    """The first one stays."""
    path = tmp_path / "key" / "spec.json"
    put(open_store(tmp_path), ids(1), rows(1))
    before = json.loads(path.read_bytes())
    with open_store(tmp_path).writing() as one, open_store(tmp_path).writing() as other:
        one.append(ids(2), rows(2), lambda: {"version": 1})
        other.append(ids(3), rows(3), lambda: {"version": 1})  # as every process in the same environment brings it
    with open_store(tmp_path).writing() as late:
        late.append(ids(4), rows(4), lambda: {"version": 2})
    assert json.loads(path.read_bytes()) == {**before, "canary": {"version": 1}}
    assert len(open_store(tmp_path)) == 4


def of_another_environment(folder: Path) -> RowStore:
    return RowStore(folder / "key", KEY, "{}", lambda: {"featstore": "another"})


@pytest.mark.parametrize("fits", [False, True])
@pytest.mark.parametrize("is_begun", [False, True])
def test_two_canaries_at_once_are_compared(tmp_path: Path, is_begun: bool, fits: bool) -> None:
    """Another environment has added its own since this one looked: rows that do not fit are not stored."""
    if is_begun:
        put(open_store(tmp_path), ids(1), rows(1))
    asked: list[bool] = []

    def canary() -> dict[str, int]:
        asked.append(open_store(tmp_path).key_file.canary is not None)
        if len(asked) == 2 and not fits:
            raise StoreError("differs")
        return {"version": 2}

    with open_store(tmp_path).writing() as one, of_another_environment(tmp_path).writing() as other:
        one.append(ids(2), rows(2), lambda: {"version": 1})
        with nullcontext() if fits else pytest.raises(StoreError, match="differs"):
            other.append(ids(3), rows(3), canary)
    assert asked == [True, True]
    assert (ids(3)[0] in open_store(tmp_path)) == fits
    assert open_store(tmp_path).key_file.canary == {"version": 1}


def test_environments_without_a_canary_do_not_begin_a_key_at_once(tmp_path: Path) -> None:
    """There is nothing to compare; the next run reads what the other has begun."""
    with open_store(tmp_path).writing() as one, of_another_environment(tmp_path).writing() as other:
        one.append(ids(2), rows(2))
        with pytest.raises(StoreError, match="run the same command again, which then compares the two"):
            other.append(ids(3), rows(3))
    assert ids(3)[0] not in open_store(tmp_path)


def test_bytes_are_those_of_the_rows_as_stored(tmp_path: Path) -> None:
    """Rows that float16 cannot hold take twice as much; an id that is asked for twice counts twice."""
    store = open_store(tmp_path)
    assert store.bytes_of([]) == 0
    put(store, ids(1, 2), rows(1, 2))
    assert store.bytes_of(ids(1, 2)) == 2 * 3 * 2
    put(store, ids(3), np.array([[1e6, 2, 3]], np.float32))
    assert store.bytes_of(ids(1, 2, 3)) == 2 * 3 * 2 + 3 * 4
    assert store.bytes_of(ids(3, 3)) == 2 * 3 * 4


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_the_shape_of_rows_outlives_the_shards(shape: tuple[int, ...], tmp_path: Path) -> None:
    """`spec.json` keeps it; rows of another shape are refused, also when no shard is left."""
    store = open_store(tmp_path)
    put(store, ids(1), np.zeros((1, *shape), np.float16))
    assert open_store(tmp_path).row_shape == shape
    assert open_store(tmp_path).read(ids(1)).shape == (1, *shape)
    shards(tmp_path)[0].unlink()
    again = open_store(tmp_path)
    assert (len(again), again.row_shape) == (0, shape)
    with pytest.raises(StoreError, match="were not made by the same network"):
        put(again, ids(2), np.zeros((1, *shape, 7), np.float16))


@pytest.mark.parametrize("shape", ["3", [3.0], [-1], [True], {"0": 3}])
def test_a_shape_that_is_none_is_a_damaged_spec_file(shape: object, tmp_path: Path) -> None:
    """One line, with the remedy."""
    put(open_store(tmp_path), ids(1), rows(1))
    path = tmp_path / "key" / "spec.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"row_shape": shape}))
    with pytest.raises(StoreError, match="cannot be read: row_shape .*`featstore cache repair`"):
        open_store(tmp_path)


def test_many_ids_are_made_and_looked_up_as_one(tmp_path: Path) -> None:
    """With rows of shards that are stored and of one that this process has just written."""
    digests = [f"{number:064x}" for number in range(4)]
    made = row_ids(digests, 3)
    assert made == [row_id(digest, 3) for digest in digests]
    with pytest.raises(ValueError, match="SHA-256"):
        row_ids([*digests, "ab"])
    store = open_store(tmp_path)
    with store.writing() as writer:
        writer.append(made[:1], np.ones((1, 4), np.float16))
        assert store.which(made) == [True, False, False, False]
    assert store.which(made) == [row in store for row in made]


def test_the_index_takes_in_what_a_long_run_adds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The places of a million new rows would be 250 MB, and a killed run would leave all its shards to be verified."""
    monkeypatch.setattr(inventory, "MOST_ADDED", 4)
    store = keyfolder.open_key(tmp_path)
    with store.writing() as writer:
        for first in range(0, 12, 2):
            writer.append(keyfolder.ids(first, first + 1), keyfolder.rows(first, first + 1))
            assert len(store._inventory.now.added) < 4
        assert len(keyfolder.open_key(tmp_path)) == 12
        assert all(row in store for row in keyfolder.ids(*range(12)))
