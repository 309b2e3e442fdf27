"""A base on TensorFlow: a function from images to features, in one compiled graph of fixed batch shape.

One `tf.function` with a padded batch has constant speed and memory; `model.predict` in a loop retraces and leaks
(keras#13118). Every call computes a whole batch, so a row does not depend on the number of images. Nor does it depend
on the other images: Keras' bases do not mix them, and a user's network is tested (`self_test`). Its place in the batch
changes the last bit at most.

Lower precision is TensorFlow's own: its graph optimizer converts the factors of products where that is safe. Which
options it runs with is said for each call and each thread, so another network of the process stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from featstore.bases.build import load_held
from featstore.bases.cut import cut_at_all
from featstore.bases.held import hold_network
from featstore.bases.source import BATCH, BaseSource
from featstore.engines.network import Network, Outputs
from featstore.engines.products import check_products
from featstore.engines.self_test import SelfTested
from featstore.images.preprocessing import Preprocessing
from featstore.spec import FeatureSpec, Precision
from featstore.system.files import FileStat
from featstore.system.half_precision import computed_in
from featstore.system.pinned import pinned


class TensorFlowNetwork:
    """A Keras model in inference mode, with the preprocessing in its graph: see `Network`.

    TensorFlow shares the work of one call between the cores, and its threads wait for the slowest of them at every
    layer. Two calls at once fill these gaps, and change no bit of a row.
    """

    engine = "tensorflow"
    calls = 2

    def __init__(
        self, model: Any, preprocessing: Preprocessing, batch: int = BATCH, precision: Precision = "float32"
    ) -> None:
        indices, scale, offset = preprocessing.factors()
        self.batch = batch
        self._precision = precision
        takes = tf.as_dtype(model.inputs[0].dtype)

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def run(images: tf.Tensor) -> list[tf.Tensor]:
            x = tf.cast(images, tf.float32)
            if indices != (0, 1, 2):
                x = tf.gather(x, indices, axis=-1)
            x = x * tf.constant(scale, tf.float32) + tf.constant(offset, tf.float32)
            if takes.is_integer:  # Keras would cut the fraction off, and wrap what is out of range
                x = tf.saturate_cast(tf.round(x), takes)
            outputs = model(x, training=False)
            return list(outputs) if isinstance(outputs, list | tuple) else [outputs]

        self._run = run

    def graph(self, height: int, width: int) -> Any:
        """Return the traced function of float32 pixels (n, height, width, 3)."""
        return self._run.get_concrete_function(tf.TensorSpec((None, height, width, 3), tf.float32))

    @pinned()  # the first call traces the graph
    def __call__(self, images: NDArray[Any]) -> Outputs:
        with computed_in(self._precision):
            batches = [self._run_batch(images[i : i + self.batch]) for i in range(0, len(images), self.batch)]
        return tuple(np.concatenate(rows) for rows in zip(*batches, strict=True))

    def _run_batch(self, images: NDArray[Any]) -> list[NDArray[np.float32]]:
        padded = images
        if len(images) < self.batch:
            padded = np.zeros((self.batch, *images.shape[1:]), images.dtype)
            padded[: len(images)] = images
        return [output.numpy()[: len(images)] for output in self._run(tf.constant(padded))]


def load_tensorflow_network(
    source: BaseSource, specs: Sequence[FeatureSpec], state: FileStat | None, batch: int = BATCH
) -> Network:
    """Return the base as a function with an output for each of `specs`, compiled once for them.

    Arguments and errors are those of `engines.load`. The function of a user's network raises BaseUnavailable if a row
    depends on more than its image; this one does if products are not as precise as float32.
    """
    check_products()
    spec = specs[0]
    inside = "none" if source.pools_maps(spec.layer) else spec.pool
    base = load_held(source, spec.reading.height, spec.reading.width, inside, state, spec.weights)
    network: Network = hold_network(base, (tuple(specs), batch), lambda: _compile(base.model, source, specs, batch))
    return network


def _compile(model: Any, source: BaseSource, specs: Sequence[FeatureSpec], batch: int) -> Network:
    """Cut `model` at the layers of `specs`, and pool the outputs unless the model has done so."""
    cuts = [(spec.layer, spec.pool if source.pools_maps(spec.layer) else "none") for spec in specs]
    body = cut_at_all(model, cuts, saved=source.is_file)
    network = TensorFlowNetwork(body, specs[0].preprocessing, batch, specs[0].precision)
    return SelfTested(network, source.model) if source.is_file else network
