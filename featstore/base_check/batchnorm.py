"""The mismatch of preprocessed images with the statistics in the first BatchNormalization of a network.

That layer keeps the mean and variance of each channel over the training images. Natural photos with the right
preprocessing have nearly the same statistics, whatever they show. A wrong scale or offset changes them at once (batch
statistics carry the traits of a domain: Li et al. 2017, arXiv:1603.04779). The order of the channels hardly does: with
BGR for RGB the mismatch of MobileNet on photos is the same to three digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

_BATCH = 16


class FirstNormalization:
    """The BatchNormalization that a network applies first, wherever it is nested, and what arrives there.

    Attributes:
        is_trained: Whether it holds statistics of images; None where the network has no such layer.
    """

    def __init__(self, model: Any, shape: tuple[int, ...]) -> None:
        """Find the layer in `model`, for images of this `shape` (height, width, channels)."""
        self._layer: Any = None

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def moments(images: tf.Tensor) -> tuple[tf.Tensor, ...]:
            """Return the means of x and x * x at the layer. What comes behind it is traced, but never computed."""
            layer, x = _first_call(model, images)
            self._layer = layer
            if layer is None:
                return ()
            axes = [axis for axis in range(x.shape.rank) if axis != layer.axis % x.shape.rank]
            x = tf.cast(x, tf.float32)
            return tf.reduce_mean(x, axes), tf.reduce_mean(x * x, axes)

        # The number of images is open: a last batch of another size does not trace again.
        self._moments = moments.get_concrete_function(tf.TensorSpec((None, *shape), tf.float32))
        self.is_trained = None if self._layer is None else not _is_as_built(self._layer)

    def mismatch(self, images: NDArray[np.float32]) -> float:
        """Return how far preprocessed `images` (n, h, w, 3) are from those that the network was trained with, in nats.

        Images and layer each give a normal distribution per channel. The mismatch is the median over channels of the
        Kullback-Leibler divergence of the first from the second.
        """
        layer = self._layer
        sums = [np.zeros(layer.moving_mean.shape), np.zeros(layer.moving_mean.shape)]
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            for total, found in zip(sums, self._moments(tf.constant(batch, tf.float32)), strict=True):
                total += np.asarray(found, np.float64) * len(batch) / len(images)
        mean, square = sums
        variance = np.maximum(square - mean**2, 0) + layer.epsilon
        expected = np.asarray(layer.moving_variance, np.float64) + layer.epsilon
        offset = (mean - np.asarray(layer.moving_mean, np.float64)) ** 2
        return float(np.median(0.5 * (np.log(expected / variance) + (variance + offset) / expected - 1)))


def _first_call(model: Any, images: Any) -> tuple[Any, Any]:
    """Return the BatchNormalization that `model` calls first, and its input; None twice where it calls none."""
    calls: list[tuple[Any, Any]] = []
    with ExitStack() as recording:
        for layer in _normalizations(model):
            recording.enter_context(patch.object(layer, "call", _recorded(layer, calls)))
        model(images, training=False)
    return calls[0] if calls else (None, None)


def _recorded(layer: Any, calls: list[tuple[Any, Any]]) -> Any:
    call = layer.call

    def recorded(inputs: Any, *rest: Any, **options: Any) -> Any:
        calls.append((layer, inputs))
        return call(inputs, *rest, **options)

    return recorded


def _normalizations(model: Any) -> Iterator[Any]:
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer
        yield from _normalizations(layer)


def _is_as_built(layer: Any) -> bool:
    return bool((np.asarray(layer.moving_mean) == 0).all() and (np.asarray(layer.moving_variance) == 1).all())
