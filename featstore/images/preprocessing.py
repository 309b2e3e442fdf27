"""Preprocessing variants: the affine map per channel that a network was trained with, after an optional channel flip.

Every variant is y = (x[channels in `order`] * scale - mean) / std on RGB pixels x in 0..255, float32. The named ones
are those of keras.applications (`imagenet_utils.preprocess_input`, modes caffe, torch and tf) and of common blog posts.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featstore.errors import UsageError, param
from featstore.system.words import did_you_mean, spelled_as

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Triple = tuple[float, float, float]
ORDERS = {"rgb": (0, 1, 2), "bgr": (2, 1, 0)}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """y = (x[..., order] * scale - mean) / std; `mean` and `std` are in the channel order of the output."""

    order: str = "rgb"
    scale: float = 1.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise UsageError(f"channel order {self.order!r} is not known: use rgb or bgr")
        if any(s == 0 for s in self.std):
            raise UsageError("a standard deviation of 0 would divide by zero: give a std other than 0 for each channel")

    def factors(self) -> tuple[tuple[int, ...], Triple, Triple]:
        """Return (channel indices, a, b) of the same map as y = x[..., indices] * a + b."""
        a0, a1, a2 = (self.scale / s for s in self.std)
        b0, b1, b2 = (-m / s for m, s in zip(self.mean, self.std, strict=True))
        return ORDERS[self.order], (a0, a1, a2), (b0, b1, b2)

    def apply(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Map RGB `images` (..., 3) in 0..255, uint8 or float, to the input of the network; `images` is not changed."""
        import numpy as np

        indices, a, b = self.factors()
        x = images[..., list(indices)].astype(np.float32)
        x *= np.asarray(a, np.float32)
        x += np.asarray(b, np.float32)
        return x

    def describe(self) -> dict[str, Any]:
        """Return the part of the key: the kind of map, the version of its meaning, and all of its numbers.

        Equal maps have equal text, also with 1 for 1.0 and with a mean of -0.0.
        """
        return {
            "map": "affine",
            "version": 1,
            "order": self.order,
            "scale": float(self.scale),
            "mean": [float(m) + 0.0 for m in self.mean],
            "std": [float(s) for s in self.std],
        }


