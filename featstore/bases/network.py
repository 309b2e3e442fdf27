"""A base as a function from prepared images to features, in one compiled graph of fixed batch shape.

One `tf.function` with a padded batch has constant speed and memory; `model.predict` in a loop retraces and leaks
(keras#13118). Every call computes a whole batch, so a row does not depend on the other rows or on their number. Its
place in the batch changes the last bit at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from featstore.bases.build import load_held
from featstore.bases.cut import cut_at
from featstore.bases.held import hold_network
from featstore.bases.source import BATCH, BaseSource
from featstore.images.preprocessing import Preprocessing
from featstore.spec import LAST_ACTIVATION, FeatureSpec
from featstore.system.files import FileStat


class Network:
    """A function from RGB images (n, height, width, 3) in 0..255 to features (n, ...) float32, in inference mode."""

    def __init__(self, model: Any, preprocessing: Preprocessing, batch: int = BATCH) -> None:
        indices, scale, offset = preprocessing.factors()
        self._batch = batch

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def run(images: tf.Tensor) -> tf.Tensor:
            x = tf.cast(images, tf.float32)
            if indices != (0, 1, 2):
                x = tf.gather(x, indices, axis=-1)
            return model(x * tf.constant(scale, tf.float32) + tf.constant(offset, tf.float32), training=False)

        self._run = run

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        starts = range(0, len(images), self._batch)
        return np.concatenate([self._run_batch(images[i : i + self._batch]) for i in starts])

    def _run_batch(self, images: NDArray[Any]) -> NDArray[np.float32]:
        padded = images
        if len(images) < self._batch:
            padded = np.zeros((self._batch, *images.shape[1:]), images.dtype)
            padded[: len(images)] = images
        features: NDArray[np.float32] = self._run(tf.constant(padded)).numpy()
        return features[: len(images)]


def load_network(source: BaseSource, spec: FeatureSpec, state: FileStat | None, batch: int = BATCH) -> Network:
    """Return the base of `spec` as a function, compiled once for each spec; `state` is that of the weights file.

    Raises:
        BaseUnavailable: The weights of `source` are missing or are not those of the spec.
    """
    pools_inside = source.info is not None and not source.info.map_pools and spec.layer == LAST_ACTIVATION
    pool = spec.pool if pools_inside else "none"
    base = load_held(source, spec.reading.height, spec.reading.width, pool, state, spec.weights)
    network: Network = hold_network(
        base, (spec, batch), lambda: _compile(base.model, source, spec, batch, pools_inside)
    )
    return network


def _compile(model: Any, source: BaseSource, spec: FeatureSpec, batch: int, pools_inside: bool) -> Network:
    """Cut `model` at the layer of `spec`, and pool its output unless the model `pools_inside`."""
    body = cut_at(model, spec.layer, "none" if pools_inside else spec.pool, saved=source.is_file)
    return Network(body, spec.preprocessing, batch)
