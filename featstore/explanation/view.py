"""The part of an image that the base sees in the plain view."""

from __future__ import annotations

from collections.abc import Sequence

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
