"""Open shards: what is read is what was verified, whatever happens to the files meanwhile."""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.errors import StoreError
from featstore.store import open_shards
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from helpers.keyfolder import ids, put, save

linux = pytest.mark.skipif(sys.platform != "linux", reason="what is open is asked of /proc")
Read = Callable[[RowStore, Sequence[int]], np.ndarray]


def open_store(folder: Path) -> RowStore:
    return RowStore(folder, key_of({}), "{}", dict)


def numbered(first: int, count: int, dtype: Any = np.float16) -> np.ndarray:
    """(count, 4); a row holds its number."""
    return np.repeat(np.arange(first, first + count, dtype=dtype)[:, None], 4, axis=1)


def filled(folder: Path, shards: int = 4, each: int = 5) -> RowStore:
    """Return a new reader of rows 0, 1, 2, ... in several shards."""
    store = open_store(folder)
    for first in range(0, shards * each, each):
        put(store, ids(*range(first, first + each)), numbered(first, each))
    save(store)
    return open_store(folder)


def by_call(store: RowStore, numbers: Sequence[int]) -> np.ndarray:
    return store.read_at(store.locate(ids(*numbers)))


def by_map(store: RowStore, numbers: Sequence[int]) -> np.ndarray:
    return store.read_at(store.locate(ids(*numbers)), mapped=True)


both = pytest.mark.parametrize("read", [by_call, by_map])


def shard_with(folder: Path, number: int) -> Path:
    return next(path for path in folder.glob("s-*.h5") if ids(number)[0] in path.read_bytes())


def flip(path: Path) -> None:
    """Damage a file in place, in its last row."""
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        [last] = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))


def rewrite(path: Path) -> None:
    """The same bytes in another file, as another process leaves them that made the same rows."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


def opened(folder: Path) -> set[str]:
    """The shards of `folder` among the files that this process has open."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    targets = [os.readlink(link) for link in links if os.path.lexists(link)]
    return {target for target in targets if target.startswith(f"{folder}/s-")}


@both
def test_rows_come_in_the_order_asked_for(tmp_path: Path, read: Read) -> None:
    """They come from several shards, backwards, and one of them twice."""
    store = filled(tmp_path)
    for numbers in ([0, 1, 2], [19, 3, 3, 12, 0], [*range(19, -1, -1)], [*range(20)]):
        assert np.array_equal(read(store, numbers)[:, 0], numbers)
    assert by_call(store, []).shape == by_map(store, []).shape == (0, 4)


@linux
@both
def test_only_so_many_files_are_open(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used shard is closed, and opened again when it is needed."""
    monkeypatch.setattr(open_shards, "MOST_OPEN", 2)
    store = filled(tmp_path, shards=6)
    for _ in range(3):
        for number in (0, 7, 12, 29, 1):
            assert read(store, [number])[0, 0] == number
            assert len(opened(tmp_path)) <= 2
    assert np.array_equal(read(store, range(30))[:, 0], range(30))
    assert len(opened(tmp_path)) <= 2


@linux
@both
def test_more_shards_than_files_may_be_open_are_read(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All in one batch, over and over: shard by shard then, and never more than so many files."""
    store = filled(tmp_path, shards=130, each=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = len(os.listdir("/proc/self/fd"))
    free = [os.open("/dev/null", os.O_RDONLY) for _ in range(40)]
    for number in free:
        os.close(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1] + 1, hard))
    try:
        monkeypatch.setattr(open_shards, "MOST_OPEN", 10)
        for numbers in (range(260), range(0, 40, 4), range(259, -1, -3), range(0, 20, 2)):
            assert np.array_equal(read(store, numbers)[:, 0], numbers)
            assert len(os.listdir("/proc/self/fd")) <= others + 22
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("limit, most", [(64, 8), (1024, 128), (20000, 2048), (resource.RLIM_INFINITY, 2048)])
def test_as_many_files_are_open_as_the_process_may_have(monkeypatch: pytest.MonkeyPatch, limit: int, most: int) -> None:
    """An eighth, a quarter with the maps: a batch over more shards opens them again, ten times as slow."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert open_shards._most_open() == most


@linux
def test_what_is_in_use_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one used longest ago that goes."""
    monkeypatch.setattr(open_shards, "MOST_OPEN", 2)
    store = filled(tmp_path, shards=3)
    for number in (0, 5, 0, 10):
        by_call(store, [number])
    assert opened(tmp_path) == {str(shard_with(tmp_path, number)) for number in (0, 10)}


