"""The precision of TensorFlow's products: measured, since not every switch that lowers it can be known."""

from __future__ import annotations

from functools import cache

import numpy as np
import tensorflow as tf

from featstore.errors import BaseUnavailable
from featstore.system.pinned import pinned

TOLERANCE = 1e-4  # relative L2; float32 gives 3e-7, factors of 10 bits (TensorFloat-32) 4e-4, of 8 bits (bfloat16) 3e-3


@cache
@pinned()
def check_products() -> None:
    """Raise BaseUnavailable unless float32 is multiplied as float32 in a convolution and a matrix product."""
    error = product_error()
    if not error <= TOLERANCE:
        raise BaseUnavailable(
            f"TensorFlow computes float32 products with a relative error of {error:.0e} here, and float32 has 3e-07: "
            "unset what lowers its precision, such as variables that begin with TF_, ONEDNN_, XLA_ or NVIDIA_, and "
            "start again"
        )


def product_error() -> float:
    """Return the relative L2 difference of a small network in float32 from the same in float64 by numpy."""

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def network(x: tf.Tensor, kernel: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "VALID")) @ matrix

    random = np.random.default_rng(0)
    shapes = (4, 16, 16, 32), (3, 3, 32, 32), (32, 32)
    x, kernel, matrix = (random.normal(size=shape).astype(np.float32) for shape in shapes)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (3, 3), axis=(1, 2))
    exact = np.maximum(np.tensordot(windows, kernel, axes=([3, 4, 5], [2, 0, 1])), 0) @ matrix
    found = network(tf.constant(x), tf.constant(kernel), tf.constant(matrix)).numpy()
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
