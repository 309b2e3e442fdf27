"""SGD with momentum in one pass over the weights.

Keras writes each product and sum of a step as an operation of its own. Fifteen million weights go through memory a
dozen times so, which takes longer than some layers. TensorFlow has the same arithmetic as one operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class Momentum(keras.optimizers.SGD):  # type: ignore[misc]
    """Keras' SGD, which clips the gradient of all its variables to the length `longest`; with 0 nothing is clipped."""

    def __init__(self, rate: Any, momentum: float, longest: float) -> None:
        super().__init__(rate, momentum=momentum)
        self._longest = longest

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Take a step. What clipping takes off the gradients is taken off the rate: it is a factor of both."""
        self._factor = tf.constant(1.0)
        if self._longest:
            norm = tf.linalg.global_norm(grads)
            not_finite = norm - norm  # NaN for infinity, else 0: one infinite gradient spoils the step, and it shows
            self._factor = self._longest / tf.maximum(norm, self._longest) + not_finite
        super().apply(grads, trainable_variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable and its momentum; Keras calls this for each."""
        rate = tf.cast(learning_rate, variable.dtype) * tf.cast(self._factor, variable.dtype)
        gradient = tf.cast(tf.convert_to_tensor(gradient), variable.dtype)
        if not self.momentum:
            tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=gradient)
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=rate,
            grad=gradient,
            momentum=tf.constant(self.momentum, variable.dtype),
        )
