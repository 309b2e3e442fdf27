"""Figures as text: rounded, but never to more than they say.

1.000 is all of the images and 0.000 none of them. A figure that only comes close gets as many more decimals as it
takes, as in 0.9995, and two figures that differ are not written alike.
"""

from __future__ import annotations

from collections.abc import Sequence

_MOST_DECIMALS = 6
SHARE = (0.0, 1.0)  # the limits of accuracies and probabilities
_ZERO = (0.0,)


def figure(value: float, decimals: int = 3, limits: Sequence[float] = SHARE) -> str:
    """Return `value` with `decimals`, or more: it reads as one of `limits` only if it is that limit.

    With six decimals it may still be too close. It is then written as in `>0.999999` or `<0.000001`.
    """
    for places in range(decimals, _MOST_DECIMALS + 1):
        text = f"{value:.{places}f}"
        if all(float(text) != limit or value == limit for limit in limits):
            return text if float(text) else text.lstrip("-")
    limit = min(limits, key=lambda limit: abs(value - limit))
    step = 10.0**-_MOST_DECIMALS
    return f">{limit - step:.{_MOST_DECIMALS}f}" if value < limit else f"<{limit + step:.{_MOST_DECIMALS}f}"


def figures(*values: float, decimals: int = 3, limits: Sequence[float] = SHARE) -> list[str]:
    """Return several figures with as many decimals as show that the first and the last differ, if six do."""
    for places in range(decimals, _MOST_DECIMALS + 1):
        texts = [figure(value, places, limits) for value in values]
        if texts[0] != texts[-1] or values[0] == values[-1]:
            return texts
    return [figure(value, decimals, limits) for value in values]


def interval(ends: tuple[float, float]) -> str:
    """Return an interval of a share, as `0.960 to 0.990`."""
    return " to ".join(figures(*ends))


def with_interval(value: float, ends: tuple[float, float]) -> str:
    """Return a share with its interval, as `0.980 [0.960, 0.990]`."""
    low, middle, high = figures(ends[0], value, ends[1])
    return f"{middle} [{low}, {high}]"


def in_points(difference: float, ends: tuple[float, float]) -> str:
    """Return a difference of shares with its interval in percentage points, as `1.2 points [0.3, 2.1]`."""
    # rounded: a sum of shares may miss 0 by its last bit
    parts = (round(100 * part, 10) for part in (ends[0], difference, ends[1]))
    low, middle, high = figures(*parts, decimals=1, limits=(-100.0, 0.0, 100.0))
    return f"{middle} points [{low}, {high}]"


def loss(value: float, decimals: int = 3) -> str:
    """Return a log loss, an entropy or another quantity whose only limit is 0."""
    return figure(value, decimals, _ZERO)


def percent(share: float) -> str:
    """Return a share as per cent, as `45%` or `99.6%`."""
    return f"{figure(round(100 * share, 10), 0, (0.0, 100.0))}%"  # rounded: 100 * 0.07 is not 7


def megabytes(size: int) -> str:
    """Return a size in MB of 10^6 bytes."""
    return figure(size / 1e6, 1, _ZERO)
