"""One optimizer step of a Keras network: what it lowers, and what it measures.

What is measured is always the plain cross-entropy, and the accuracy, of the rows as they are: penalties, smoothing and
weights change what a step lowers, but no figure. A batch that mixup mixes is measured apart, unmixed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Rows, their targets, and for mixup the partner of each row in the batch and the share that the row keeps.
Batch = tuple[NDArray[Any], NDArray[np.intp], *tuple[NDArray[Any], ...]]
Step = Callable[..., Any]  # takes the parts of a batch, returns (sum of losses, number correct)


class Group(NamedTuple):
    """Variables that share an optimizer, and so a learning rate."""

    optimizer: Any
    variables: list[Any]


class Objective(NamedTuple):
    """What a step lowers, where that is more than the mean cross-entropy and the penalties of layers.

    smoothing: the share of each target that is spread over all classes. class_weights: (classes,) factors of losses.
    """

    smoothing: float = 0.0
    class_weights: NDArray[np.float32] | None = None

    def of(self, losses: Any, targets: Any, logits: Any) -> Any:
        """Return for plain cross-entropies (n,) what is lowered instead (n,)."""
        import tensorflow as tf

        if self.smoothing:
            spread = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=1)
            losses = (1 - self.smoothing) * losses + self.smoothing * spread
        return losses if self.class_weights is None else losses * tf.gather(self.class_weights, targets)


PLAIN = Objective()


def compile_step(network: Any, groups: Sequence[Group], objective: Objective = PLAIN) -> Step:
    """Return an optimizer step on `objective` and the penalties of the network's layers, for `groups`.

    The network ends in a softmax, or in one sigmoid for two classes. The step measures in training mode, before it
    changes the weights; mixed batches it measures in inference mode, as the network is never trained on their rows.
    """
    import tensorflow as tf

    variables = [variable for group in groups for variable in group.variables]
    for group in groups:
        group.optimizer.build(group.variables)

    def step(rows: Any, targets: Any, *mixing: Any) -> Any:
        unmixed = _logits(network, rows, training=False) if mixing else None
        with tf.GradientTape() as tape:
            logits = _logits(network, _mix(rows, *mixing) if mixing else rows, training=True)
            losses = _cross_entropy(targets, logits)
            aims = objective.of(losses, targets, logits)
            if mixing:
                others, shares = tf.gather(targets, mixing[0]), mixing[1]
                aims = shares * aims + (1 - shares) * objective.of(_cross_entropy(others, logits), others, logits)
            penalties = [tf.cast(penalty, tf.float32) for penalty in network.losses]
            loss = groups[0].optimizer.scale_loss(tf.add_n([tf.reduce_mean(aims), *penalties]))
        if mixing:
            logits, losses = unmixed, _cross_entropy(targets, unmixed)
        gradients = iter(tape.gradient(loss, variables))
        for group in groups:
            group.optimizer.apply([next(gradients) for _ in group.variables], group.variables)
        correct = tf.equal(tf.argmax(logits, axis=1), targets)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(correct, tf.float32))

    compiled: dict[tuple[int, ...], Step] = {}

    def run(rows: NDArray[Any], targets: NDArray[np.intp], *mixing: NDArray[Any]) -> Any:
        """Run the step on rows converted to float32; conversion within the graph takes far longer."""
        shape = rows.shape[1:]
        if shape not in compiled:
            vectors = [tf.TensorSpec((None,), tf.as_dtype(vector.dtype)) for vector in mixing]
            signature = [tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int64), *vectors]
            compiled[shape] = tf.function(step, signature, autograph=False)
        return compiled[shape](rows.astype(np.float32, copy=False), targets, *mixing)

    return run


def _logits(network: Any, rows: Any, training: bool) -> Any:
    """Return the logits (n, classes) of a network; those of a sigmoid are the softmax of 0 and its logit."""
    import tensorflow as tf

    from featstore.bases.keras_internals import logits_of

    logits = tf.cast(logits_of(network(rows, training=training)), tf.float32)
    return tf.concat([tf.zeros_like(logits), logits], axis=1) if logits.shape[1] == 1 else logits


def _cross_entropy(targets: Any, logits: Any) -> Any:
    import tensorflow as tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)


def _mix(rows: Any, partners: Any, shares: Any) -> Any:
    """Return each row mixed with its partner in the batch, of which it keeps its share."""
    import tensorflow as tf

    column = tf.reshape(shares, [-1] + [1] * (len(rows.shape) - 1))
    return column * rows + (1 - column) * tf.gather(rows, partners)
