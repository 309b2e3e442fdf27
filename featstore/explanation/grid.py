"""Grids of cells: the maps of several bases on one grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def on_one_grid(heats: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the sum (n, rows, columns) of heats (n, ...) of the same images on the finest of their grids.

    A new cell takes the mean of what it covers, so that the mean over all cells stays as it was.
    """
    rows, columns = (max(heat.shape[axis] for heat in heats) for axis in (1, 2))
    parts = [_covering(rows, h.shape[1]) @ h @ _covering(columns, h.shape[2]).T for h in heats]
    return np.asarray(sum(parts))


def _covering(fine: int, coarse: int) -> NDArray[np.float64]:
    """Return (fine, coarse) the share of each fine cell that lies in each coarse one, along one axis."""
    starts, places = np.arange(fine)[:, None] / fine, np.arange(coarse)[None] / coarse
    ends = np.minimum(starts + 1 / fine, places + 1 / coarse)
    return np.asarray(np.clip(ends - np.maximum(starts, places), 0, None) * fine)
