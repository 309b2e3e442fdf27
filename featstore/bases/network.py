"""A base as a function from prepared images to features, in one compiled graph of fixed batch shape.

One `tf.function` with a padded batch has constant speed and memory; `model.predict` in a loop retraces and leaks
(keras#13118). Every call computes a whole batch, so a row does not depend on the number of images. Nor does it depend
on the other images: Keras' bases do not mix them, and a user's network is tested (`self_test`). Its place in the batch
changes the last bit at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from featstore.bases.build import load_held
from featstore.bases.cut import cut_at
from featstore.bases.held import hold_network
from featstore.bases.products import check_products
from featstore.bases.self_test import Encode, SelfTested
from featstore.bases.source import BATCH, BaseSource
from featstore.images.preprocessing import Preprocessing
from featstore.spec import FeatureSpec
from featstore.system.files import FileStat
from featstore.system.pinned import pinned


class Network:
    """A function from RGB images (n, height, width, 3) in 0..255 to features (n, ...) float32, in inference mode."""

    def __init__(self, model: Any, preprocessing: Preprocessing, batch: int = BATCH) -> None:
        indices, scale, offset = preprocessing.factors()
        self._batch = batch
        takes = tf.as_dtype(model.inputs[0].dtype)

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def run(images: tf.Tensor) -> tf.Tensor:
            x = tf.cast(images, tf.float32)
            if indices != (0, 1, 2):
                x = tf.gather(x, indices, axis=-1)
            x = x * tf.constant(scale, tf.float32) + tf.constant(offset, tf.float32)
            if takes.is_integer:  # Keras would cut the fraction off, and wrap what is out of range
                x = tf.saturate_cast(tf.round(x), takes)
            return model(x, training=False)

        self._run = run

    @pinned()  # the first call traces the graph
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


def load_network(source: BaseSource, spec: FeatureSpec, state: FileStat | None, batch: int = BATCH) -> Encode:
    """Return the base of `spec` as a function, compiled once for each spec; `state` is that of the weights file.

    The function of a user's network raises BaseUnavailable if a row depends on more than its image.

    Raises:
        BaseUnavailable: The weights of `source` are missing or are not those of the spec, or products are not as
            precise as float32.
    """
    check_products()
    inside = "none" if source.pools_maps(spec.layer) else spec.pool
    base = load_held(source, spec.reading.height, spec.reading.width, inside, state, spec.weights)
    network: Encode = hold_network(base, (spec, batch), lambda: _compile(base.model, source, spec, batch))
    return network


def _compile(model: Any, source: BaseSource, spec: FeatureSpec, batch: int) -> Encode:
    """Cut `model` at the layer of `spec`, and pool its output unless the model has done so."""
    body = cut_at(model, spec.layer, spec.pool if source.pools_maps(spec.layer) else "none", saved=source.is_file)
    network = Network(body, spec.preprocessing, batch)
    return SelfTested(network, source.model) if source.is_file else network
