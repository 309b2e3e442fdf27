"""The shape of the rows of a key. A spec does not say it, so `spec.json` keeps it from the first rows on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from featstore.store.index_part import ShardEntry

Shape = tuple[int, ...]


def shape_of_rows(shards: Mapping[str, ShardEntry], stated: Shape | None) -> Shape | None:
    """Return the shape of one row; None if it is not known yet.

    stated: from `spec.json`. Without it the shape of most rows counts, and of two equally common ones that of the first
    shard.
    """
    if stated is not None or not shards:
        return stated
    rows: Counter[Shape] = Counter()
    for entry in shards.values():
        rows[entry.shape] += entry.rows
    return rows.most_common(1)[0][0]


def why_misshapen(shape: Shape, expected: Shape | None) -> str | None:
    """Return what is wrong with a shard whose rows have `shape`; None if nothing is."""
    return None if expected in (None, shape) else f"rows of shape {shape}, those of the key have shape {expected}"
