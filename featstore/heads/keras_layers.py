"""Layers that several Keras heads begin or end with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.heads.moments import Change, Moments
from featstore.heads.rows import RowsLike

_BLOCK = 512  # rows whose squares are in memory at a time


def output_layer(classes: int, start: str = "glorot_uniform") -> Any:
    """Return one sigmoid for two classes, which is the probability of the second one, or a softmax for more.

    start: the initializer of its weights. With `zeros` all classes begin alike. Random weights on many scaled features
    are noise that a training on few rows never takes back: it does not see the directions in which no row varies.
    """
    from keras import layers

    if classes == 2:
        return layers.Dense(1, activation="sigmoid", kernel_initializer=start)
    return layers.Dense(classes, activation="softmax", kernel_initializer=start)


def batch_norm() -> Any:
    """Return BatchNormalization whose statistics forget in tens of steps, as in PyTorch and fast.ai, not in hundreds.

    The validation split sees the statistics, not those of the batch. With the 0.99 of Keras a small set has hardly any
    before early stopping judges it: after 30 steps three quarters of them are still those that it began with.
    """
    from keras import layers

    return layers.BatchNormalization(momentum=0.9)


def input_layers(rows: RowsLike, scaling: str) -> list[Any]:
    """Return the first layers of a network on rows such as `rows`: the input, and those of `flat_layers`."""
    from keras import Input

    return [Input(rows.shape[1:]), *flat_layers(rows, scaling)]


def flat_layers(rows: RowsLike, scaling: str, change: Change | None = None) -> list[Any]:
    """Return the layers that flatten rows such as `rows`, and scale each feature by its mean and deviation there.

    change: what layers before these have done with the rows.
    """
    from keras import layers

    if scaling == "none":
        return [layers.Flatten()]
    if isinstance(rows, np.ndarray):
        changed = change(rows) if change else rows
        mean, deviation = mean_and_deviation(changed.reshape(len(rows), -1))
    else:  # in one pass, since reading takes longer than arithmetic
        moments = Moments.of(rows, change)
        mean, deviation = moments.mean, moments.deviation
    return [layers.Flatten(), layers.Rescaling((1 / deviation).tolist(), (-mean / deviation).tolist())]


def mean_and_deviation(flat: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the deviation (width,) of each feature of `flat` (n, width).

    The deviation of a feature that does not vary is 1, so that it keeps its scale. Normalization of Keras would do the
    same with very small deviations.
    """
    mean = flat.mean(axis=0, dtype=np.float64)
    squares = np.zeros_like(mean)
    for start in range(0, len(flat), _BLOCK):
        squares += np.square(flat[start : start + _BLOCK] - mean).sum(axis=0)
    deviation = np.sqrt(squares / len(flat))
    deviation[deviation == 0] = 1
    return mean, deviation
