"""Rows in shuffled batches: each once per epoch and with its own target, from memory or block by block."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.features.batches import ShuffledBatches
from featstore.features.stored_rows import StoredRows
from featstore.heads.shuffle import ROWS_PER_RUN
from featstore.store.places import Places
from featstore.store.rowid import RowId, row_id
from featstore.store.rowstore import RowStore
from featstore.store.spec_file import key_of
from helpers.keyfolder import put

WIDTH = 4
ROW = 2 * WIDTH  # bytes of a row in float16
ALL = 10**9


class AskedStore(RowStore):
    """A store that notes how many rows each read asks for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, key_of({}), "{}", dict)
        self.asked: list[int] = []

    def read_at(self, places: Places, mapped: bool = False) -> Any:
        self.asked.append(len(places.row))
        return super().read_at(places, mapped)


class WatchedRows(StoredRows):
    """Rows that note what is read, and the most bytes of their blocks that were in memory at a time."""

    def __init__(self, places: Sequence[tuple[RowStore, RowId]]) -> None:
        super().__init__(places)
        self.which: list[np.ndarray] = []
        self.most, self._blocks = 0, list[Any]()

    def read(self, which: Any) -> Any:
        block = super().read(which)
        self.which.append(which)
        self._blocks.append(weakref.ref(block))
        self.most = max(self.most, sum(b.nbytes for b in (ref() for ref in self._blocks) if b is not None))
        return block


def store_of(folder: Path, rows: np.ndarray) -> AskedStore:
    store = AskedStore(folder)
    put(store, [row_id(f"{n:064x}") for n in range(len(rows))], rows)
    return store


def numbered(count: int, first: int = 0, dtype: Any = np.float16) -> np.ndarray:
    """Return (count, WIDTH) rows; each holds its number."""
    return np.repeat(np.arange(first, first + count, dtype=dtype)[:, None], WIDTH, axis=1)


def places(store: RowStore, count: int) -> list[tuple[RowStore, RowId]]:
    return [(store, row_id(f"{n:064x}")) for n in range(count)]


@pytest.fixture
def store(tmp_path: Path) -> AskedStore:
    """Rows 0 to 999."""
    return store_of(tmp_path / "numbers", numbered(1000))


def batches_of(rows: StoredRows, batch: int = 16, memory: int = ALL, seed: int = 0) -> ShuffledBatches:
    """Return batches in which the target of a row is its place, and so the number that it holds."""
    return ShuffledBatches(rows, np.arange(len(rows)), batch, memory, np.random.default_rng(seed))


def order_of(batches: ShuffledBatches, epoch: int = 1) -> list[int]:
    """Return the numbers of the rows in the order of an epoch, after a check of each row and its target."""
    seen: list[int] = []
    for rows, targets in batches.epoch(epoch):
        assert np.array_equal(rows, np.repeat(targets[:, None], WIDTH, axis=1))
        seen += targets.tolist()
    return seen


MEMORIES = [pytest.param(ALL, id="held"), pytest.param(200 * ROW, id="streamed"), pytest.param(1, id="batchwise")]


@pytest.mark.parametrize("memory", MEMORIES)
def test_every_row_comes_once_in_each_epoch_with_its_own_target(store: AskedStore, memory: int) -> None:
    """The number of rows in memory does not matter."""
    batches = batches_of(StoredRows(places(store, 1000)), memory=memory)
    for epoch in (1, 2, 3):
        assert sorted(order_of(batches, epoch)) == list(range(1000))


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_order_is_new_in_each_epoch_and_the_same_for_the_same_seed(store: AskedStore, memory: int) -> None:
    """A training can be repeated."""
    rows = StoredRows(places(store, 1000))
    first, again, other = (batches_of(rows, memory=memory, seed=seed) for seed in (0, 0, 1))
    orders = [order_of(first, epoch) for epoch in (1, 2)]
    assert orders[0] != orders[1]
    assert [order_of(again, epoch) for epoch in (1, 2)] == orders
    assert order_of(other) not in orders


def test_two_stores_are_one_set_of_rows(tmp_path: Path) -> None:
    """Plain rows and augmented ones keep the order of their places; a few of the second store are read at a time."""
    one, two = (store_of(tmp_path / name, numbered(100, first)) for name, first in (("one", 0), ("two", 100)))
    mixed = [pair for both in zip(places(one, 100), places(two, 100), strict=True) for pair in both]
    numbers = np.arange(200).reshape(2, 100).T.ravel()
    rows = StoredRows(mixed)
    assert len(rows) == 200
    assert rows.read(np.arange(200))[:, 0].tolist() == numbers.tolist()
    assert rows.read(np.array([3, 0, 199, 2]))[:, 0].tolist() == [101, 0, 199, 1]
    assert max(one.asked + two.asked) <= ROWS_PER_RUN
    for memory in (ALL, 40 * ROW):
        batches = ShuffledBatches(rows, numbers, 16, memory, np.random.default_rng(0))
        assert sorted(order_of(batches)) == list(range(200))