@linux
@both
def test_the_limit_is_that_of_the_process(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache keeps several stores, and each may have many shards."""
    monkeypatch.setattr(open_shards, "MOST_OPEN", 3)
    stores = [filled(tmp_path / name) for name in "abc"]
    for _ in range(2):
        for number, store in enumerate(stores):
            assert np.array_equal(read(store, [number, 19])[:, 0], [number, 19])
            assert sum(len(opened(tmp_path / name)) for name in "abc") <= 3
    del store, stores[0]
    assert not opened(tmp_path / "a")


@linux
@both
def test_nothing_is_left_open(tmp_path: Path, read: Read) -> None:
    """Files are closed with the store that opened them."""
    store = filled(tmp_path)
    read(store, range(20))
    assert len(opened(tmp_path)) == 4
    del store
    assert not opened(tmp_path)


def test_a_read_may_bring_less_than_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network file systems do that; the rest is then read."""
    store, real = filled(tmp_path), os.preadv
    monkeypatch.setattr(os, "preadv", lambda number, buffers, at: real(number, [buffers[0][:3]], at))
    assert np.array_equal(by_call(store, range(20))[:, 0], range(20))


def test_an_error_of_the_disk_is_an_error_and_not_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad sector: StoreError from `read`, and the process goes on; what a second look can read is served."""

    def fail(*arguments: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    store, real = filled(tmp_path), os.preadv
    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(StoreError, match="rows that were stored are gone or cannot be read"):
        store.read(ids(0, 7))
    calls = iter([fail])
    monkeypatch.setattr(os, "preadv", lambda *arguments: next(calls, real)(*arguments))
    assert store.read(ids(0, 7))[:, 0].tolist() == [0, 7]


@both
@pytest.mark.parametrize("opened_before", [False, True])
def test_a_file_that_is_cut_short_is_not_served(tmp_path: Path, read: Read, opened_before: bool) -> None:
    """A line names it, whether it was open or not; rows of other shards are still served."""
    store = filled(tmp_path)
    if opened_before:
        read(store, range(20))
    path = shard_with(tmp_path, 7)
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(StoreError, match=f"^{path.name}: the bytes do not match the name: damaged$"):
        read(store, [7])
    with pytest.raises(StoreError, match="gone or cannot be read"):
        store.read(ids(7))
    assert read(store, [0])[0, 0] == 0


def test_a_file_that_ends_while_it_is_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut short between the look at its state and the read."""
    store = filled(tmp_path)
    by_call(store, [7])
    path = shard_with(tmp_path, 7)
    monkeypatch.setattr(open_shards._File, "is_as_verified", lambda self, entry: True)
    os.truncate(path, 100)
    for read in (by_call, by_map):
        with pytest.raises(StoreError, match=f"^{path.name}: ends before its rows do$"):
            read(store, [7])


@both
@pytest.mark.parametrize("opened_before", [False, True])
def test_a_flipped_bit_is_never_served(tmp_path: Path, read: Read, opened_before: bool) -> None:
    """Name and size of the file are unchanged."""
    store = filled(tmp_path)
    if opened_before:
        read(store, range(20))
    flip(shard_with(tmp_path, 7))
    for numbers in ([9], [5], range(20)):
        with pytest.raises(StoreError, match="the bytes do not match the name: damaged"):
            read(store, numbers)


@both
def test_a_file_in_another_state_is_verified_once_more(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later reads do not verify it again."""
    store = filled(tmp_path)
    rewrite(shard_with(tmp_path, 7))
    assert read(store, [7])[0, 0] == 7
    monkeypatch.setattr(store._open_shards(), "_recheck", None)
    assert read(store, [7, 0])[:, 0].tolist() == [7, 0]


@both
def test_float32_among_float16_makes_all_float32(tmp_path: Path, read: Read) -> None:
    """Rows of either kind alone are as they are stored."""
    store = filled(tmp_path, shards=2)
    tiny = numbered(10, 5, np.float32) * np.float32(1e-9)
    put(store, ids(*range(10, 15)), tiny)
    mixed = read(store, [12, 3, 4, 11])
    assert mixed.dtype == np.float32
    assert np.array_equal(mixed, np.concatenate([tiny[[2]], numbered(3, 2), tiny[[1]]]))
    assert (read(store, [3]).dtype, read(store, [12]).dtype) == (np.float16, np.float32)


def test_rows_without_a_number_are_refused(tmp_path: Path) -> None:
    """HDF5 gives such data no place; nothing is written."""
    store = open_store(tmp_path / "key")
    with pytest.raises(StoreError, match="not stored contiguously"):
        put(store, ids(0, 1), np.zeros((2, 0), np.float16))
    assert list(tmp_path.iterdir()) == []


def test_rows_of_a_single_number_are_rows(tmp_path: Path) -> None:
    """Their shape is ()."""
    store = open_store(tmp_path)
    put(store, ids(0, 1, 2), np.arange(3, dtype=np.float16))
    for read in (by_call, by_map):
        assert read(store, [2, 0]).tolist() == [2, 0]


@linux
def test_a_map_survives_its_file_and_its_store(tmp_path: Path) -> None:
    """It stays valid, as usual on Unix; it cannot be written to."""
    store = filled(tmp_path)
    rows = store.view(store.locate(ids(5, 6, 7)))
    assert rows is not None
    assert not rows.flags.writeable
    shard_with(tmp_path, 5).unlink()
    del store
    assert rows[:, 0].tolist() == [5, 6, 7]
    del rows
    assert not opened(tmp_path)


@pytest.mark.parametrize("numbers", [[7, 6], [5, 7], [4, 5], [5, 5], []])
def test_only_what_lies_side_by_side_is_a_view(tmp_path: Path, numbers: list[int]) -> None:
    """Backwards, with gaps, in two shards, twice, and nothing: all of these are not."""
    store = filled(tmp_path)
    assert store.view(store.locate(ids(*numbers))) is None


@pytest.mark.parametrize("harm", [flip, os.unlink])
def test_there_is_no_view_of_what_is_damaged_or_gone(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    """None, and `read` says why."""
    store = filled(tmp_path)
    places = store.locate(ids(5, 6, 7))
    harm(shard_with(tmp_path, 5))
    assert store.view(places) is None
