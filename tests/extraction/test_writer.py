"""The queue of rows: rows wait for a full shard, and float16 is used where it suffices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from featstore.errors import StoreError
from featstore.extraction import writer as module
from featstore.extraction.writer import RowQueue, Task
from featstore.store.rowid import RowId, row_id
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of

BATCH = 32


def rid(number: int) -> RowId:
    return row_id(f"{number:064x}")


@pytest.fixture
def store(tmp_path: Path) -> RowStore:
    return RowStore(tmp_path / "key", key_of({}), "{}", dict)


def again(store: RowStore) -> RowStore:
    """Return a store with the same rows, as another process finds them."""
    return RowStore(store.folder, store.key, "{}", dict)


def shards(store: RowStore) -> list[tuple[str, int]]:
    """Return (dtype, rows) of each shard."""
    found = []
    for path in store.folder.glob("s-*.h5"):
        with h5py.File(path) as file:
            found.append((file["features"].dtype.name, len(file["features"])))
    return sorted(found)


def new_queue(store: RowStore, *options: Any, **more: Any) -> RowQueue:
    return RowQueue(Task(store, *options, **more), store.writing())


def fill(queue: RowQueue, numbers: range) -> None:
    """Add a batch of rows that hold their numbers three times."""
    ids = [rid(number) for number in numbers]
    for row in ids:
        assert queue.claim(row)
        queue.reserve(row)
    queue.add_computed(ids, np.repeat(np.array(numbers, np.float32)[:, None], 3, axis=1))


def test_stored_and_reserved_rows_are_not_asked_for_again(store: RowStore) -> None:
    """These are copies of one image, and images of an earlier run."""
    first = new_queue(store)
    fill(first, range(3))
    first.reserve(rid(3))
    assert not any(first.needs_pixels(rid(number)) for number in range(4))
    first.store_rows()
    second = new_queue(again(store))
    assert [second.needs_pixels(rid(number)) for number in range(4)] == [False, False, False, True]
    second.add_derived(rid(1))
    second.store_rows()
    assert shards(store) == [("float16", 3)]
    assert (first.computed, second.computed) == (3, 0)


def test_of_rows_that_are_stored_nothing_is_kept(store: RowStore) -> None:
    """Of a million rows, ids and claims would be 300 MB in each process. Neither is a stored row computed again."""
    queue = new_queue(store)
    fill(queue, range(BATCH))
    claims = queue.writer.claims
    assert (len(queue._reserved), [claims.is_free(rid(n)) for n in (0, BATCH - 1)]) == (BATCH, [True, True])
    other = new_queue(again(store)).writer.claims
    assert not other.is_free(rid(0))
    queue.store_rows()
    assert (len(queue._reserved), other.is_free(rid(0)), other.is_free(rid(BATCH - 1))) == (0, True, True)
    assert not any(queue.needs_pixels(rid(number)) for number in range(BATCH))


def test_a_shard_is_written_when_it_is_full(store: RowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes in memory count."""
    monkeypatch.setattr(module, "SHARD_BYTES", 2 * BATCH * 3 * 4)
    queue = new_queue(store)
    fill(queue, range(2 * BATCH - 1))
    assert shards(store) == []
    fill(queue, range(2 * BATCH - 1, 2 * BATCH))
    assert shards(store) == [("float16", 2 * BATCH)]
    fill(queue, range(2 * BATCH, 2 * BATCH + 1))
    queue.store_rows()
    assert shards(store) == [("float16", 1), ("float16", 2 * BATCH)]


def test_a_shard_is_written_when_it_is_time(store: RowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow base does not put much work at risk; the time counts from the last shard."""
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    queue = new_queue(store)
    stored = []
    for batch in range(6):
        now[0] += 6
        fill(queue, range(batch * BATCH, (batch + 1) * BATCH))
        stored.append(len(again(store)) // BATCH)
    assert stored == [0, 2, 2, 4, 4, 6]


@pytest.mark.parametrize("spoil", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_refused(store: RowStore, spoil: float) -> None:
    """The reason is noted. The others of the batch are stored, and only they count as computed."""
    queue = new_queue(store)
    rows = np.repeat(np.arange(4, dtype=np.float32)[:, None], 3, axis=1)
    rows[1::2, 2] = spoil
    queue.add_computed([rid(number) for number in range(4)], rows)
    queue.store_rows()
    assert queue.refused == dict.fromkeys([rid(1), rid(3)], "the base computes NaN or infinity for this image")
    assert [rid(n) in again(store) for n in range(4)] == [True, False, True, False]
    assert again(store).read([rid(2)]).tolist() == [[2, 2, 2]]
    assert queue.computed == 2


def test_a_batch_of_refused_rows_only_is_fine(store: RowStore) -> None:
    """No empty shard is written."""
    queue = new_queue(store)
    queue.add_computed([rid(0), rid(1)], np.full((2, 3), np.nan, np.float32))
    queue.store_rows()
    assert (len(queue.refused), queue.computed, shards(store)) == (2, 0, [])


def test_more_or_fewer_rows_than_ids_are_an_error(store: RowStore) -> None:
    """A row must never be stored under another image's id."""
    for count in (1, 3):
        with pytest.raises(ValueError, match="zip"):
            new_queue(store).add_computed([rid(0), rid(1)], np.zeros((count, 3), np.float32))
    assert shards(store) == []


numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=numbers))
def test_every_row_is_stored_within_a_thousandth(tmp_path_factory: pytest.TempPathFactory, rows: np.ndarray) -> None:
    """The error is relative to the largest number of the row, in float16 if that suffices, else in float32."""
    store = RowStore(tmp_path_factory.mktemp("store"), key_of({}), "{}", dict)
    queue = new_queue(store)
    queue.add_computed([rid(n) for n in range(len(rows))], rows)
    queue.store_rows()
    kept = again(store).read([rid(n) for n in range(len(rows))]).astype(np.float64)
    error = np.abs(kept - rows).max(axis=1)
    assert (error <= 1e-3 * np.abs(rows.astype(np.float64)).max(axis=1)).all()


