"""Class activation maps (Zhou et al. 2016): the exact shares of the cells of a map in the score of a linear head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featstore.explanation.contrast import Contrast
from featstore.explanation.grid import on_one_grid
from featstore.explanation.heat import Heat
from featstore.heads.linear import LinearClassifier
from featstore.spec import Pool


def class_activation(
    classifier: LinearClassifier, maps: Sequence[NDArray[np.float32]], pools: Sequence[Pool], contrast: Contrast
) -> Heat:
    """Return the shares of the cells of `maps`, of one base or several, in the log odds of `contrast`.

    A cell has no heat if it is like the mean of the training images, which is where the head has its zero. Without
    that, the zero would be a cell where no channel answers, and nearly all cells of an image would speak for one class.

    maps: (n, height, width, channels) of each base. pools: how its features follow; `none` if the head takes whole
    maps. A maximum belongs to the cell that has it, and is divided among cells that have it together; but one below the
    mean of the training images is something that no cell has, and belongs to all of them.
    """
    weights, offset = _contrasted(classifier, contrast)
    heats, start = [], 0
    for one, pool in zip(maps, pools, strict=True):
        width = one[0].size if pool == "none" else one.shape[3]
        place = slice(start, start + width)
        heats.append(_cells(one.astype(np.float64), pool, classifier.mean[place], weights[:, place]))
        start += width
    cells = on_one_grid(heats)
    return Heat(cells, cells.mean(axis=(1, 2)) + offset, offset)


def _cells(
    maps: NDArray[np.float64], pool: Pool, mean: NDArray[np.floating], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return heat (n, height, width), whose mean over the cells is what these features add to the score."""
    cells, shape = maps.shape[1] * maps.shape[2], maps.shape[1:]
    if pool == "none":
        return np.asarray(cells * ((maps - mean.reshape(shape)) * weights.reshape(-1, *shape)).sum(axis=3))
    if pool == "avg":
        return np.asarray(np.einsum("nhwc,nc->nhw", maps - mean, weights))
    largest = maps.max(axis=(1, 2), keepdims=True)
    has_it = maps == largest
    belongs = has_it | (largest < mean)
    of_channel = (largest[:, 0, 0] - mean) * weights / belongs.sum(axis=(1, 2))
    return np.asarray(cells * np.einsum("nhwc,nc->nhw", belongs, of_channel))


def _contrasted(classifier: LinearClassifier, contrast: Contrast) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights (n, width) of the centred features and intercepts (n,), those of the contrast's log odds."""
    weights, intercept = classifier.coefficients / classifier.scale, classifier.intercept
    if len(intercept) == 1:  # one logit, that of the second of two classes
        weights, intercept = np.vstack([np.zeros_like(weights), weights]), np.append(0.0, intercept)
    return (
        np.asarray(weights[contrast.labels] - weights[contrast.rivals], np.float64),
        np.asarray(intercept[contrast.labels] - intercept[contrast.rivals], np.float64),
    )
