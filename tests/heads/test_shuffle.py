"""The order of rows that are read block by block: each once, side by side on disk, and the classes mixed."""

from __future__ import annotations

import numpy as np
import pytest

from featstore.heads.shuffle import ROWS_PER_RUN, shuffled_batches, shuffled_blocks
from helpers.counted_rows import CountedRows


@pytest.mark.parametrize(("count", "block"), [(1000, 64), (1000, 1000), (1001, 100), (5, 100), (97, 1), (33, 32)])
def test_each_row_is_in_one_block(count: int, block: int) -> None:
    """Its numbers ascend. A rest of one row joins the block before it, as one of a batch does."""
    blocks = list(shuffled_blocks(count, block, np.random.default_rng(0)))
    assert sorted(np.concatenate(blocks).tolist()) == list(range(count))
    assert max(map(len, blocks)) <= block + (count % block == 1)
    assert all((np.diff(which) > 0).all() for which in blocks)


def test_rows_in_the_order_of_their_classes_are_mixed() -> None:
    """Each block has all of ten classes in about equal shares, though the rows of a class are 10,000 neighbours."""
    classes = np.arange(100_000) // 10_000
    for which in shuffled_blocks(100_000, 12_800, np.random.default_rng(0)):
        shares = np.bincount(classes[which], minlength=10) / len(which)
        assert shares.min() > 0.05
        assert shares.max() < 0.16


def test_rows_are_read_in_runs() -> None:
    which = next(shuffled_blocks(100_000, 12_800, np.random.default_rng(0)))
    runs = np.split(which, np.flatnonzero(np.diff(which) > 1) + 1)
    assert min(map(len, runs)) == ROWS_PER_RUN


@pytest.mark.parametrize("batch", [16, 64, 300])
def test_batches_are_the_same_from_memory_and_from_disk(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """Each row comes with its number, once; another epoch has another order."""
    rows = np.arange(500, dtype=np.float32)[:, None]
    monkeypatch.setattr("featstore.heads.rows.BLOCK_BYTES", 4 * 128)
    on_disk, random, again = CountedRows(rows, 128), np.random.default_rng(1), np.random.default_rng(1)
    orders = []
    for _ in range(2):
        found = list(shuffled_batches(on_disk, batch, random))
        for (some, which), (same, numbers) in zip(found, shuffled_batches(rows, batch, again), strict=True):
            assert some[:, 0].tolist() == same[:, 0].tolist() == which.tolist() == numbers.tolist()
        orders.append([number for _, which in found for number in which.tolist()])
        assert sorted(orders[-1]) == list(range(500))
    assert orders[0] != orders[1]
    assert on_disk.most_alive <= max(batch, 128)
