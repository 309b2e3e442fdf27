"""Places of rows: the shard of each row, and its number in the shard.

The name of a shard is the digest of its content, so a place is never wrong. It may be out of date: after the shard was
pruned or compacted, the rows have to be located again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

RowRun = tuple[int, int, int]  # (place among the rows asked for, row in the shard, number of rows)


class Places(NamedTuple):
    """The places of n rows.

    names: of shards. shard: (n,) places in `names`. row: (n,) numbers of rows in the shard.
    """

    names: Sequence[str]
    shard: NDArray[np.intp]
    row: NDArray[np.intp]

    def of(self, which: NDArray[Any] | slice) -> Places:
        """Return the places of some of the rows."""
        return Places(self.names, self.shard[which], self.row[which])

    def runs(self) -> Iterator[tuple[int, list[RowRun]]]:
        """Yield each shard (its place in `names`) with its runs in the order of the file.

        Rows of a run are neighbours in the file and among the rows asked for: one read serves them.
        """
        if not len(self.row):
            return
        order = np.argsort(self.shard * 2**32 + self.row, kind="stable")  # fast if they are in order
        shard, row = self.shard[order], self.row[order]
        breaks = (shard[1:] != shard[:-1]) | (row[1:] != row[:-1] + 1) | (order[1:] != order[:-1] + 1)
        first = np.concatenate([[0], np.flatnonzero(breaks) + 1])
        count = np.diff(first, append=len(row))
        found = zip(shard[first].tolist(), order[first].tolist(), row[first].tolist(), count.tolist(), strict=True)
        for number, group in groupby(found, itemgetter(0)):
            yield number, [run[1:] for run in group]

    def side_by_side(self) -> tuple[str, int] | None:
        """Return (shard, first row) if all rows are neighbours in one shard, in order; else None."""
        if not len(self.row) or (self.shard != self.shard[0]).any() or (np.diff(self.row) != 1).any():
            return None
        return self.names[self.shard[0]], int(self.row[0])
