"""SGD in one pass takes the steps of Keras' SGD."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from featstore.finetuning.momentum import Momentum


def _after_steps(optimizer: Any, steps: int = 4, first: float | None = None) -> list[Any]:
    """Return two variables after steps on gradients of very different lengths, some of them beyond a limit of 1.

    first: a number to put into the first gradient.
    """
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape).astype("float32")) for shape in ((3, 4), (5,))]
    gradients = [[rng.normal(size=v.shape).astype("float32") * 10.0**-step for v in variables] for step in range(steps)]
    if first is not None:
        gradients[0][0][0, 0] = first
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


@pytest.mark.parametrize("number", [np.inf, np.nan])
def test_a_gradient_that_is_not_finite_shows_in_all_weights(number: float) -> None:
    """As with Keras: the training then ends as diverged, wherever in the network the number was."""
    for optimizer in (keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=1.0), Momentum(0.1, 0.9, 1.0)):
        assert all(np.isnan(found).all() for found in _after_steps(optimizer, 1, number))


def test_a_scaled_loss_takes_the_same_steps() -> None:
    """With a rate that rises; and a step whose gradients are not finite is left out, as in float16."""

    class Rising(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            return 0.1 * (keras.ops.cast(step, "float32") + 1)

    for number in (None, np.inf):
        inner = keras.optimizers.SGD(Rising(), momentum=0.9, global_clipnorm=1.0), Momentum(Rising(), 0.9, 1.0)
        expected, found = (_after_steps(keras.optimizers.LossScaleOptimizer(each), first=number) for each in inner)
        for ours, theirs in zip(found[:2], expected[:2], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
