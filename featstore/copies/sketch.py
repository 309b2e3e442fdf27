"""The sketch of an image: what tells a copy of it from another picture, small enough to keep for every image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from featstore.images.facts import ImageFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Sketch(NamedTuple):
    """What is kept of an image.

    Attributes:
        grey: (96, 96) uint8, the brightness of the whole upright image, squashed.
        facts: Facts about the file, and its look.
    """

    grey: NDArray[np.uint8]
    facts: ImageFacts
