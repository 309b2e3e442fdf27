"""The points of a learning curve: heads, each trained on more and more images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from featstore.comparison.curve_fit import Fitted
from featstore.system.figures import figure, interval, loss


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One head at one size of the training split.

    Attributes:
        head: Name of the head.
        images: Number of training images; mean over the draws.
        per_class: The same for each class; mean over the classes.
        draws: Number of training sets of this size that were drawn.
        accuracy: Mean over the draws.
        accuracy_ci95: 95 % interval (low, high) of the accuracy that such a training set gives.
        spread: Standard deviation of the accuracies of the draws; None for one.
        log_loss: Mean over images and draws, in nats.
        seconds_fit: Seconds of all fits.
    """

    head: str
    images: float
    per_class: float
    draws: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    spread: float | None
    log_loss: float
    seconds_fit: float

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "accuracy_ci95": list(self.accuracy_ci95), "seconds_fit": round(self.seconds_fit, 3)}

    def cells(self) -> list[str]:
        """Return the texts of a row of a table."""
        return [
            self.head,
            _size(self.per_class),
            str(self.draws),
            figure(self.accuracy),
            interval(self.accuracy_ci95),
            "" if self.spread is None else loss(self.spread),
            loss(self.log_loss),
            f"{self.seconds_fit:.1f}",
        ]


class HeadCurve(NamedTuple):
    """The points of one head in rising order, and the law through them; None where it cannot be fitted."""

    points: tuple[CurvePoint, ...]
    fitted: Fitted | None


def _size(images: float) -> str:
    return f"{images:,.0f}" if images == round(images) else f"{images:,.1f}"
