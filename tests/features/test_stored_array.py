"""Rows on disk as an array: indexed as in NumPy, never damaged, and found after a compaction."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featstore.errors import StoreError
from featstore.features.stored_array import LARGE_ROW, StoredArray
from featstore.store.compaction import _load, compact_key
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from helpers.keyfolder import filled as filled_key
from helpers.keyfolder import ids, open_key, put, save, shard_files
from helpers.keyfolder import rows as rows_of

EACH = 8  # rows of a shard


def array_of(store: RowStore, *numbers: int) -> StoredArray:
    return StoredArray(store, np.frombuffer(b"".join(ids(*numbers)), "V34"))


def stored(folder: Path, rows: np.ndarray) -> StoredArray:
    """Store `rows` in shards of EACH, in their order."""
    store = RowStore(folder, key_of({}), "{}", dict)
    for first in range(0, len(rows), EACH):
        part = rows[first : first + EACH]
        put(store, ids(*range(first, first + len(part))), part)
    save(store)
    return array_of(store, *range(len(rows)))


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    """(20, 2, 3) rows; all numbers are different."""
    return np.arange(120, dtype=np.float16).reshape(20, 2, 3)


@pytest.fixture(scope="module")
def X(plain: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> StoredArray:
    """The same rows in three shards."""
    return stored(tmp_path_factory.mktemp("rows"), plain)


def is_map(rows: np.ndarray) -> bool:
    """Whether an array is a memory map of a file."""
    base: Any = rows
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return isinstance(base, memoryview)


def test_it_looks_like_an_array(X: StoredArray, plain: np.ndarray) -> None:
    """It has what scikit-learn and users need; its repr names the folder."""
    assert (len(X), X.shape, X.ndim, X.dtype) == (20, (20, 2, 3), 3, np.float16)
    assert (X.row_size, X.row_bytes) == (6, 12)
    assert repr(X).startswith("<StoredArray (20, 2, 3) float16 in ")


def test_as_an_array_it_is_all_rows(X: StoredArray, plain: np.ndarray) -> None:
    """It has the dtype asked for, and a copy can be written to, as in NumPy."""
    assert np.array_equal(np.asarray(X), plain)
    assert np.asarray(X, np.float32).dtype == np.float32
    assert np.array(X).flags.writeable
    assert not np.asarray(X).flags.writeable
    assert np.array_equal(np.mean(X, axis=0), np.mean(plain, axis=0))
    assert np.array_equal(list(X), plain)


def test_without_a_copy_only_a_map_will_do(X: StoredArray, plain: np.ndarray, tmp_path: Path) -> None:
    """NumPy 2's `copy=False` needs all rows in one shard and in their stored dtype, else ValueError."""
    whole = stored(tmp_path, plain[:EACH])
    assert is_map(whole.__array__(copy=False))
    for wrong in (lambda: X.__array__(copy=False), lambda: whole.__array__(np.float32, copy=False)):
        with pytest.raises(ValueError, match="cannot return a view"):
            wrong()


slices = st.slices(20)
numbers = st.integers(-20, 19)
keys = st.one_of(
    slices, numbers, st.lists(numbers, max_size=30), st.lists(st.booleans(), min_size=20, max_size=20).map(np.array)
)


@settings(deadline=None, max_examples=300)
@given(keys)
def test_rows_are_chosen_as_numpy_does(X: StoredArray, plain: np.ndarray, key: Any) -> None:
    """Keys are numbers from either end, slices with any step, lists with repetitions, and masks."""
    chosen = X[key]
    expected = plain[np.array(key, np.intp) if isinstance(key, list) else key]
    assert np.array_equal(chosen, expected)
    assert (chosen.shape, chosen.dtype) == (expected.shape, expected.dtype)
    assert chosen.flags.writeable == isinstance(key, list | np.ndarray)


def test_scikit_learn_and_numpy_ask_in_other_ways_too(X: StoredArray, plain: np.ndarray) -> None:
    """Keys may have an ellipsis, stand for all rows, or be NumPy's numbers."""
    assert np.array_equal(X[np.array([1, 0]), ...], plain[[1, 0]])
    assert np.array_equal(X[...], plain)
    assert np.array_equal(X[np.int64(3)], plain[3])
    assert np.array_equal(X[np.array([3, 1], np.uint8)], plain[[3, 1]])


