"""The check of outliers: images that are unlike all others, such as a screenshot among photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.audit.findings import Check, Finding, Weight
from featstore.audit.subject import Subject
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
    distances = neighbour_distances(subject.X, subject.units, subject.seed)
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


def neighbour_distances(X: NDArray[np.float32], units: Sequence[str], seed: int) -> NDArray[np.float64]:
    """Return the mean cosine distance (n,) of each of X (n, width) to its nearest neighbours, 0 to 2.

    Images of its own unit are none: a screenshot that is there twice would not be alone. Of many images, all are
    compared with some of them.
    """
    from threadpoolctl import threadpool_limits

    of_unit = np.unique(np.asarray(units), return_inverse=True)[1]
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    rows = X / np.where(lengths > 0, lengths, 1)
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
            found[block] = _mean_of_smallest(distances)
    return found


def robust_deviations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far (n,) each value is above the median, in standard deviations that outliers do not widen."""
    above = values - np.median(values)
    spread = float(np.median(np.abs(above))) / _NORMAL_MAD
    return np.asarray(above / spread) if spread > 0 else np.zeros_like(above)


def _mean_of_smallest(distances: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the mean of the smallest in each row; infinite ones count only where there are no others."""
    most = min(NEIGHBOURS, distances.shape[1])
    nearest = np.partition(distances, most - 1, axis=1)[:, :most].astype(np.float64)
    counted = np.isfinite(nearest)
    sums = np.where(counted, nearest, 0).sum(axis=1)
    return np.where(counted.any(axis=1), sums / np.maximum(counted.sum(axis=1), 1), 0.0)


def _check(
    weight: Weight, verdict: str, findings: tuple[Finding, ...] = (), figures: dict[str, float] | None = None
) -> Check:
    return Check(
        name="outliers", title="Outliers", weight=weight, verdict=verdict, findings=findings, figures=figures or {}
    )
