"""A reading: the rules by which the bytes of an image file become pixels of the input size.

This module imports neither Pillow nor TensorFlow: a reading is part of the key, which is computed on every run. The
rules are implemented in `decode`, `resize` and `keras_compat`. A change that changes a pixel there needs a new version
here. `readers` makes the functions that apply the rules.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from featstore.errors import UsageError, param
from featstore.images.probe import Probe
from featstore.images.views import CENTRE, WHOLE, Augmentation

ReadingName = Literal["pillow", "fast", "keras-compat"]
Fit = Literal["squash", "crop", "pad"]
Interpolation = Literal["bilinear", "nearest", "bicubic", "lanczos", "box", "hamming"]

VERSIONS: dict[ReadingName, int] = {"pillow": 1, "fast": 1, "keras-compat": 2}
FITS: tuple[Fit, ...] = get_args(Fit)
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
ALL_BITS = 16
KERAS_INTERPOLATIONS: tuple[Interpolation, ...] = ("bilinear", "nearest", "bicubic")


@dataclass(frozen=True, slots=True)
class Reading:
    """How an image file becomes pixels of the input size.

    Attributes:
        height, width: Input size in px.
        name: `pillow`; `fast`, which decodes JPEG at a half, a quarter or an eighth of its size where that is still as
            large as what it is scaled to; or `keras-compat`.
        fit: How an image of another aspect becomes the input size.
        interpolation: Filter of the resizing.
        resize: (height, width) in px of the canvas from which views are cropped; None without crops.
        augmentation: Ranges of the random versions; None for views without randomness.
        bits: How many bits grey images of 16 bits use: 12 where their white is 4,095.
        probe: How each image is changed before it is resized; None for images as they are.
    """

    height: int
    width: int
    name: ReadingName = "pillow"
    fit: Fit = "squash"
    interpolation: Interpolation = "bilinear"
    resize: tuple[int, int] | None = None
    augmentation: Augmentation | None = None
    bits: int = ALL_BITS
    probe: Probe | None = None

    def __post_init__(self) -> None:
        allowed = KERAS_INTERPOLATIONS if self.name == "keras-compat" else INTERPOLATIONS
        for what, value, known in (
            ("reading", self.name, tuple(VERSIONS)),
            ("fit", self.fit, FITS),
            (f"interpolation of the reading {self.name}", self.interpolation, allowed),
        ):
            if value not in known:
                raise UsageError(f"{what} {value!r} is not known: use one of {', '.join(known)}")
        if min(self.height, self.width) < 1:
            raise UsageError(f"size {self.height}x{self.width}: both sides must be at least 1 px")
        if self.resize is not None and (self.resize[0] < self.height or self.resize[1] < self.width):
            raise UsageError(
                f"resize {self.resize[0]}x{self.resize[1]} is smaller than the size {self.height}x{self.width} that is "
                "cropped from it"
            )
        if self.name == "keras-compat" and (self.resize or self.augmentation):
            raise UsageError(
                f"the reading {self.name} takes whole images only: leave {param('views')} and {param('resize')} out"
            )
        if self.name == "keras-compat" and self.bits != ALL_BITS:
            raise UsageError(f"the reading {self.name} takes all bits as they are: leave {param('bits')} out")

    @property
    def decodes_scaled(self) -> bool:
        """Whether a JPEG may be decoded at a part of its size: not where a part of the image or a probe needs all."""
        enlarges = self.augmentation is not None and self.augmentation.crop < 1
        return self.name == "fast" and self.probe is None and not enlarges

    @property
    def plain(self) -> int:
        """The number of the plain view: the whole image, or the centre crop."""
        return CENTRE if self.resize else WHOLE

    def describe(self) -> dict[str, Any]:
        """Return the part of the key. In version 1, transparent pixels become white, and `pad` fills with black."""
        crops = {"resize": list(self.resize)} if self.resize else {}
        augmented = {"augmentation": self.augmentation.describe()} if self.augmentation else {}
        depth = {} if self.bits == ALL_BITS else {"bits": self.bits}
        changed = {"probe": self.probe.describe()} if self.probe else {}
        return {
            "name": self.name,
            "version": VERSIONS[self.name],
            "size": [self.height, self.width],
            "fit": self.fit,
            "interpolation": self.interpolation,
            **crops,
            **augmented,
            **depth,
            **changed,
        }


Size = str | int | tuple[int, int]  # a side in px, or height and width


def settle_size(size: Size | None) -> str | int | None:
    """Return a size as a side or as `HxW`, as in 224x320 for (224, 320); any other text stays as it was."""
    if size is None:
        return None
    if not isinstance(size, str | tuple | list):
        try:
            return operator.index(size)  # JSON does not take numbers of numpy
        except TypeError:
            raise UsageError(f"size {size!r}: give one side or both in whole pixels, as in 224 or (224, 320)") from None
    sides = _sides(size) if isinstance(size, str) else [str(side) for side in size]
    return None if sides == ["none"] else "x".join(sides)


def _sides(text: str) -> list[str]:
    """Return what stands for the sides of `224`, `224x320`, `224×320`, `224,320` or `224 px`."""
    sides = re.split(r"\s*[x×,*]\s*", re.sub(r"\s*px\b", "", text.lower()).strip(" ()[]"))
    return [side.strip() for side in sides]


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) in px from `224` or `HxW`; raise UsageError for anything else."""
    sides = _sides(text)
    if len(sides) > 2 or not all(map(_is_side, sides)):
        raise UsageError(f"size {text!r}: give one side or HxW in pixels up to 4096, as in 224 or 224x320")
    return int(sides[0]), int(sides[-1])


def _is_side(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4 and 0 < int(text) <= 4096
