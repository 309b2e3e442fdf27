"""Whether probabilities mean what they say: of answers that are 0.8 sure, 80 of 100 should be right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.units import ERROR, Units

_MOST_BINS = 15
_IN_BIN = 20  # images at least: with fewer bins the curve is coarse, with fewer images it is noise


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers that are about equally sure.

    Attributes:
        n: Number of answers.
        probability: Mean of their probabilities.
        accuracy: Share of them that is right.
        accuracy_ci95: 95 % interval (low, high) of that share.
    """

    n: int
    probability: float
    accuracy: float
    accuracy_ci95: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How far the probabilities of answers are from the shares of them that are right.

    Attributes:
        calibration_error: Mean distance over the answers, less what chance alone makes of it; 0 is the best.
        calibration_error_ci95: 95 % interval (low, high) of that distance.
        curve: The answers in bins, the least sure first.
    """

    calibration_error: float
    calibration_error_ci95: tuple[float, float]
    curve: tuple[Bin, ...]


def measure_reliability(probabilities: NDArray[Any], truth: NDArray[np.intp], units: Units) -> Reliability | None:
    """Return the reliability of the most probable class of each image; None for fewer than 20 images.

    Bins hold as many answers each, up to equal probabilities: bins of equal width are nearly all empty for a head that
    is mostly sure (Nixon et al. 2019; Roelofs et al. 2022). There are 15, or fewer, of at least 20 answers.

    In a bin of a perfectly calibrated head, the share of right answers still differs from the mean probability, by
    chance. The mean of the distances is therefore too large, the more so the fewer images there are. What chance adds
    to each distance is taken off, as if the difference were normal (Kumar, Liang & Ma 2019, appendix).

    Args:
        probabilities: (n, classes).
        truth: (n,) position of the class of each image.
        units: Which images belong together.
    """
    if len(truth) < _IN_BIN:
        return None
    sure = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == truth).astype(float)
    effect = units.design_effect(right - sure, -1.0, 1.0)
    usual = (float(right.sum()) + 0.5) / (len(right) + 1)
    curve, noise = [], []
    for members in _bins_of(sure):
        n, share, mean = int(members.sum()), float(right[members].mean()), float(sure[members].mean())
        interval = accuracy_interval(right[members], units.of(members))
        curve.append(Bin(n=n, probability=mean, accuracy=share, accuracy_ci95=interval))
        expected = (n * share + usual) / (n + 1)
        as_promised = float((sure[members] * (1 - sure[members])).mean())
        noise.append(math.sqrt(max(expected * (1 - expected), as_promised) / n))
    weights = np.array([part.n for part in curve]) / len(truth)
    seen = float(weights @ [abs(part.accuracy - part.probability) for part in curve])
    found = _Chance(weights * noise).distance_at(seen, 0.0)
    of_units = _Chance(weights * noise * math.sqrt(effect))
    low, high = (of_units.distance_at(seen, quantile * units.quantile(ERROR)) for quantile in (1, -1))
    ends = min(low, found), min(1.0, max(high, found))
    return Reliability(calibration_error=found, calibration_error_ci95=ends, curve=tuple(curve))


class _Chance:
    """What chance adds to the mean distance of the bins."""

    def __init__(self, noise: NDArray[np.float64]) -> None:
        """Take the standard deviation (bins,) of each difference, times the share of the answers in the bin."""
        self._sum, self._root = float(noise.sum()), math.sqrt(float((noise**2).sum()))

    def distance_at(self, seen: float, quantile: float) -> float:
        """Return the true mean distance for which `seen` is `quantile` standard deviations above what it would be."""
        low, high = 0.0, 10.0 + 2 * seen / self._sum
        for _ in range(60):
            ratio = (low + high) / 2
            mean = math.sqrt(2 / math.pi) * math.exp(-(ratio**2) / 2) + ratio * math.erf(ratio / math.sqrt(2))
            spread = math.sqrt(ratio**2 + 1 - mean**2)
            if self._sum * mean + quantile * self._root * spread < seen:
                low = ratio
            else:
                high = ratio
        return low * self._sum


def _bins_of(sure: NDArray[np.float64]) -> list[NDArray[np.bool_]]:
    """Return the members (n,) of each bin; equal probabilities are in the same one."""
    wanted = min(_MOST_BINS, len(sure) // _IN_BIN)
    edges = np.percentile(sure, np.linspace(0, 1, wanted + 1)[1:-1] * 100)
    place = np.searchsorted(edges, sure)
    return [place == number for number in np.unique(place)]
