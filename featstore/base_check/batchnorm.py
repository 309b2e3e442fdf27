"""The mismatch of preprocessed images with the statistics in the first BatchNormalization of a network.

That layer keeps the mean and variance of each channel over the training images. Natural photos with the right
preprocessing have nearly the same statistics, whatever they show. A wrong scale or offset changes them at once (batch
statistics carry the traits of a domain: Li et al. 2017, arXiv:1603.04779).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

_BATCH = 16


def mismatch(model: Any, images: NDArray[np.float32]) -> float | None:
    """Return how far preprocessed `images` (n, h, w, 3) are from those that `model` was trained with, in nats.

    Images and layer each give a normal distribution per channel, at the first BatchNormalization. The mismatch is the
    median over channels of the Kullback-Leibler divergence of the first from the second. It is None where there is no
    such layer, or where it was never trained.
    """
    layer = next((found for found in model.layers if isinstance(found, keras.layers.BatchNormalization)), None)
    if layer is None or _is_untrained(layer):
        return None
    before = keras.Model(model.input, layer.input)
    axes = [axis for axis in range(len(layer.input.shape)) if axis != layer.axis % len(layer.input.shape)]

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def moments(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = before(batch, training=False)
        return tf.reduce_mean(x, axes), tf.reduce_mean(x * x, axes)

    sums = [np.zeros(layer.moving_mean.shape), np.zeros(layer.moving_mean.shape)]
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        for total, found in zip(sums, moments(tf.constant(batch)), strict=True):
            total += np.asarray(found, np.float64) * len(batch) / len(images)
    mean, square = sums
    variance = np.maximum(square - mean**2, 0) + layer.epsilon
    expected = np.asarray(layer.moving_variance, np.float64) + layer.epsilon
    offset = (mean - np.asarray(layer.moving_mean, np.float64)) ** 2
    return float(np.median(0.5 * (np.log(expected / variance) + (variance + offset) / expected - 1)))


def _is_untrained(layer: Any) -> bool:
    return bool((np.asarray(layer.moving_mean) == 0).all() and (np.asarray(layer.moving_variance) == 1).all())
