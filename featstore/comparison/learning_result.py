"""What a learning curve found: accuracies against images per class, and what more images would be worth, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featstore.comparison.curve_fit import LEAST, Estimate
from featstore.comparison.learning_points import HeadCurve
from featstore.datasets.manifest import Skipped
from featstore.datasets.summary import DataSummary
from featstore.evaluation.remarks import remark_line
from featstore.evaluation.units import Units
from featstore.system.figures import figure, figures
from featstore.system.text import Shown, Table, count

if TYPE_CHECKING:
    from featstore.plots.files import Kind
    from featstore.system.notebook import Picture


@dataclass(frozen=True, repr=False)
class LearningCurve(Shown):
    """Accuracies with more and more training images, on the same held-out images.

    Attributes:
        heads: The curve of each head.
        more: Number of images of each class beyond those there are, whose worth is asked.
        units: The images that were measured on, and their groups.
        split: What was measured on, such as "the test split".
        data: Classes and counts by split, and what is worth knowing about the data.
        remarks: What a colleague would say of the heads at the largest size.
        skipped: Files that could not be read, with the reason.
    """

    heads: Mapping[str, HeadCurve]
    more: int
    units: Units
    split: str
    data: DataSummary
    remarks: tuple[str, ...]
    skipped: tuple[Skipped, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines about leaks, which make the figures too good, and all else that is worth knowing about the data."""
        return self.data.notes

    def gain(self, head: str) -> Estimate | None:
        """Return what `more` images of each class would add to the accuracy of a head; None where nothing says it."""
        points, fitted = self.heads[head]
        return fitted.gain(points[-1].per_class, points[-1].per_class + self.more) if fitted else None

    def findings(self) -> Iterator[str]:
        """Yield a sentence for each head on what more images would be worth."""
        for head in self.heads:
            yield (f"{head}: " if len(self.heads) > 1 else "") + self._describe_gain(head)

    def _describe_gain(self, head: str) -> str:
        points, fitted = self.heads[head]
        gain, photos = self.gain(head), f"{count(self.more, 'more photo')} per class"
        if fitted is None or gain is None:
            same = "no image is wrong" if points[-1].accuracy else "no image is right"
            few = f"{count(len(points), 'size')} of the training split are too few"
            return f"what {photos} would be worth cannot be told: {few if len(points) < LEAST else same}"
        if fitted.missed and not fitted.holds:
            predicted = points[-1].accuracy - fitted.missed.value
            return (
                f"what {photos} would be worth cannot be told: the curve has no steady course; its smaller sizes "
                f"predict {figure(predicted)} for the largest, where {figure(points[-1].accuracy)} was measured"
            )
        about = f"about {_in_points(gain)}"
        if gain.low <= 0:
            return f"whether {photos} would help cannot be told: {about}"
        return f"{photos} would be worth {about}"

    def parts(self) -> Iterator[str | Table]:
        """Yield the findings, a table of the points and the remarks."""
        yield from self.findings()
        yield ""
        yield f"measured on {self.split}, {self.units}"
        points = [point for curve in self.heads.values() for point in curve.points]
        header = ("head", "per class", "draws", "accuracy", "95 % interval", "sd of draws", "log loss", "fit s")
        yield Table(header, [point.cells() for point in points], optional=("fit s", "log loss"))
        yield from map(remark_line, self.remarks)

    def draw(self, kind: Kind = "png", title: str = "Accuracy") -> bytes:
        """Return the chart: the points of each head, and the law through them, as a picture of this `kind`."""
        from featstore.comparison.learning_chart import draw_chart

        return draw_chart(self.heads, self.more, f"{title} on {self.split}, {self.units}", kind)

    def plots(self) -> Iterator[Picture]:
        """Yield the chart."""
        from featstore.plots.notebook import on_screen

        yield on_screen(self.draw(), "Accuracy of each head over the number of training images of a class")

    def describe(self) -> dict[str, Any]:
        """Return what `featstore learning-curve --json` prints."""
        return {
            "points": [point.describe() for curve in self.heads.values() for point in curve.points],
            "more_per_class": self.more,
            "gains": {head: self._describe_law(head) for head in self.heads},
            "findings": list(self.findings()),
            "split": self.split,
            "notes": list(self.notes),
            "remarks": list(self.remarks),
            "data": self.data.describe(),
            "skipped": [item._asdict() for item in self.skipped],
        }

    def _describe_law(self, head: str) -> dict[str, Any] | None:
        fitted, gain = self.heads[head].fitted, self.gain(head)
        if fitted is None or gain is None:
            return None
        return {
            "gain": gain.value,
            "gain_ci95": [gain.low, gain.high],
            "exponent": float(fitted.law.exponent[0]),
            "factor": float(fitted.law.factor[0]),
            "largest_missed_by": fitted.missed and fitted.missed.value,
            "largest_missed_by_ci95": fitted.missed and [fitted.missed.low, fitted.missed.high],
        }


def _in_points(gain: Estimate) -> str:
    """Return a gain as `1.0 points (0.2 to 1.9)`."""
    low, middle, high = figures(
        *(100 * value for value in (gain.low, gain.value, gain.high)), decimals=1, limits=(0.0,)
    )
    return f"{middle} points ({low} to {high})"
