"""A reading: by which rules the bytes of an image file become pixels of the input size.

It is light (no Pillow, no TensorFlow) because it is part of the key, which is computed on every run. The rules
themselves are in `decode`, `fit` and `keras_compat`; whoever changes a pixel there raises the version here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featstore.errors import UsageError
from featstore.tensorflow_loader import load_tensorflow

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSIONS = {"pillow": 1, "keras-compat": 2}
FITS = ("squash", "crop", "pad")
INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "lanczos", "box", "hamming")
KERAS_INTERPOLATIONS = ("bilinear", "nearest", "bicubic")


@dataclass(frozen=True, slots=True)
class Reading:
    """How an image becomes the input size (height, width) in px."""

    height: int
    width: int
    name: str = "pillow"
    fit: str = "squash"
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        allowed = INTERPOLATIONS if self.name == "pillow" else KERAS_INTERPOLATIONS
        for what, value, known in (
            ("reading", self.name, tuple(VERSIONS)),
            ("fit", self.fit, FITS),
            (f"interpolation of the reading {self.name}", self.interpolation, allowed),
        ):
            if value not in known:
                raise UsageError(f"{what} {value!r} is not known: use one of {', '.join(known)}")
        if min(self.height, self.width) < 1:
            raise UsageError(f"size {self.height}x{self.width}: both sides must be at least 1 px")

    def reader(self) -> Callable[[bytes], NDArray[Any]]:
        """A function from the bytes of a file to RGB pixels (height, width, 3) in 0..255.

        uint8 from `pillow`, float32 from `keras-compat`. It raises UnreadableImage. Threads may share it.
        """
        if self.name == "keras-compat":
            load_tensorflow()
            from featstore.images.keras_compat import read_like_keras

            return lambda raw: read_like_keras(raw, self)
        from featstore.images.decode import decode_rgb
        from featstore.images.fit import fit_image

        return lambda raw: fit_image(decode_rgb(raw), self)

    def describe(self) -> dict[str, Any]:
        """What goes into the key. Transparent pixels are laid on white and `pad` fills with black in version 1."""
        return {
            "name": self.name,
            "version": VERSIONS[self.name],
            "size": [self.height, self.width],
            "fit": self.fit,
            "interpolation": self.interpolation,
        }


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) in px from `224` or `HxW`; raises UsageError for anything else."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(map(_is_side, sides)):
        raise UsageError(f"size {text!r}: give one side or HxW in pixels up to 4096, as in 224 or 224x320")
    return int(sides[0]), int(sides[-1])


def _is_side(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4 and 0 < int(text) <= 4096
