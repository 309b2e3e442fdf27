"""Temperature scaling: one number that makes the probabilities of a head as sure as they should be (Guo et al. 2017).

Logits are divided by the temperature. Above 1 a head becomes less sure, below 1 surer. Log probabilities and logits
differ by a constant for each image, so probabilities are enough, and any head can be scaled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.units import Units

# Of some twenty rules this one came closest to never doing harm, and kept nearly all of the gain: tried with 12 heads
# on 3 data sets, 5 to 400 validation images, 25 draws of each. docs/certainty.md has its figures.
PRIOR = 20  # units for which the head is taken to be as sure as it should be
SIGNIFICANT = 1.92  # nats: half of the 95 % quantile of chi-square with one degree of freedom
LIMITS = (1 / 20, 20.0)
_CLOSE = 1e-6  # of the temperature, relatively
_LEAST = np.log(np.finfo(np.float64).tiny)


def scale(probabilities: NDArray[np.float64], temperature: float | None) -> NDArray[np.float64]:
    """Return the softmax of log `probabilities` (n, classes) divided by `temperature`; None leaves them as they are.

    The most probable class stays the same, also where rounding would make two classes equal.
    """
    if temperature is None or temperature == 1:
        return probabilities
    scaled = _softmax(_logarithms(probabilities) / temperature)
    is_lost = scaled.argmax(axis=1) != probabilities.argmax(axis=1)
    return np.where(is_lost[:, None], probabilities, scaled)


def choose_temperature(
    probabilities: NDArray[np.float64], truth: NDArray[np.intp], units: Units | None = None
) -> float:
    """Return the temperature for the `probabilities` (n, classes) of validation images, or 1 if none is better.

    The log loss alone would make a head that gets a few images right as sure as can be. So three things hold it back:

    - 20 units are added, for which the probabilities count as right. A few images change little.
    - To become surer, a head must deserve it even if one more image were wrong.
    - The log loss must fall significantly.

    Args:
        probabilities: (n, classes), as the head gives them.
        truth: (n,) column of the right class of each image.
        units: Which images belong together: each unit weighs the same. By default each image is a unit.
    """
    units = units or Units.single(len(truth))
    logits, shares = _logarithms(probabilities), units.shares
    of_right = logits[np.arange(len(truth)), truth]
    if of_right.min() <= _LEAST:  # what was taken for impossible happened, and no temperature mends that
        return 1.0
    expected = PRIOR * shares @ (_softmax(logits) * logits).sum(axis=1) / len(units)
    seen, weight = shares @ of_right + expected, len(units) + PRIOR
    sharpness = _fit(logits, shares, seen / weight)
    if sharpness > 1:
        of_next = shares @ np.sort(logits, axis=1)[:, -2] / len(units)
        sharpness = max(1.0, _fit(logits, shares, (seen + of_next) / (weight + 1)))
    gain = shares @ (_losses(logits, of_right, 1.0) - _losses(logits, of_right, sharpness))
    return float(1 / sharpness) if gain > SIGNIFICANT else 1.0


def _fit(logits: NDArray[np.float64], shares: NDArray[np.float64], wanted: float) -> float:
    """Return the factor of the logits for which the mean logit, as expected by the softmax, is `wanted`.

    There the mean cross-entropy is smallest. The expectation rises with the factor, so Newton's method, kept in a
    bracket, finds the only one.
    """
    low, high = 1 / LIMITS[1], 1 / LIMITS[0]
    factor, weights = 1.0, shares / shares.sum()
    for _ in range(60):
        p = _softmax(factor * logits)
        means = (p * logits).sum(axis=1)
        error = weights @ means - wanted
        slope = weights @ (p * (logits - means[:, None]) ** 2).sum(axis=1)
        low, high = (low, factor) if error > 0 else (factor, high)
        step = factor - error / slope if slope > 0 else 0.0
        following = step if low < step < high else float(np.sqrt(low * high))
        if abs(following / factor - 1) < _CLOSE:
            break
        factor = following
    return factor


def _losses(logits: NDArray[np.float64], of_right: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Return the cross-entropy (n,) of each image, for logits times `factor`."""
    scaled = factor * logits
    top = scaled.max(axis=1)
    return np.asarray(top + np.log(np.exp(scaled - top[:, None]).sum(axis=1)) - factor * of_right)


def _logarithms(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.clip(probabilities, np.finfo(np.float64).tiny, None)))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(under="ignore"):
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