@pytest.mark.parametrize("key", [20, -21, [0, 20], 1.5, "a", None, True, [True], [[0]], (0, 1), np.ones(19, bool)])
def test_what_does_not_choose_rows_is_refused(X: StoredArray, key: Any) -> None:
    """IndexError says what is expected."""
    with pytest.raises(IndexError, match="row index out of range for 20 rows|expected a number, a slice, a list"):
        X[key]


def test_what_lies_in_one_shard_is_a_map(X: StoredArray, plain: np.ndarray) -> None:
    """It is read-only; a slice over two shards is copied."""
    for part in (slice(0, 8), slice(9, 12), slice(16, None)):
        assert is_map(X[part])
        with pytest.raises(ValueError, match="read-only"):
            X[part][:] = 0
    assert not is_map(X[7:9])


def test_blocks_are_all_rows_in_order(X: StoredArray, plain: np.ndarray) -> None:
    """Blocks have a largest size, and at least one row."""
    blocks = list(X.blocks(3 * X.row_bytes + 1))
    assert [len(block) for block in blocks] == [3] * 6 + [2]
    assert np.array_equal(np.concatenate(blocks), plain)
    assert [len(block) for block in X.blocks(1)] == [1] * 20
    assert len(list(X.blocks())) == 1


@pytest.mark.parametrize("width", [4, LARGE_ROW])
@pytest.mark.parametrize("most_bytes", [10**9, 1])
def test_batches_are_every_row_once(tmp_path: Path, width: int, most_bytes: int) -> None:
    """Rows come with their numbers, for the labels, and the same seed gives the same order, for any size of row."""
    plain = np.repeat(np.arange(50, dtype=np.float16)[:, None], width, axis=1)
    X = stored(tmp_path, plain)
    orders = []
    for seed in (0, 0, 1):
        batches = [(len(rows), rows[:, 0].tolist(), which.tolist()) for rows, which in X.batches(16, seed=seed)]
        assert [count for count, _, _ in batches] == [16, 16, 16, 2]
        assert all(rows == which for _, rows, which in batches)
        orders.append([number for _, _, which in batches for number in which])
    assert sorted(orders[0]) == list(range(50))
    assert orders[0] == orders[1] != orders[2]
    assert all(rows.dtype == np.float16 for rows, _ in X.batches(16, most_bytes=most_bytes))


def test_rows_that_need_float32_make_all_float32(tmp_path: Path) -> None:
    """Every way of reading gives float32; only rows stored in float32 can be mapped."""
    plain = np.arange(3 * EACH, dtype=np.float32)[:, None] * np.float32(1e-9)
    plain[:EACH] = 1
    store = RowStore(tmp_path, key_of({}), "{}", dict)
    for first in range(0, len(plain), EACH):
        put(store, ids(*range(first, first + EACH)), plain[first : first + EACH].astype("f4" if first else "f2"))
    X = array_of(store, *range(len(plain)))
    assert X.dtype == np.float32
    for chosen in (X[:], X[:EACH], X[[0, 9]], X[0], next(X.blocks()), next(X.batches(4))[0], np.asarray(X)):
        assert chosen.dtype == np.float32
    assert np.array_equal(X[:], plain)
    assert (is_map(X[:4]), is_map(X[EACH : EACH + 4])) == (False, True)


def test_no_rows_are_an_empty_array(tmp_path: Path) -> None:
    """It has the shape of a row."""
    X = stored(tmp_path, np.ones((3, 2), np.float16))
    none = array_of(X._store)
    assert none.shape == none[:].shape == none[[]].shape == (0, 2)
    assert list(none.blocks()) == list(none.batches(4)) == []


READS: list[Callable[[StoredArray], Any]] = [
    lambda X: X[:4],
    lambda X: X[1],
    lambda X: X[[3, 0]],
    lambda X: X[:],
    lambda X: list(X.blocks()),
    lambda X: list(X.batches(4)),
]
ways = pytest.mark.parametrize("read", READS, ids=["slice", "row", "list", "all", "blocks", "batches"])


@ways
@pytest.mark.parametrize("used_before", [False, True])
def test_a_damaged_shard_is_never_served(tmp_path: Path, read: Callable[[StoredArray], Any], used_before: bool) -> None:
    """A bit flipped in the file while it is open: one line that says what to do."""
    X = stored(tmp_path, np.ones((EACH, 2), np.float16))
    if used_before:
        read(X)
    [path] = shard_files(tmp_path)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    with pytest.raises(StoreError, match="rows that were stored are gone or cannot be read"):
        read(X)