def test_float32_rows_among_float16_keep_every_digit(tmp_path: Path) -> None:
    """Rows that float16 cannot hold are in a store of their own or in the same one."""
    tiny = numbered(10, 1, np.float32) * np.float32(1e-9)
    mixed = store_of(tmp_path / "mixed", numbered(10))
    put(mixed, [row_id(f"{n:064x}") for n in range(10, 20)], tiny)
    plain, wide = store_of(tmp_path / "plain", numbered(10)), store_of(tmp_path / "wide", tiny)
    expected = np.concatenate([numbered(10), tiny])
    for rows in (StoredRows(places(mixed, 20)), StoredRows(places(plain, 10) + places(wide, 10))):
        assert rows.row_bytes == 4 * WIDTH
        for memory in (ALL, 8 * rows.row_bytes):
            seen = [pair for batch in batches_of(rows, 4, memory).epoch(1) for pair in zip(*batch, strict=True)]
            assert len(seen) == 20
            assert all(np.array_equal(row, expected[target]) for row, target in seen)
    assert StoredRows(places(plain, 10)).row_bytes == ROW
    assert StoredRows(places(plain, 10)).read(np.arange(3)).dtype == np.float16


def test_what_fits_is_read_once(store: AskedStore) -> None:
    """All epochs use the rows in memory."""
    batches = batches_of(StoredRows(places(store, 960)), memory=960 * ROW)
    assert batches.fits
    for epoch in (1, 2, 3):
        order_of(batches, epoch)
    assert store.asked == [960]


def test_what_just_fits_is_held_too(store: AskedStore) -> None:
    """The last batch need not be full."""
    assert batches_of(StoredRows(places(store, 1000)), memory=1000 * ROW).fits


def test_of_rows_that_are_held_every_order_is_as_likely(store: AskedStore) -> None:
    """All six orders of three rows are about equally frequent."""
    batches = batches_of(StoredRows(places(store, 3)))
    counts = Counter(tuple(order_of(batches, epoch)) for epoch in range(600))
    assert len(counts) == 6
    assert all(70 < count < 130 for count in counts.values())


def test_never_more_rows_are_in_memory_than_was_said(store: AskedStore) -> None:
    """A block is released before the next one is read, and a block has no row too many."""
    rows = WatchedRows(places(store, 1000))
    batches = batches_of(rows, memory=210 * ROW)
    assert not batches.fits
    for epoch in (1, 2):
        order_of(batches, epoch)
    assert store.asked == 2 * [208, 208, 208, 208, 168]  # whole batches of 16
    assert rows.most == 208 * ROW


def test_a_batch_is_the_least_that_is_read(store: AskedStore) -> None:
    """This holds however small the memory is."""
    order_of(batches_of(StoredRows(places(store, 40)), memory=1))
    assert store.asked == [16, 16, 8]


@pytest.mark.parametrize("memory", MEMORIES)
def test_all_batches_are_whole_but_the_last(store: AskedStore, memory: int) -> None:
    """A block ends where a batch does."""
    batches = batches_of(StoredRows(places(store, 1000)), memory=memory)
    assert [len(targets) for _, targets in batches.epoch(1)] == [16] * 62 + [8]


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("count", [2, 17, 49, 977, 961])
def test_no_batch_is_of_one_row(store: AskedStore, memory: int, count: int) -> None:
    """A last single row joins the batch before it, whether that batch is read with it or not."""
    batches = batches_of(StoredRows(places(store, count)), memory=memory)
    sizes = [len(targets) for _, targets in batches.epoch(1)]
    assert sizes[:-1] == [16] * (len(sizes) - 1)
    assert 2 <= sizes[-1] <= 17
    assert sorted(order_of(batches, 2)) == list(range(count))


def test_neighbours_do_not_stay_together_when_rows_are_streamed(store: AskedStore) -> None:
    """Rows are ordered by class: a batch has rows from many runs, and a block from everywhere."""
    order = order_of(batches_of(StoredRows(places(store, 1000)), memory=256 * ROW))
    batches = [order[start : start + 16] for start in range(0, 1000, 16)]
    assert np.mean([len({number // ROWS_PER_RUN for number in batch}) for batch in batches[:-1]]) > 6  # of 8 in a block
    assert np.mean(np.abs(np.diff(order)) == 1) < 0.05
    for start in range(0, 768, 256):
        block = order[start : start + 256]
        assert max(block) - min(block) > 500


def test_what_is_streamed_is_read_in_runs_and_in_the_order_of_the_disk(store: AskedStore) -> None:
    """Neighbours are read together: a block is in rising order and has whole runs."""
    rows = WatchedRows(places(store, 960))
    order_of(batches_of(rows, memory=512 * ROW))
    assert len(rows.which) == 2
    for which in rows.which:
        assert (np.diff(which) > 0).all()
        assert set(Counter((which // ROWS_PER_RUN).tolist()).values()) == {ROWS_PER_RUN}
