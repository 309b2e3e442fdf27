"""Views: what the network sees of an image: the whole image, crops and mirror images, or random versions.

Each view of an image is a row of its own with a number. Without crops there is one view, number 0. With crops from a
larger canvas the numbers are those of ten-crop in the literature (Krizhevsky et al. 2012, section 4.1; He et al. 2016,
section 3.4): 0..4 are top left, top right, bottom left, bottom right and centre, 5..9 the same of the mirror image. So
one extraction of ten views serves the smaller numbers as well. Augmented versions count from 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from featstore.errors import UsageError
from featstore.system.fields import field_types
from featstore.system.words import spelled_as

WHOLE = 0
CENTRE = 4
VIEWS = {"one": (CENTRE,), "flip": (CENTRE, CENTRE + 5), "five": (0, 1, 2, 3, 4), "ten": tuple(range(10))}
_AUGMENT = "augment:"
_MAX_AUGMENTED = 1000  # more is likely a mistake; row ids have room for 65,535
CANVAS = 0.875  # side of the input over side of the canvas: 224 px from 256


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The ranges from which random versions of an image are drawn. The defaults are those of the Keras blog (2016).

    They are ImageDataGenerator(shear_range=0.2, zoom_range=0.2, horizontal_flip=True) of that time, with the shear in
    radians (11.5 degrees). Keras now reads the same 0.2 as degrees, which is invisible.

    Attributes:
        crop: Smallest share of the area that a random resized crop keeps; 1 is the whole image, Inception has 0.08.
        mirror: Whether a version is mirrored with probability 0.5.
        rotation: Largest rotation to either side, in degrees.
        shear: Largest shear to either side, in degrees.
        zoom: Each axis is scaled by its own factor from 1 - zoom to 1 + zoom.
        brightness: Pixels are multiplied by a factor from 1 - brightness to 1 + brightness.
        seed: Seed of all draws.
    """

    crop: float = 1.0
    mirror: bool = True
    rotation: float = 0.0
    shear: float = 11.5
    zoom: float = 0.2
    brightness: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("crop", 0.01, 1),
            ("rotation", 0, 180),
            ("shear", 0, 60),
            ("zoom", 0, 0.9),
            ("brightness", 0, 1),
            ("seed", 0, 2**32 - 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"augment: {name}={getattr(self, name)}: expected {low} to {high}")

    def describe(self) -> dict[str, Any]:
        """Return the part of the key; equal augmentations have equal text. Version 1 did not round, but cut off."""
        return {"version": 2, **{name: kind(getattr(self, name)) for name, kind in field_types(Augmentation).items()}}


_ALIASES = {
    "five-crop": "five",
    "5-crop": "five",
    "ten-crop": "ten",
    "10-crop": "ten",
    "5": "five",
    "10": "ten",
    "mirror": "flip",
    "single": "one",
}


def settle_views(text: str) -> str:
    """Return views as they are named here, as in ten for Ten or ten-crop; text that names none stays as it is."""
    text = str(text)  # 10 may be a number
    name = spelled_as(text, (*VIEWS, *_ALIASES))
    if name is not None:
        return _ALIASES.get(name, name)
    return text.lower() if text.lower().startswith(_AUGMENT) else text


def parse_views(text: str) -> tuple[str, int]:
    """Return (crops, augmented versions) from `one`, `flip`, `five`, `ten` or `augment:K`; raise UsageError."""
    text = settle_views(text)
    if text in VIEWS:
        return text, 0
    count = text.removeprefix(_AUGMENT)
    if count != text and count.isascii() and count.isdigit() and len(count) < 9 and 0 < int(count) <= _MAX_AUGMENTED:
        return "one", int(count)
    raise UsageError(f"views {text!r} are not known: use one of {', '.join(VIEWS)}, or augment:K, as in augment:4")


def parse_augmentation(text: str) -> Augmentation:
    """Return an Augmentation from changes to the defaults, as `rotation=15,zoom=0.1,mirror=0`; raise UsageError."""
    given: dict[str, Any] = {}
    kinds = field_types(Augmentation)
    for item in filter(None, text.split(",")):
        name, _, value = item.partition("=")
        if name not in kinds:
            raise UsageError(f"augment: {name!r} is not known: use {', '.join(kinds)}, as in rotation=15,zoom=0.1")
        if name in given:
            raise UsageError(f"augment: {name} is given twice")
        given[name] = _parse(name, value, kinds[name])
    return Augmentation(**given)


def _parse(name: str, value: str, kind: type[float | int | bool]) -> float | int | bool:
    if kind is bool and value.lower() in ("0", "1", "false", "true"):
        return value.lower() in ("1", "true")
    try:
        number = math.nan if kind is bool else kind(value) + 0  # -0.0 is 0.0
        is_number = math.isfinite(number)
    except (ValueError, OverflowError):
        is_number = False
    if not is_number:
        raise UsageError(f"augment: {name}={value}: expected {'0 or 1' if kind is bool else 'a number'}")
    return number
