"""Products in bfloat16, for one thread and one block."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from featstore.system.half_precision import computed_in
from featstore.system.pinned import pinned


def _make_product() -> Any:
    x = tf.constant(np.random.default_rng(0).normal(size=(64, 64)).astype("float32"))
    compiled = tf.function(lambda x: tf.nn.relu(x @ x) @ x, autograph=False)
    return lambda: compiled(x).numpy()


def test_the_products_of_a_block_are_rounded_and_no_others() -> None:
    """The same function computes in float32 before, after, and in another thread meanwhile, also within `pinned`."""
    product = _make_product()
    with pinned(), ThreadPoolExecutor(1) as other:
        right = product()
        with computed_in("bfloat16"):
            rounded = product()
            assert np.array_equal(other.submit(product).result(), right)
        assert np.array_equal(product(), right)
    assert 1e-4 < np.abs(rounded - right).max() / np.abs(right).max() < 3e-2


def test_float32_changes_nothing() -> None:
    """Not even the options of the thread."""
    product = _make_product()
    right = product()
    with computed_in("float32"):
        assert np.array_equal(product(), right)
