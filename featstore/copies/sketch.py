"""The sketch of an image: what tells a copy of it from another picture, small enough to keep for every image."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from featstore.images.facts import ImageFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

SIDE = 96  # px of `grey`: what is smaller cannot tell a crop of 90 % from the next frame of a film


class Sketch(NamedTuple):
    """What is kept of an image.

    Attributes:
        grey: (96, 96) uint8, the brightness of the whole upright image, squashed.
        facts: Facts about the file, and its look.
        pixels: SHA-256 (hex) of the size and the decoded RGB pixels of the upright image; empty if it is not known.
    """

    grey: NDArray[np.uint8]
    facts: ImageFacts
    pixels: str = ""


def make_sketch(raw: bytes) -> Sketch:
    """Return the sketch of the image file with the bytes `raw`; raises UnreadableImage."""
    from featstore.images.decode import decode_rgb
    from featstore.images.facts import facts_of

    image = decode_rgb(raw, _bits_used(raw))
    pixels = hashlib.sha256(f"{image.width}x{image.height};".encode() + image.tobytes()).hexdigest()
    return Sketch(grey_of(image), facts_of(raw, image), pixels)


def grey_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return the brightness (96, 96) of an RGB image."""
    import numpy as np
    from PIL import Image

    # Whole blocks are averaged first: a bilinear filter over a photo of 12 megapixels takes as long as decoding it.
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0))


def _bits_used(raw: bytes) -> int:
    """Return how many bits an image of 16 bits makes use of: cameras with fewer would leave a sketch all black."""
    from featstore.images.decode import brightest_level
    from featstore.images.identity import may_be_deep

    brightest = brightest_level(raw) if may_be_deep(raw) else None
    return max(8, brightest.level.bit_length()) if brightest is not None and brightest.grey else 16
