"""The random order of rows that are read block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from featstore.heads.loop import divide
from featstore.heads.rows import RowsLike, block_of

ROWS_PER_RUN = 32  # at most: neighbouring rows are read together
_LEAST_RUNS = 16  # in a block: neighbours are often of one class


def shuffled_blocks(count: int, block: int, random: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield each number below `count` once, in blocks of at most `block`, in which they ascend.

    A block is made of runs of neighbours from everywhere: runs are read fast, and rows that lie in the order of their
    classes are mixed well all the same. Blocks of whole files would have few classes each.
    """
    run = min(ROWS_PER_RUN, max(1, block // _LEAST_RUNS))
    first = random.permutation(-(-count // run)) * run
    order = (first[:, None] + np.arange(run)).ravel()
    order = order[order < count]  # the last run may be shorter
    for place in divide(len(order), block):
        yield np.sort(order[place])


def shuffled_batches(
    rows: RowsLike, batch: int, random: np.random.Generator
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.intp]]]:
    """Yield each of `rows` once, in batches, with their numbers. At most a block of them is in memory besides.

    The order is the same for rows in memory and on disk.
    """
    block = max(batch, block_of(rows) // batch * batch)
    for which in shuffled_blocks(len(rows), block, random):
        some, order = rows[which], random.permutation(len(which))
        for place in divide(len(order), batch):
            yield some[order[place]], which[order[place]]
        del some  # before the next ones are read
