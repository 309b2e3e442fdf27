"""What the plots of a training have in common: a panel for the loss and one for the accuracy, and the best epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from featstore.system.figures import figure

if TYPE_CHECKING:
    from featstore.heads.interface import Curve

PANELS = {"loss": "log loss", "accuracy": "accuracy"}
_LOG_RATIO = 30.0  # largest over smallest loss, above which the axis is logarithmic
_MIN_LOSS_RATIO = 1e-12  # losses below this share of the largest, such as 0, are below a logarithmic axis
_MIN_SPAN = 0.05  # of an axis; less would magnify noise
_ROOM = 0.08  # of the span, above and below


class Limits(NamedTuple):
    """The ends of an axis, and whether it is logarithmic."""

    low: float
    high: float
    is_log: bool = False


def limits_of(panel: str, values: Iterable[float]) -> Limits:
    """Return the limits of an axis with `values`; for losses of very different size it is logarithmic."""
    finite = [value for value in values if isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    above = [value for value in finite if value > 0]
    if panel == "loss" and above and max(above) > _LOG_RATIO * min(above):
        least = max(min(above), _MIN_LOSS_RATIO * max(above))
        ratio = max(above) / least
        return Limits(least / ratio**_ROOM, max(above) * ratio**_ROOM, True)  # a line to a loss of 0 leaves the axis
    room = _ROOM * max(high - low, _MIN_SPAN)
    return Limits(low - room, high + room)


def best_epoch(curve: Curve) -> int:
    """Return the index of the epoch, or of the C, that was kept, as in the training of heads.

    It is the first one with the smallest validation loss, else with the highest validation accuracy. Without validation
    it is the last epoch. Returns -1 for a curve without points.
    """
    for name, sign in (("val_loss", 1), ("cv_log_loss", 1), ("val_accuracy", -1)):
        known = [(sign * value, number) for number, value in enumerate(curve.series.get(name, [])) if isfinite(value)]
        if known:
            return min(known)[1]
    return len(curve.x) - 1


def epoch_ticks(x: Sequence[float], limit: int) -> list[float]:
    """Return about `limit` of `x`: the last one, the first where there is room, and round numbers between them."""
    if len(x) <= limit:
        return list(x)
    step = next(s * 10**power for power in range(9) for s in (1, 2, 5) if (x[-1] - x[0]) / (s * 10**power) <= limit)
    inner = [e for e in x if e % step == 0 and x[-1] - e >= 0.7 * step]
    first = [x[0]] if not inner or inner[0] - x[0] >= 0.7 * step else []
    return [*first, *inner, x[-1]]


def number(value: float) -> str:
    """Return a value of a curve as text."""
    return figure(value) if 0.01 <= abs(value) < 100 else f"{value:.3g}"
