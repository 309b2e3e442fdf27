"""The input of a head as rows on disk: views of images, from one base or several."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featstore.features.stored_array import StoredArray
from featstore.heads.rows import BLOCK_BYTES, rows_in


class StoredViews:
    """Rows of n images in one view after the other, read when they are used: row v * n + i is image i in view v.

    The rows of several bases are flattened and put side by side.

    Attributes:
        shape: (views * n, ...).
        block: The most rows that are to be in memory at a time.
    """

    def __init__(self, views: Sequence[Sequence[StoredArray]], most_bytes: int = BLOCK_BYTES) -> None:
        """views: for each view the rows of each base, all of the same n images. most_bytes: of a block, as float32."""
        self._views, self._images = views, len(views[0][0])
        shapes = [base.shape[1:] for base in views[0]]
        row = shapes[0] if len(shapes) == 1 else (sum(map(math.prod, shapes)),)
        self.shape = (len(views) * self._images, *row)
        self.block = rows_in(most_bytes, self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Return a copy of some rows, in float32; raises StoreError if one is gone or damaged."""
        # Numbers of these rows alone: those of all rows, for each small part, would be most of the work.
        numbers = np.arange(*which.indices(len(self))) if isinstance(which, slice) else which
        out = np.empty((len(numbers), *self.shape[1:]), np.float32)
        flat = out.reshape(len(out), -1)
        view_of, image_of = np.divmod(numbers, self._images)
        for view in np.unique(view_of).tolist():
            here, first = np.flatnonzero(view_of == view), 0
            for base in self._views[view]:
                flat[here, first : first + base.row_size] = base.read(image_of[here]).reshape(len(here), -1)
                first += base.row_size
        return out
