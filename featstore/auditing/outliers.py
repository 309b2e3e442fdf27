"""The check of outliers: images that are unlike all others, such as a screenshot among photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.auditing.findings import Check, Finding, Weight
from featstore.auditing.subject import Subject
from featstore.system.figures import loss
from featstore.system.text import count

NEIGHBOURS = 10
CUT = 3.0  # standard deviations above the median distance, as the middle half of the images tells them
_FEWEST = 5 * NEIGHBOURS  # images: of fewer, the distances do not show what is usual
_MOST_COMPARED = 20_000  # images that all images are compared with
_MOST_LISTED = 0.02  # of the images, or a dozen: what is commoner is not an outlier
_BLOCK = 1024  # images whose distances are in memory at once
_NORMAL_MAD = 0.6745  # median absolute deviation of a normal distribution of variance 1
_ZERO = 1e-6  # a distance in float32 that is none


def check_outliers(subject: Subject) -> Check:
    """Look for images far from their nearest neighbours of any class and split.

    Distances are cosines of the features as they are. Standardised or centred ones told planted images less well: they
    make much of what is near zero in all images.
    """
    n = len(subject.labelled)
    if n < _FEWEST:
        return _check("note", f"too few images to tell an outlier: {n:,}, and it takes {_FEWEST}")
    distances = neighbour_distances(subject.X, subject.units, _neighbours(subject), subject.seed)
    deviations = robust_deviations(np.log(np.maximum(distances, _ZERO)))
    order = np.argsort(-deviations, kind="stable")[: max(12, round(_MOST_LISTED * n))]
    usual = float(np.median(distances))
    findings = tuple(
        Finding(
            paths=(subject.labelled[place].path,),
            text=f"unlike the other images: {loss(float(distances[place]))} from its nearest, {loss(usual)} is usual",
            score=float(deviations[place]),
            kind="outlier",
        )
        for place in order
        if deviations[place] > CUT
    )
    return _check(
        "look" if findings else "fine",
        f"{count(len(findings), 'image')} of {n:,} {'is' if len(findings) == 1 else 'are'} unlike all others: look"
        if findings
        else "no image is unlike all others",
        findings,
        {"neighbours": NEIGHBOURS, "cut": CUT, "usual_distance": usual, "outliers": len(findings)},
    )


def _neighbours(subject: Subject) -> NDArray[np.intp]:
    """Return how many neighbours (n,) each image can be asked to have: no more than others share its label.

    Else each image of a class of five would be an outlier, as it has but four that are like it.
    """
    pairs = np.unique(np.stack([subject.y, _numbers(subject.units)], axis=1), axis=0)
    units_of_class = np.bincount(pairs[:, 0])
    return np.clip(units_of_class[subject.y] - 1, 1, NEIGHBOURS)


def neighbour_distances(
    X: NDArray[np.float32], units: Sequence[str], neighbours: NDArray[np.intp], seed: int
) -> NDArray[np.float64]:
    """Return the mean cosine distance (n,) of each of X (n, width) to so many (n,) nearest neighbours, 0 to 2.

    Images of its own unit are none: a screenshot that is there twice would not be alone. Of many images, all are
    compared with some of them.
    """
    from threadpoolctl import threadpool_limits

    of_unit = _numbers(units)
    rows = _unit_length(X)
    some = np.arange(len(X))
    if len(X) > _MOST_COMPARED:
        some = np.sort(np.random.default_rng(seed).choice(len(X), _MOST_COMPARED, replace=False))
    others, of_others = rows[some], of_unit[some]
    found = np.empty(len(X))
    with threadpool_limits(1):  # sums of several threads are not the same twice
        for start in range(0, len(X), _BLOCK):
            block = slice(start, start + _BLOCK)
            distances = 1 - rows[block] @ others.T
            distances[of_unit[block][:, None] == of_others] = np.inf
            found[block] = _mean_of_smallest(distances, neighbours[block])
    return found


def robust_deviations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far (n,) each value is above the median, in standard deviations that outliers do not widen."""
    above = values - np.median(values)
    spread = float(np.median(np.abs(above))) / _NORMAL_MAD
    return np.asarray(above / spread) if spread > 0 else np.zeros_like(above)


def _mean_of_smallest(distances: NDArray[np.floating[Any]], number: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mean of the `number` (n,) smallest in each row; 0 for a row of infinite ones alone."""
    most = min(NEIGHBOURS, distances.shape[1])
    nearest = np.sort(np.partition(distances, most - 1, axis=1)[:, :most], axis=1).astype(np.float64)
    counted = np.isfinite(nearest) & (np.arange(most) < number[:, None])
    return np.asarray(np.where(counted, nearest, 0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1))


def _unit_length(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows at length 1; rows of zeros stay. The largest number first becomes 1, so no square overflows."""
    largest = np.abs(X).max(axis=1, keepdims=True)
    rows = X / np.where(largest > 0, largest, 1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), np.float32)


def _numbers(units: Sequence[str]) -> NDArray[np.intp]:
    """Return the number (n,) of the unit of each image."""
    return np.unique(np.asarray(units), return_inverse=True)[1]


def _check(
    weight: Weight, verdict: str, findings: tuple[Finding, ...] = (), figures: dict[str, float] | None = None
) -> Check:
    return Check(
        name="outliers", title="Outliers", weight=weight, verdict=verdict, findings=findings, figures=figures or {}
    )
