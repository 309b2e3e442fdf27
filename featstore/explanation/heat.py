"""The heat of several images, as every method returns it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Heat(NamedTuple):
    """Heat maps of n images, in log odds.

    cells: (n, rows, columns) what each cell adds to the score.
    score: (n,) log odds of the contrast by the view that is explained.
    offset: (n,) what of the score does not depend on the image, where the mean over the cells is exactly the rest.
    """

    cells: NDArray[np.float64]
    score: NDArray[np.float64]
    offset: NDArray[np.float64] | None = None

    def over(self, temperature: float | None) -> Heat:
        """Return the same heat of logits that are divided by `temperature`; None leaves them as they are."""
        if temperature is None:
            return self
        offset = None if self.offset is None else self.offset / temperature
        return Heat(self.cells / temperature, self.score / temperature, offset)
