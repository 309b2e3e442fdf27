"""The training loop of all Keras networks here: epochs, early stopping, and the best weights put back.

The loop is our own. `Model.fit` makes an iterator over a data set for each epoch and each evaluation, which takes
longer than the steps where a network is small: an epoch of 600 rows took 100 ms, and takes 25 here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.errors import UsageError
from featstore.heads.interface import Curve
from featstore.system.progress import OnStep

Batch = tuple[NDArray[Any], NDArray[np.intp]]
Step = Callable[[Any, Any], Any]  # (rows, targets) -> (sum of losses, right answers), one step of the optimizer


class Group(NamedTuple):
    """Variables that share an optimizer, and so a rate."""

    optimizer: Any
    variables: list[Any]


class Training:
    """One training of `network`; its history and its best epoch can be asked at any time, also after an interruption.

    history: `loss` and `accuracy`, each batch as it was before its step, and `val_loss`, `val_accuracy` by epoch.
    best_epoch: the one whose weights the network has when `run` ends, in whatever way: that of the smallest validation
    loss, or the last where nothing is validated.
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
        """Train for up to `epochs` on what `batches` gives for each, from 1 on.

        It ends when the loss of `validate`, which gives (loss, accuracy), has not fallen for `patience` epochs. A
        network that was `trained_before` is validated first, as epoch 0, and is the one to be beaten. Raises UsageError
        for a loss that is no number.
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
    def epochs(self) -> int:
        """How many were run."""
        return max(0, len(self.history.get("loss", ())) - 1 + self._first_epoch)

    def _run_epoch(self, batches: Iterable[Batch]) -> NDArray[np.float64]:
        """(loss, accuracy) over the epoch."""
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
        """Add an epoch to the history, all of it at once; its loss comes back, that of validation if there is any."""
        for prefix, figures in (("", trained), ("val_", validated)):
            if figures is not None:
                for name, value in zip(("loss", "accuracy"), figures.tolist(), strict=True):
                    self.history.setdefault(prefix + name, []).append(value)
        return float((trained if validated is None else validated)[0])


def compile_step(network: Any, groups: Sequence[Group]) -> Step:
    """A step down the cross-entropy of the network's probabilities, and the penalties of its layers, for `groups`."""
    import keras
    import tensorflow as tf

    variables = [variable for group in groups for variable in group.variables]
    for group in groups:
        group.optimizer.build(group.variables)

    def step(rows: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            probabilities = each_class(tf.cast(network(rows, training=True), tf.float32))
            losses = keras.losses.sparse_categorical_crossentropy(targets, probabilities)
            penalties = [tf.cast(penalty, tf.float32) for penalty in network.losses]
            loss = groups[0].optimizer.scale_loss(tf.add_n([tf.reduce_mean(losses), *penalties]))
        gradients = iter(tape.gradient(loss, variables))
        for optimizer, of_group in groups:
            optimizer.apply([next(gradients) for _ in of_group], of_group)
        right = tf.equal(tf.argmax(probabilities, axis=1), targets)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))

    compiled: dict[tuple[int, ...], Step] = {}

    def run(rows: NDArray[Any], targets: NDArray[np.intp]) -> Any:
        """Rows stored as float16 are widened here: as part of the graph that would take far longer."""
        shape = rows.shape[1:]
        if shape not in compiled:
            signature = [tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int64)]
            compiled[shape] = tf.function(step, signature, autograph=False)
        return compiled[shape](rows.astype(np.float32, copy=False), targets)

    return run


def each_class(probabilities: Any) -> Any:
    """(n, classes) from a network's output; a single column is the probability of the second of two classes."""
    import tensorflow as tf

    return tf.concat([1 - probabilities, probabilities], axis=1) if probabilities.shape[1] == 1 else probabilities


def loss_and_accuracy(probabilities: NDArray[np.float64], targets: NDArray[np.intp]) -> NDArray[np.float64]:
    """(2,): the mean cross-entropy in nats, no probability below 1e-7, and the share of right answers."""
    of_truth = np.clip(probabilities[np.arange(len(targets)), targets], 1e-7, 1.0)
    return np.array([-np.log(of_truth).mean(), (probabilities.argmax(axis=1) == targets).mean()])
