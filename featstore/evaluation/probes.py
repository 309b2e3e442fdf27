"""What a change of the images costs: the accuracy with it and without it, on the same images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.metrics import Metrics
from featstore.evaluation.paired import Difference, paired_difference
from featstore.evaluation.simultaneous import single_error
from featstore.evaluation.units import Units
from featstore.images.probe import Probe
from featstore.system.figures import figure, in_points, interval, percent
from featstore.system.text import Shown, Table

_ALMOST_ALL, _LITTLE = 0.8, 0.2  # of what the accuracy is above that of always answering the commonest class


@dataclass(frozen=True, kw_only=True)
class ProbeEffect:
    """How a run fares on the same images, changed.

    Attributes:
        probe: The change.
        accuracy: Accuracy on the changed images.
        accuracy_ci95: 95 % interval (low, high) of it.
        difference: That accuracy less the one on the images as they are. The intervals of all probes hold together.
        same_answers: Share of the images whose answer stays the same.
        verdict: What this says, in a sentence.
    """

    probe: Probe
    accuracy: float
    accuracy_ci95: tuple[float, float]
    difference: Difference
    same_answers: float
    verdict: str

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "probe": str(self.probe),
            "accuracy": self.accuracy,
            "accuracy_ci95": list(self.accuracy_ci95),
            "difference": self.difference._asdict(),
            "same_answers": self.same_answers,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, kw_only=True, repr=False)
class Probing(Shown):
    """The effects of several probes on one split.

    Attributes:
        split: The split.
        metrics: Its metrics, of the images as they are.
        effects: The effect of each probe.
    """

    split: str
    metrics: Metrics
    effects: tuple[ProbeEffect, ...]

    def parts(self) -> Iterator[str | Table]:
        """Yield the table, and what each probe says."""
        yield f"the images of {self.split}, changed:"
        yield self.table()
        yield from (effect.verdict for effect in self.effects)

    def table(self) -> Table:
        """Return a row for the images as they are, and one for each probe."""
        first = ("as they are", figure(self.metrics.accuracy), interval(self.metrics.accuracy_ci95), "", "")
        rows = [
            (
                str(effect.probe),
                figure(effect.accuracy),
                interval(effect.accuracy_ci95),
                effect.difference.in_points(),
                percent(effect.same_answers),
            )
            for effect in self.effects
        ]
        return Table(("images", "accuracy", "95 % interval", "difference", "same answers"), [first, *rows])

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "split": self.split,
            "n": self.metrics.n,
            "accuracy": self.metrics.accuracy,
            "effects": [effect.describe() for effect in self.effects],
        }


def compare_probes(
    split: str,
    metrics: Metrics,
    plain: NDArray[np.float64],
    changed: Mapping[Probe, NDArray[np.float64]],
    truth: NDArray[np.intp],
    units: Units,
) -> Probing:
    """Return the effects of probes on images of one split.

    Args:
        split: The split.
        metrics: Metrics of the images as they are.
        plain: Probabilities (n, classes) of the images as they are.
        changed: The same of the changed images, by probe.
        truth: (n,) position of each image's class.
        units: Which images belong together.
    """
    answers = {probe: probabilities.argmax(axis=1) for probe, probabilities in changed.items()}
    before = plain.argmax(axis=1)
    right = [(found == truth).astype(float) for found in (before, *answers.values())]
    error = _joint_error(right, units)
    effects = []
    for (probe, found), after in zip(answers.items(), right[1:], strict=True):
        difference = paired_difference(after, right[0], units, error)
        effects.append(
            ProbeEffect(
                probe=probe,
                accuracy=float(after.mean()),
                accuracy_ci95=accuracy_interval(after, units),
                difference=difference,
                same_answers=float((found == before).mean()),
                verdict=_verdict(probe, difference, metrics),
            )
        )
    return Probing(split=split, metrics=metrics, effects=tuple(effects))


def _joint_error(right: Sequence[NDArray[np.float64]], units: Units) -> float:
    """Return the error of each comparison with the images as they are, the first, so that all hold together."""
    probes = len(right) - 1
    comparisons = np.vstack([-np.ones((1, probes)), np.eye(probes)])
    return single_error(np.stack(right, axis=1), comparisons, units)


def _verdict(probe: Probe, difference: Difference, metrics: Metrics) -> str:
    """Return what the difference says of the head, in a sentence."""
    if metrics.by_class and not metrics.beats_commonest:
        return (
            f"{probe}: nothing can be said, since the accuracy without it cannot be told from that of always answering "
            f"`{metrics.by_class.commonest}`"
        )
    low, high = -difference.high, -difference.low
    if not difference.is_significant:
        most = figure(100 * high, 1, limits=(0.0, 100.0))
        return f"{probe}: no effect that could be told; it costs {most} points at most"
    if difference.value > 0:
        return f"{probe} gains {difference.in_points()}: the head does better without {probe.takes}"
    cost = in_points(-difference.value, (low, high))
    known = metrics.accuracy - (metrics.by_class.commonest_share if metrics.by_class else 0.0)
    if low >= _ALMOST_ALL * known:
        return f"{probe} costs {cost}: almost all that the head knows hangs on {probe.takes}"
    if high <= _LITTLE * known:
        return f"{probe} costs {cost}: the head uses {probe.takes} a little"
    return f"{probe} costs {cost}: the head leans on {probe.takes}"
