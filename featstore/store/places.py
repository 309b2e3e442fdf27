"""Where rows are: the shard of each, and which row of it. A shard's name says its content, so a place never lies.

At worst it is out of date: the shard was pruned or compacted, and the rows have to be looked up again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Run = tuple[int, int, int]  # (place among those asked for, row of the shard, how many side by side on both sides)


class Places(NamedTuple):
    """The places of n rows: `names` of shards, and (n,) numbers of a name and of a row."""

    names: Sequence[str]
    shard: NDArray[np.intp]
    row: NDArray[np.intp]

    def of(self, which: NDArray[Any] | slice) -> Places:
        """Some of them."""
        return Places(self.names, self.shard[which], self.row[which])

    def runs(self) -> Iterator[tuple[int, list[Run]]]:
        """By number of the shard, in the order of the file, so that what is side by side is read in one go."""
        if not len(self.row):
            return
        order = np.argsort(self.shard * 2**32 + self.row, kind="stable")  # quick where they are in order already
        shard, row = self.shard[order], self.row[order]
        breaks = (shard[1:] != shard[:-1]) | (row[1:] != row[:-1] + 1) | (order[1:] != order[:-1] + 1)
        first = np.concatenate([[0], np.flatnonzero(breaks) + 1])
        count = np.diff(first, append=len(row))
        found = zip(shard[first].tolist(), order[first].tolist(), row[first].tolist(), count.tolist(), strict=True)
        for number, group in groupby(found, itemgetter(0)):
            yield number, [run[1:] for run in group]

    def side_by_side(self) -> tuple[str, int] | None:
        """The shard and the first row in it, if all are one after the other there; else None."""
        if not len(self.row) or (self.shard != self.shard[0]).any() or (np.diff(self.row) != 1).any():
            return None
        return self.names[self.shard[0]], int(self.row[0])
