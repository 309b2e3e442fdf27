"""The search space: for each head, which of its parameters are searched, and where.

A head that is not in the table is tried with its defaults. The ranges are those in which heads on pooled features of a
base were ever best here, and a step beyond.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Range(NamedTuple):
    """Numbers from `low` to `high`, on a logarithmic scale unless `log` is false."""

    low: float
    high: float
    log: bool = True

    def at(self, place: float) -> float:
        """Return the number at `place`, 0 to 1, rounded so that it can be read and typed."""
        if not self.log:
            return float(f"{self.low + place * (self.high - self.low):.2g}")
        return float(f"{self.low * (self.high / self.low) ** place:.3g}")

    def place(self, value: float) -> float:
        """Return the place, 0 to 1, of a number of the range."""
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        return math.log(value / self.low) / math.log(self.high / self.low)


class OneOf(NamedTuple):
    """One of some values, neighbours being alike."""

    values: tuple[Any, ...]

    def at(self, place: float) -> Any:
        """Return the value at `place`, 0 to 1."""
        return self.values[min(int(place * len(self.values)), len(self.values) - 1)]

    def place(self, value: Any) -> float:
        """Return the place, 0 to 1, of one of the values."""
        return (self.values.index(value) + 0.5) / len(self.values)


class Space(NamedTuple):
    """The space of one head.

    ranges: where each of its parameters may lie. path: the parameter of which many values cost hardly more than one, as
    `paths` says, and these values, the more likely first; None for a head without one. They are so close that values
    between them would not be significantly different.
    """

    ranges: Mapping[str, Range | OneOf] = {}
    path: tuple[str, tuple[float, ...]] | None = None


_RATES = Range(1e-4, 1e-2)

SPACES: dict[str, Space] = {
    "logistic": Space(
        path=("C", (1e-2, 1e-3, 1e-1, 1e-4, 1.0, 3e-3, 3e-2, 3e-4, 0.3, 1e-5, 10.0, 3e-5, 3.0)),
    ),
    "bn-dropout": Space(
        {
            "rate": _RATES,
            "p": Range(0.1, 0.8, log=False),
            "units": OneOf((64, 128, 256, 512)),
            "batch": OneOf((16, 32, 64, 128)),
        }
    ),
    "vgg-fc": Space(
        {
            "rate": Range(1e-5, 1e-3),
            "p": Range(0.1, 0.8, log=False),
            "units": OneOf((64, 128, 256, 512)),
            "batch": OneOf((16, 32, 64, 128)),
        }
    ),
    "fc-bn": Space(
        {
            "rate": _RATES,
            "p": Range(0.2, 0.9, log=False),
            "units": OneOf((64, 128, 256, 512)),
            "batch": OneOf((16, 32, 64, 128)),
        }
    ),
}
