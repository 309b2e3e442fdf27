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

    path: parameters of which many values cost hardly more than one, as `paths` says, with these values, the more likely
    first. All combinations are tried. They are so close that values between them would not be significantly different.
    ranges: where each parameter of a head without a path may lie.
    """

    ranges: Mapping[str, Range | OneOf] = {}
    path: Mapping[str, tuple[float, ...]] = {}


def _decades(first: float, last: float, steps: int) -> tuple[float, ...]:
    """Return numbers from `first` to `last`, `steps` for each factor of ten, in an order that is coarse at first."""
    count = round(steps * math.log10(last / first)) + 1
    values = [float(f"{first * 10 ** (place / steps):.2g}") for place in range(count)]
    order: list[float] = []
    stride = 1 << count.bit_length()
    while stride:
        order += [value for value in values[::stride] if value not in order]
        stride >>= 1
    return tuple(order)


_DENSE = {"batch": OneOf((16, 32, 64, 128)), "units": OneOf((64, 128, 256, 512))}

SPACES: dict[str, Space] = {
    "logistic": Space(path={"C": _decades(1e-5, 10, 2)}),
    "ridge": Space(path={"penalty": _decades(1e-3, 1e3, 4)}),
    "lda": Space(path={"shrinkage": (0.5, 0.1, 0.9, 0.3, 0.03, 0.97, 0.2, 0.7, 0.01, 0.99, 0.8, 0.4)}),
    "linear-svm": Space({"C": Range(1e-6, 1.0)}),
    "rbf-svm": Space({"C": Range(0.1, 1e4), "gamma": Range(1e-5, 1e-2)}),
    "knn": Space({"neighbours": OneOf((1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 80))}),
    "linear": Space(
        {"rate": Range(1e-5, 1e-1), "weight_decay": Range(1e-3, 10.0)},
        path={"rate": (3e-4, 3e-3, 1e-4, 1e-3, 1e-2), "weight_decay": (0.0, 10.0, 1.0)},
    ),
    "mlp": Space(
        {
            "widths": OneOf(("64", "128", "256", "512", "256,128")),
            "rate": Range(1e-4, 1e-2),
            "p": Range(0.1, 0.8, log=False),
            "batch": OneOf((16, 32, 64, 128)),
            "weight_decay": Range(1e-5, 1.0),
        }
    ),
    "cosine": Space({"rate": Range(1e-4, 1e-1), "scale": Range(5.0, 50.0)}),
    "bn-dropout": Space({**_DENSE, "rate": Range(1e-4, 1e-2), "p": Range(0.1, 0.8, log=False)}),
    "vgg-fc": Space({**_DENSE, "rate": Range(1e-5, 1e-3), "p": Range(0.1, 0.8, log=False)}),
    "fc-bn": Space({**_DENSE, "rate": Range(1e-4, 1e-2), "p": Range(0.2, 0.9, log=False)}),
}
