"""Probes: changes of an image that take one thing from it, to see whether a head relies on that.

A probe is part of a reading, and so of the key. This module imports neither Pillow nor numpy, because the key is
computed on every run; `probing` changes the pixels. A change that changes a pixel there needs a new version here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from featstore.errors import UsageError, param
from featstore.system.words import meant_by, spelled_as

ProbeName = Literal["greyscale", "blur", "brightness", "rotate", "jpeg"]
PROBES: tuple[ProbeName, ...] = get_args(ProbeName)
_ALIASES: dict[str, ProbeName] = {
    **dict.fromkeys(("grayscale", "grey", "gray", "colour", "color"), "greyscale"),
    "rotation": "rotate",
    "jpg": "jpeg",
}


class _Amount(NamedTuple):
    """What the number of a probe means: its default, its range, and the value that would change nothing."""

    default: float
    low: float
    high: float
    idle: float | None
    words: str
    whole: bool = False


class _Kind(NamedTuple):
    """A kind of probe. takes: what an image loses by it, as in `the head leans on colour`."""

    version: int
    takes: str
    amount: _Amount | None = None


_KINDS: dict[ProbeName, _Kind] = {
    "greyscale": _Kind(1, "colour"),
    "blur": _Kind(1, "fine detail", _Amount(2, 0.1, 50, None, "a radius in per cent of the shorter side")),
    "brightness": _Kind(1, "how bright the image is", _Amount(0.5, 0, 10, 1, "a factor")),
    "rotate": _Kind(1, "the upright position", _Amount(15, -180, 180, 0, "degrees, counter-clockwise")),
    "jpeg": _Kind(1, "detail that JPEG drops", _Amount(20, 1, 95, None, "a quality", whole=True)),
}


@dataclass(frozen=True, slots=True)
class Probe:
    """A change of every image, the same for all.

    Attributes:
        name: `greyscale`, `blur`, `brightness`, `rotate` or `jpeg`.
        amount: How much: the standard deviation of the blur in per cent of the shorter side, the factor of the
            brightness, the degrees of the rotation, the quality of the JPEG. None for greyscale.
    """

    name: ProbeName
    amount: float | None = None

    def __post_init__(self) -> None:
        if self.name not in _KINDS:
            raise UsageError(f"{param('probe', self.name)}: is not known: use one of {', '.join(PROBES)}")
        range_ = _KINDS[self.name].amount
        if range_ is None:
            if self.amount is not None:
                raise UsageError(f"{param('probe')}: {self.name} takes no number")
            return
        amount = float(range_.default if self.amount is None else self.amount) + 0.0
        object.__setattr__(self, "amount", amount)  # 2 and 2.0, 0.0 and -0.0 have one key
        if not range_.low <= amount <= range_.high or (range_.whole and amount % 1):
            number = "a whole number" if range_.whole else "a number"
            raise UsageError(
                f"{param('probe', str(self))}: expected {number} from {range_.low:g} to {range_.high:g}: {range_.words}"
            )
        if amount == range_.idle:
            raise UsageError(f"{param('probe', str(self))}: changes nothing; {range_.default:g} is the default")

    def __str__(self) -> str:
        """Return it as it is given: `greyscale`, `blur=2`."""
        return self.name if self.amount is None else f"{self.name}={self.amount:g}"

    @property
    def takes(self) -> str:
        """What it takes from an image, in words."""
        return _KINDS[self.name].takes

    def describe(self) -> dict[str, Any]:
        """Return the part of the key."""
        amount = {} if self.amount is None else {"amount": self.amount}
        return {"name": self.name, "version": _KINDS[self.name].version, **amount}


def parse_probe(text: str) -> Probe:
    """Return the probe of `greyscale`, `blur` or `blur=2`; raises UsageError."""
    word, equals, number = str(text).partition("=")
    name: Any = spelled_as(word, PROBES) or _ALIASES.get(word.strip().lower())
    if name is None:
        near = meant_by(word, PROBES)
        remedy = f"did you mean {' or '.join(near)}?" if near else f"use one of {', '.join(PROBES)}, as in blur=2"
        raise UsageError(f"{param('probe', text)}: is not known: {remedy}")
    if not equals:
        return Probe(name)
    try:
        amount = float(number)
    except ValueError:
        amount = math.nan
    if not math.isfinite(amount):
        raise UsageError(f"{param('probe', text)}: expected a number after =, as in blur=2")
    return Probe(name, amount)


def describe_probe(described: Any) -> Any:
    """Return what `Probe.describe` gives as text, as in `blur=2`; anything else, as of another release, as it is."""
    if not isinstance(described, dict) or "name" not in described:
        return described
    amount = described.get("amount")
    return f"{described['name']}={amount:g}" if isinstance(amount, float) else str(described["name"])