@ways
@pytest.mark.parametrize("used_before", [False, True])
def test_pruned_rows_are_one_error(tmp_path: Path, read: Callable[[StoredArray], Any], used_before: bool) -> None:
    """Every access raises it; a map that is still in use stays valid."""
    X = stored(tmp_path, np.ones((EACH, 2), np.float16))
    held = X[:4]
    if used_before:
        read(X)
    for path in tmp_path.iterdir():
        path.unlink()
    for _ in range(2):
        with pytest.raises(StoreError, match="rows that were stored are gone"):
            read(X)
    assert np.array_equal(held, np.ones((4, 2)))
    with pytest.raises(StoreError, match="rows that were stored are gone; extract them again"):
        read(array_of(X._store, *range(EACH)))


def test_other_rows_do_not_suffer_from_a_damaged_shard(tmp_path: Path) -> None:
    """They are served before and after the damage was found."""
    X = stored(tmp_path, np.arange(3 * EACH, dtype=np.float16)[:, None])
    os.truncate(next(path for path in shard_files(tmp_path) if ids(EACH)[0] in path.read_bytes()), 100)
    for _ in range(2):
        with pytest.raises(StoreError, match="rows that were stored are gone"):
            X[[0, EACH]]
        assert X[:EACH].tolist() == X[[*range(EACH)]].tolist() == [[n] for n in range(EACH)]
        assert X[[-1, 2]].tolist() == [[3 * EACH - 1], [2]]


@ways
@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize("compress", [None, "zstd"])
def test_compacted_rows_are_found_where_they_are(
    tmp_path: Path, read: Callable[[StoredArray], Any], used_before: bool, compress: str | None
) -> None:
    """They are read from the new shard, plain or compressed, and the folder is not listed again."""
    if compress:
        pytest.importorskip("hdf5plugin")
    folder = filled_key(tmp_path, shards=3, each=2)
    X = array_of(open_key(tmp_path), *range(6))
    if used_before:
        read(X)
    compact_key(folder, compress)
    assert len(shard_files(folder)) == 1
    read(X)
    assert np.array_equal(X[:], rows_of(*range(6)))
    assert np.array_equal(X[[5, 0]], rows_of(5, 0))


def test_a_compaction_waits_for_no_pipe(tmp_path: Path) -> None:
    """A pipe that replaced a shard after the folder was listed is a one-line error."""
    [path] = shard_files(filled_key(tmp_path, shards=1))
    store = open_key(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StoreError, match="cannot be read: not a regular file"):
        _load(store, path.name)


def test_compressed_rows_are_gathered(tmp_path: Path) -> None:
    """They cannot be mapped; all else is the same."""
    pytest.importorskip("hdf5plugin")
    compact_key(filled_key(tmp_path, shards=3, each=2), "zstd")
    X = array_of(open_key(tmp_path), *range(6))
    assert not is_map(X[:3])
    assert np.array_equal(X[:3], rows_of(0, 1, 2))
    assert np.array_equal(np.concatenate([X[which] for _, which in X.batches(4)])[:, 2], [0.5] * 6)


def test_scikit_learn_learns_from_batches(tmp_path: Path) -> None:
    """`partial_fit` takes float16 batches; other estimators take the array and read all rows."""
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.model_selection import cross_val_score

    random = np.random.default_rng(0)
    y = np.repeat(["a", "b"], 60)
    X = stored(tmp_path, (random.normal(size=(120, 5)) + 4 * (y == "b")[:, None]).astype(np.float16))
    model = SGDClassifier(random_state=0)
    for epoch in range(3):
        for rows, which in X.batches(16, seed=epoch):
            model.partial_fit(rows, y[which], classes=["a", "b"])
    assert model.score(X, y) > 0.95
    assert cross_val_score(LogisticRegression(), X, y, cv=3).min() > 0.9


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_look_at_all_rows_in_blocks_takes_the_memory_of_a_block(tmp_path: Path) -> None:
    """64 MB of rows are mapped, not copied, and the system reclaims the memory when it needs it."""
    X = stored(tmp_path, np.zeros((8 * EACH, 2**19), np.float16))
    next(X.blocks(2**20))
    before = _resident()
    most = 0
    for block in X.blocks(2**20):
        block.view(np.int16).max()
        most = max(most, _resident() - before)
    assert most < 8 * 2**20


def _resident() -> int:
    """Return the bytes of this process that are not backed by files."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.split("RssAnon:")[1].split()[0])