NAMED = {
    "caffe": Preprocessing("bgr", mean=(103.939, 116.779, 123.68)),
    "torch": Preprocessing("rgb", 1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "tf": Preprocessing("rgb", 1 / 127.5, mean=(1.0, 1.0, 1.0)),
    "rescale": Preprocessing("rgb", 1 / 255),
    "rgb-mean": Preprocessing("rgb", mean=(123.68, 116.779, 103.939)),
    "raw": Preprocessing(),
}
VARIANTS = ("keras", *NAMED)

# What posts call a variant, without blanks and brackets, and with - for all that stands between two limits.
_ALIASES = {
    "preprocess-input": "keras",
    "default": "keras",
    **dict.fromkeys(["pytorch", "torchvision"], "torch"),
    **dict.fromkeys(["tensorflow", "-1-1", "-1-+1"], "tf"),
    **dict.fromkeys(["0-1", "1/255", "1./255", "1.0/255", "1/255.", "1/255.0", "/255", "rescaling"], "rescale"),
    **dict.fromkeys(["none", "no", "0-255", "identity", "unchanged"], "raw"),
}
# Words that mean more than one of them. A guess would give a wrong figure in silence.
_AMBIGUOUS = (
    "imagenet",
    "imagenet-mean",
    "mean",
    "normalize",
    "normalise",
    "standardize",
    "standard",
    "bgr",
    "1/127.5",
)


def settle_variant(text: str) -> str:
    """Return the variant as it is named here, as in rescale for 1/255; text that names none stays as it is."""
    if not isinstance(text, str):
        raise UsageError(
            f"{param('preprocess', text)}: expected a name such as keras, or raw for pixels as they are; found {text!r}"
        )
    if "=" in text:
        return re.sub(r"\s", "", text.lower())
    name = spelled_as(text, VARIANTS)
    return name or _ALIASES.get(_without_signs(text), text)


def _without_signs(text: str) -> str:
    """Return `[0, 1]`, `0..1` and `0 to 1` as `0-1`, and words with dashes for underlines."""
    bare = re.sub(r"[\[\]()]", "", text.lower().replace("−", "-")).strip()
    return re.sub(r"\s", "-", re.sub(r"(?<=\d)\s*(\.\.+|,|to|…|–)\s*(?=[-+\d])|_", "-", bare))


def canonical_map(given: Preprocessing) -> Preprocessing:
    """Return the map that is in the key for all maps with the same factors in float32: they compute the same numbers.

    It is a named variant, if one has these factors. Else it is written like those: std is 1 where the channels have one
    scale, the scale is 1/255 where they have not, and numbers have as few digits as give these factors.
    """
    computed = _in_float32(given)
    for named in NAMED.values():
        if _in_float32(named) == computed:
            return named
    _, factors, offsets = computed
    if 0 in factors or not all(map(math.isfinite, (*factors, *offsets))):
        return given
    scale = NAMED["rescale"].scale
    if len(set(factors)) == 1:
        known = (named.scale for named in NAMED.values() if _single(named.scale) == factors[0])
        scale = next(known, None) or _shortest(factors[0], lambda a: _single(a) == factors[0])
    (m0, s0), (m1, s1), (m2, s2) = (_channel(scale, a, b) for a, b in zip(factors, offsets, strict=True))
    return Preprocessing(given.order, scale, (m0, m1, m2), (s0, s1, s2))


def _in_float32(given: Preprocessing) -> tuple[tuple[int, ...], list[float], list[float]]:
    """Return the factors as networks and `apply` use them."""
    indices, a, b = given.factors()
    return indices, [*map(_single, a)], [*map(_single, b)]


def _channel(scale: float, a: float, b: float) -> tuple[float, float]:
    """Return (mean, std) of a channel with the float32 factors x * a + b."""
    std = _shortest(scale / a, lambda s: _single(scale / s) == a)
    return _shortest(-b * std, lambda m: _single(-m / std) == b), std


def _shortest(number: float, is_right: Callable[[float], bool]) -> float:
    """Return `number` rounded to as few digits as are right; 17 give any float64."""
    rounded = (float(f"{number:.{digits}g}") for digits in range(1, 18))
    return next(filter(is_right, rounded))


def _single(number: float) -> float:
    """Return the nearest float32, or infinity."""
    return array("f", [number])[0]


def parse_variant(text: str, trained_with: str | None) -> tuple[str, Preprocessing]:
    """Return (name, map) of a named variant, or of numbers such as `order=bgr,scale=1,mean=104:117:124,std=1`.

    `trained_with` is the variant that `keras` stands for with this base, None where it is not known. Raises UsageError
    for an unknown name, key or number.
    """
    text = settle_variant(text)
    if text == "keras":
        if trained_with is None:
            raise UsageError(
                f"{param('preprocess', 'keras')}: the file of a network does not say how it was trained; "
                f"choose one of {', '.join(NAMED)}, or numbers such as scale=1/127.5,mean=1"
            )
        text = trained_with
    if text in NAMED:
        return text, NAMED[text]
    if "=" not in text:
        if _without_signs(text) in _AMBIGUOUS:
            raise UsageError(
                f"preprocessing {text!r} may mean torch (0..1, less the mean, by the deviation), caffe (BGR "
                "less the mean), rgb-mean (RGB less the mean) or tf (-1..1): use one of "
                f"{', '.join(VARIANTS)}; keras is what the base was trained with"
            )
        remedies = [
            f"use one of {', '.join(VARIANTS)}, or numbers such as order=bgr,scale=1,mean=104:117:124,std=1",
            did_you_mean(text, VARIANTS),
        ]
        raise UsageError(f"preprocessing {text!r} is not known: {'; '.join(filter(None, remedies))}")
    return "custom", _parse_numbers(text)


def _parse_numbers(text: str) -> Preprocessing:
    given: dict[str, Any] = {}
    for item in text.split(","):
        key, _, value = item.partition("=")
        if key in given:
            raise UsageError(f"preprocessing {text!r}: {key} is given twice; write three numbers as {key}=1:2:3")
        if key == "order":
            given[key] = value
        elif key == "scale":
            given[key] = _number(value, text)
            if given[key] == 0:
                raise UsageError(f"preprocessing {text!r}: a scale of 0 makes all images equal")
        elif key in ("mean", "std"):
            numbers = [_number(v, text) for v in value.split(":")]
            if len(numbers) not in (1, 3):
                raise UsageError(f"preprocessing {text!r}: {key} takes one number or three, as in {key}=104:117:124")
            given[key] = tuple(numbers * (3 // len(numbers)))
        else:
            raise UsageError(f"preprocessing {text!r}: {key!r} is not known, use order, scale, mean or std")
    return Preprocessing(**given)


def _number(value: str, text: str) -> float:
    """Return a finite number, written as a decimal or as a quotient such as 1/127.5."""
    top, slash, bottom = value.partition("/")
    try:
        number = float(top) / (float(bottom) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"preprocessing {text!r}: {value!r} is not a number")
    return number
