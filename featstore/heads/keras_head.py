"""What the Keras heads share: training with early stopping, saving and loading.

The loop is our own. `Model.fit` makes an iterator over a data set for each epoch and each evaluation, which takes
longer than the steps where a network is this small: an epoch of 600 rows took 100 ms, and takes 25 here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.bases.keras_file import refuse_layers
from featstore.errors import RunError, UsageError
from featstore.heads.base import Curve, Labelled, OnStep
from featstore.tensorflow_loader import load_tensorflow

_ASK_BATCH = 256


@dataclass
class KerasHead:
    """A small network trained with Adam at `rate`, in batches of `batch` rows.

    Training ends when the validation loss has not fallen for `patience` epochs, and the best weights are kept. Without
    a validation split it runs all `epochs`. `groups` are not needed: nothing is cross-validated.
    """

    NAME: ClassVar[str]
    CLASSES: ClassVar[frozenset[str]]  # all that a saved head holds; anything else in its file did not come from us

    epochs: int = 100
    batch: int = 64
    rate: float = 1e-3
    patience: int = 10
    _model: Any = field(default=None, init=False, repr=False)
    _forward: Any = field(default=None, init=False, repr=False)
    _history: dict[str, list[float]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.rate > 0 or min(self.epochs, self.batch, self.patience) < 1:
            raise ValueError("expected a rate above 0, and epochs, batch and patience of at least 1")

    def build(self, shape: tuple[int, ...], classes: int) -> Any:
        """The untrained network from rows of `shape` to probabilities (classes,)."""
        raise NotImplementedError

    def fit(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.str_],
        validation: Labelled | None,
        seed: int,
        on_step: OnStep | None = None,
        groups: NDArray[np.str_] | None = None,
    ) -> None:
        load_tensorflow()
        import keras

        labels, targets = np.unique(y, return_inverse=True)
        keras.utils.set_random_seed(seed)
        self._take(self.build(X.shape[1:], len(labels)))
        step = _training_step(self._model, self.rate, X.shape[1:])
        held_out = (validation[0], np.searchsorted(labels, validation[1])) if validation else None
        random = np.random.default_rng(seed)
        self._history = {}
        best, best_loss, waited = None, np.inf, 0
        for epoch in range(self.epochs):
            self._note(self._run_epoch(step, X, targets, random.permutation(len(X))))
            if held_out:
                loss = self._note(self._evaluate(*held_out), "val_")
                best_loss, best, waited = (
                    (loss, self._model.get_weights(), 0) if loss < best_loss else (best_loss, best, waited + 1)
                )
            if on_step:
                on_step(epoch + 1, self.epochs)
            if waited == self.patience:
                break
        if best is not None:
            self._model.set_weights(best)

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        parts = [np.asarray(self._forward(X[i : i + _ASK_BATCH])) for i in range(0, len(X), _ASK_BATCH)]
        return np.concatenate(parts).astype(np.float64)

    @property
    def curve(self) -> Curve:
        epochs = [float(e + 1) for e in range(len(self._history.get("loss", ())))]
        return Curve("epoch", epochs, self._history)

    def chosen(self) -> dict[str, Any]:
        loss = self._history.get("val_loss") or self._history["loss"]
        best = int(np.argmin(loss)) + 1 if "val_loss" in self._history else len(loss)
        return {"epochs": len(loss), "best_epoch": best}

    def save(self, folder: Path) -> str:
        self._model.save(folder / "head.keras")
        return "head.keras"

    def load(self, file: Path) -> None:
        refuse_layers(file, set(self.CLASSES))
        load_tensorflow()
        import keras

        try:
            self._take(keras.saving.load_model(file, compile=False, safe_mode=True))
        except Exception as error:  # Keras, h5py and zipfile each raise their own
            raise RunError(f"{file}: Keras cannot load this head: {' '.join(str(error).split())}") from error

    def _take(self, model: Any) -> None:
        """One graph for all batches: `Model.predict` would trace one for each head and warn about their number."""
        import tensorflow as tf

        self._model = model
        signature = [tf.TensorSpec(model.input_shape, tf.float32)]
        self._forward = tf.function(lambda rows: model(rows, training=False), input_signature=signature)

    def _run_epoch(
        self, step: Callable[..., Any], X: NDArray[np.float32], y: NDArray[np.intp], order: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """(loss, accuracy) over the epoch, each batch as it was before its step."""
        sums = np.zeros(2)
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            sums += [float(value) for value in step(X[rows], y[rows])]
        return np.asarray(sums / len(order))

    def _evaluate(self, X: NDArray[np.float32], y: NDArray[np.intp]) -> NDArray[np.float64]:
        """(loss, accuracy) in inference mode."""
        probabilities = self.predict_proba(X)
        of_truth = np.clip(probabilities[np.arange(len(y)), y], 1e-7, 1.0)
        return np.array([-np.log(of_truth).mean(), (probabilities.argmax(axis=1) == y).mean()])

    def _note(self, figures: NDArray[np.float64], prefix: str = "") -> float:
        """Add (loss, accuracy) to the history; raises UsageError for a loss that is no number."""
        if not np.isfinite(figures).all():
            raise UsageError(
                f"head {self.NAME}: training diverged at rate {self.rate:g}: its loss is not finite; lower it"
            )
        for name, value in zip(("loss", "accuracy"), figures.tolist(), strict=True):
            self._history.setdefault(prefix + name, []).append(value)
        return float(figures[0])


def _training_step(model: Any, rate: float, shape: tuple[int, ...]) -> Callable[..., Any]:
    """A function (rows, targets) -> (sum of losses, right answers) that moves the weights of `model` by Adam."""
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(model.trainable_variables)

    def step(rows: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            probabilities = model(rows, training=True)
            losses = keras.losses.sparse_categorical_crossentropy(targets, probabilities)
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        right = tf.equal(tf.argmax(probabilities, axis=1), targets)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))

    signature = [tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int64)]
    compiled: Callable[..., Any] = tf.function(step, input_signature=signature)
    return compiled
