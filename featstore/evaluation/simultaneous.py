"""Intervals that hold together: of many comparisons, one or another is wide of the mark by chance alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.units import ERROR, Units

_DRAWS = 10_000  # the error of a level of 5 % is 0.2 points
_AT_ONCE = 100  # comparisons: a block of draws takes 8 MB


def single_error(
    right: NDArray[np.float64], comparisons: NDArray[np.float64], units: Units, error: float = ERROR
) -> float:
    """Return the error that each of some intervals may have so that, with probability 1 - `error`, none misses.

    Cells measured on the same images are mostly right and wrong together, so the comparisons between them are far from
    independent. Bonferroni's bound ignores that. Here the largest of all standardised differences is drawn from the
    t distribution with the correlations of the data (Hothorn, Bretz & Westfall 2008, Biometrical Journal 50:346).

    Args:
        right: (n, cells) of 1 and 0, or shares between them.
        comparisons: (cells, K) weights; each column is a comparison of the means of the cells.
        units: To which unit each of the n images belongs.
        error: Probability that any interval misses.

    Returns:
        The error of a single interval, `error` / K to `error`, by a fixed random draw.
    """
    totals = units.totals(right - right.mean(axis=0))
    values, vectors = np.linalg.eigh(totals.T @ totals)
    root = vectors * np.sqrt(np.maximum(values, 0.0))  # (cells, cells): root @ root.T is the covariance
    deviations = np.sqrt(((root.T @ comparisons) ** 2).sum(axis=0))
    comparisons = comparisons[:, deviations > 1e-9]  # cells that are right on the same images do not differ
    deviations = deviations[deviations > 1e-9]
    if comparisons.shape[1] < 2 or len(units) < 2:
        return error
    random = np.random.default_rng(0)
    drawn = random.standard_normal((_DRAWS, len(root))) @ root.T
    # The deviations are estimated too: Student's t, not normal.
    drawn /= np.sqrt(random.chisquare(units.degrees_of_freedom, (_DRAWS, 1)) / units.degrees_of_freedom)
    largest = np.zeros(_DRAWS)
    for start in range(0, comparisons.shape[1], _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        np.maximum(largest, np.abs(drawn @ (comparisons[:, part] / deviations[part])).max(axis=1), out=largest)
    found = units.error(float(np.quantile(largest, 1 - error)))
    return float(np.clip(found, error / comparisons.shape[1], error))
