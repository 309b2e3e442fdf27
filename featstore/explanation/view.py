"""The part of an image that the base sees in the plain view, upright."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import Picture
from featstore.images.reading import Reading

Part = tuple[float, float, float, float]
WHOLE_IMAGE: Part = (0.0, 0.0, 1.0, 1.0)


def seen_parts(pictures: Sequence[Picture], reading: Reading) -> list[Part]:
    """Return the part of each picture that is seen, as (left, top, right, bottom) in shares of width and height.

    The sizes of the images are read only where they matter. Raises DataError if a file was changed meanwhile.
    """
    if reading.fit == "squash" and reading.resize is None:
        return [WHOLE_IMAGE] * len(pictures)
    from featstore.images.decode import upright_size
    from featstore.images.prefetch import read_again
    from featstore.images.resize import seen_part

    return [seen_part(upright_size(read_again(picture)), reading) for picture in pictures]


def upright_cells(
    pictures: Sequence[Picture], reading: Reading, cells: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Return the cells (n, rows, columns) of each picture as it is shown, turned where `reading` leaves it lying.

    Only `keras-compat` does: it takes no notice of EXIF. Raises DataError if a file was changed meanwhile.
    """
    if reading.name != "keras-compat":
        return list(cells)
    from featstore.images.decode import turned_upright
    from featstore.images.prefetch import read_again

    return [turned_upright(read_again(picture), one) for picture, one in zip(pictures, cells, strict=True)]
