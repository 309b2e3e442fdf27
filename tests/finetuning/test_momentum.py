"""SGD in one pass takes the steps of Keras' SGD."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from featstore.finetuning.momentum import Momentum


def _after_steps(optimizer: Any, steps: int = 4) -> list[Any]:
    """Return two variables after steps on gradients of very different lengths, some of them beyond a limit of 1."""
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape).astype("float32")) for shape in ((3, 4), (5,))]
    gradients = [[rng.normal(size=v.shape).astype("float32") * 10.0**-step for v in variables] for step in range(steps)]
    optimizer.build(variables)
    step = tf.function(lambda *grads: optimizer.apply(list(grads), variables), autograph=False)
    for grads in gradients:
        step(*map(tf.constant, grads))
    return [np.asarray(v) for v in (*variables, *optimizer.variables[2:])]


@pytest.mark.parametrize("momentum", [0.9, 0.0])
@pytest.mark.parametrize("longest", [1.0, 0.0])
def test_the_steps_are_those_of_keras(momentum: float, longest: float) -> None:
    """Weights and momentum, to rounding, whether gradients are clipped or not."""
    expected = _after_steps(keras.optimizers.SGD(0.1, momentum=momentum, global_clipnorm=longest or None))
    found = _after_steps(Momentum(0.1, momentum, longest))
    assert len(found) == len(expected) == (4 if momentum else 2)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