def stored_as(store: RowStore, rows: list[list[float]], dtype: str = "float16") -> list[tuple[str, int]]:
    queue = new_queue(store, dtype)
    queue.add_computed([rid(n) for n in range(len(rows))], np.array(rows, np.float32))
    queue.store_rows()
    return shards(store)


@pytest.mark.parametrize(
    "row, dtype",
    [
        ([1.0, 2.0], "float16"),
        ([0.0, 0.0], "float16"),
        ([65504.0, -65504.0], "float16"),  # the largest number of float16
        ([1.0, 1e-7], "float16"),  # the loss is negligible compared with the other number
        ([1.0, 65536.0], "float32"),
        ([-70000.0, 0.0], "float32"),
        ([3e38, 1.0], "float32"),
        ([1e-6, 2e-6], "float32"),  # below 6e-5 float16 has ever fewer digits
        ([0.0, 1e-30], "float32"),
    ],
)
def test_float16_is_for_rows_that_it_can_hold(store: RowStore, row: list[float], dtype: str) -> None:
    """Numbers that are too large become infinity there, and numbers that are too small become zero."""
    assert stored_as(store, [row]) == [(dtype, 1)]


def test_a_row_does_not_depend_on_its_neighbours(store: RowStore) -> None:
    """Rows that float16 can hold stay float16 in a batch with one that it cannot, and each keeps its own id."""
    rows = [[1.0, 1.0], [1e6, 0.0], [3.0, 4.0]]
    assert stored_as(store, rows) == [("float16", 2), ("float32", 1)]
    assert again(store).read([rid(0), rid(2)]).dtype == np.float16
    assert again(store).read([rid(2), rid(1), rid(0)]).tolist() == rows[::-1]


def test_float32_is_for_all_rows_on_request(store: RowStore) -> None:
    """Rows are stored bit for bit."""
    rows = [[1 / 3, 1.0], [1e6, 1e-30]]
    assert stored_as(store, rows, "float32") == [("float32", 2)]
    assert np.array_equal(again(store).read([rid(0), rid(1)]), np.array(rows, np.float32))


def test_rows_that_follow_from_others_need_no_base(store: RowStore) -> None:
    """They need no pixels either, and do not count as computed; the others go through the base."""
    known = {rid(n): np.full(3, n, np.float32) for n in range(3)}
    queue = new_queue(store, derive=known.get)
    for number in range(3):
        assert not queue.needs_pixels(rid(number))
        queue.add_derived(rid(number))
    fill(queue, range(3, 5))
    queue.store_rows()
    assert queue.computed == 2
    assert again(store).read([rid(n) for n in range(5)])[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_row_is_derived_once(store: RowStore) -> None:
    """It is asked about before it is added, and maps are large. Only the latest rows are in memory."""
    asked: list[RowId] = []
    queue = new_queue(store, derive=lambda row: (asked.append(row), np.zeros(3, np.float32))[1])
    for number in range(1000):
        assert not queue.needs_pixels(rid(number))
    assert len(queue._derived) <= 256
    asked.clear()
    for number in range(1000, 1010):
        assert not queue.needs_pixels(rid(number))
        queue.add_derived(rid(number))
    assert asked == [rid(number) for number in range(1000, 1010)]


def test_derived_rows_make_full_shards(store: RowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """They do not pile up in memory."""
    monkeypatch.setattr(module, "SHARD_BYTES", 10 * 3 * 4)
    queue = new_queue(store, derive=lambda row: np.zeros(3, np.float32))
    for number in range(25):
        queue.add_derived(rid(number))
    assert shards(store) == [("float16", 10), ("float16", 10)]


def test_a_store_error_leaves_the_queue_as_it_was(store: RowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are not lost while the process lives."""
    queue = new_queue(store)
    fill(queue, range(3))

    def full(*arguments: object) -> None:
        raise StoreError("full")

    with monkeypatch.context() as patch:
        patch.setattr(queue.writer, "append", full)
        with pytest.raises(StoreError, match="full"):
            queue.store_rows()
    queue.store_rows()
    assert len(again(store)) == 3
