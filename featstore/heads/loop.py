"""The training loop of all Keras networks here: epochs, early stopping, and the best weights restored.

`Model.fit` is not used. It makes an iterator over a data set for each epoch and each evaluation, which takes longer
than the steps of a small network: an epoch of 600 rows took 100 ms, and takes 25 ms here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.errors import UsageError
from featstore.heads.interface import Curve
from featstore.system.progress import OnStep

Batch = tuple[NDArray[Any], NDArray[np.intp]]
Step = Callable[[Any, Any], Any]  # one optimizer step: (rows, targets) -> (sum of losses, number correct)


def divide(rows: int, batch: int) -> list[slice]:
    """Return the places of the batches of `rows` rows: each has `batch` rows, and the last one has the rest.

    A rest of one row joins the batch before it. BatchNormalization would make that row zero, since it is its own mean,
    and the step would teach nothing but biases.
    """
    starts = list(range(0, rows, batch))
    if batch > 1 and len(starts) > 1 and rows - starts[-1] == 1:
        starts.pop()
    return [slice(start, stop) for start, stop in pairwise([*starts, rows])]


class Group(NamedTuple):
    """Variables that share an optimizer, and so a learning rate."""

    optimizer: Any
    variables: list[Any]


class Training:
    """One training of `network`. Its history and best epoch are valid at any time, also after an interruption.

    history: `loss`, `accuracy`, `val_loss` and `val_accuracy` by epoch. The first two are means over the batches, each
        measured before its step.
    best_epoch: the epoch whose weights the network has when `run` ends, normally or not. It is that of the smallest
        validation loss, or the last one without validation.
    """

    def __init__(self, network: Any, step: Step, name: str) -> None:
        self.history: dict[str, list[float]] = {}
        self.best_epoch = 0
        self._network = network
        self._step = step
        self._name = name
        self._first_epoch = 1

    def run(
        self,
        batches: Callable[[int], Iterable[Batch]],
        validate: Callable[[], NDArray[np.float64]] | None,
        epochs: int,
        patience: int,
        on_step: OnStep | None = None,
        trained_before: bool = False,
    ) -> None:
        """Train for up to `epochs` epochs; raises UsageError for a loss of NaN or infinity.

        batches: returns the batches of an epoch, counted from 1.
        validate: returns (loss, accuracy); None trains all epochs.
        patience: number of epochs without a smaller validation loss after which training ends.
        trained_before: whether the network is trained already. It is then validated first, as epoch 0, and its weights
            stay if no epoch is better.
        """
        best, smallest, waited = None, np.inf, 0
        try:
            if trained_before:
                best = self._network.get_weights()
                if validate:
                    smallest = self._note(np.full(2, np.nan), self._finite(validate()))
                    self._first_epoch = 0
            for epoch in range(1, epochs + 1):
                trained = self._finite(self._run_epoch(batches(epoch)))
                loss = self._note(trained, self._finite(validate()) if validate else None)
                if loss < smallest or not validate:
                    best, self.best_epoch, smallest, waited = self._network.get_weights(), epoch, loss, 0
                else:
                    waited += 1
                if on_step:
                    on_step(epoch, epochs)
                if waited == patience:
                    break
        finally:
            if best is not None:
                self._network.set_weights(best)

    @property
    def curve(self) -> Curve:
        """The history over its epochs."""
        longest = len(self.history.get("loss", ()))
        return Curve("epoch", [float(e + self._first_epoch) for e in range(longest)], self.history)

    @property
    def improved(self) -> bool:
        """Whether an epoch made the network better than it was before; that epoch is then worth keeping."""
        return self.best_epoch > 0

    @property
    def epochs(self) -> int:
        """The number of epochs that were run."""
        return max(0, len(self.history.get("loss", ())) - 1 + self._first_epoch)

    def _run_epoch(self, batches: Iterable[Batch]) -> NDArray[np.float64]:
        """Train on `batches`; return the mean (loss, accuracy) over their rows."""
        sums, rows = np.zeros(2), 0
        for X, y in batches:
            sums += [float(value) for value in self._step(X, y)]
            rows += len(y)
        return np.asarray(sums / rows)

    def _finite(self, figures: NDArray[np.float64]) -> NDArray[np.float64]:
        if not np.isfinite(figures).all():
            raise UsageError(f"{self._name}: training diverged: its loss is not finite; lower the rate")
        return figures

    def _note(self, trained: NDArray[np.float64], validated: NDArray[np.float64] | None) -> float:
        """Add an epoch to all series of the history at once; return its validation loss, or else its training loss."""
        for prefix, figures in (("", trained), ("val_", validated)):
            if figures is not None:
                for name, value in zip(("loss", "accuracy"), figures.tolist(), strict=True):
                    self.history.setdefault(prefix + name, []).append(value)
        return float((trained if validated is None else validated)[0])


def compile_step(network: Any, groups: Sequence[Group]) -> Step:
    """Return an optimizer step on the cross-entropy of the network and the penalties of its layers, for `groups`.

    The network ends in a softmax, or in one sigmoid for two classes.
    """
    import tensorflow as tf

    from featstore.bases.keras_internals import logits_of

    variables = [variable for group in groups for variable in group.variables]
    for group in groups:
        group.optimizer.build(group.variables)

    def step(rows: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = tf.cast(logits_of(network(rows, training=True)), tf.float32)
            if logits.shape[1] == 1:  # the sigmoid of a logit is the softmax of 0 and the logit
                logits = tf.concat([tf.zeros_like(logits), logits], axis=1)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            penalties = [tf.cast(penalty, tf.float32) for penalty in network.losses]
            loss = groups[0].optimizer.scale_loss(tf.add_n([tf.reduce_mean(losses), *penalties]))
        gradients = iter(tape.gradient(loss, variables))
        for group in groups:
            group.optimizer.apply([next(gradients) for _ in group.variables], group.variables)
        correct = tf.equal(tf.argmax(logits, axis=1), targets)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(correct, tf.float32))

    compiled: dict[tuple[int, ...], Step] = {}

    def run(rows: NDArray[Any], targets: NDArray[np.intp]) -> Any:
        """Run the step on rows converted to float32; conversion within the graph takes far longer."""
        shape = rows.shape[1:]
        if shape not in compiled:
            signature = [tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int64)]
            compiled[shape] = tf.function(step, signature, autograph=False)
        return compiled[shape](rows.astype(np.float32, copy=False), targets)

    return run
