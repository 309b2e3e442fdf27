"""Head `bn-dropout`: dense layers with BN and dropout, in the manner of fast.ai's `get_bn_layers(p)`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.bases.keras_file import refuse_layers
from featstore.errors import RunError, UsageError
from featstore.heads.base import Curve, Labelled, OnStep
from featstore.tensorflow_loader import load_tensorflow

# All that a saved head of this kind holds; anything else in its file did not come from us.
CLASSES = {
    "Sequential",
    "InputLayer",
    "MaxPooling2D",
    "Flatten",
    "Dropout",
    "Dense",
    "BatchNormalization",
    "DTypePolicy",
    "GlorotUniform",
    "Zeros",
    "Ones",
}


@dataclass
class BnDropoutHead:
    """Max-pooling if given a map, flatten, dropout p/2, then twice dense + BN with dropout p/2 and p, softmax.

    Trained with Adam at `rate`; ends when the validation loss has not fallen for `patience` epochs, and keeps the best
    weights. Without a validation split it runs all `epochs`.
    """

    p: float = 0.5
    units: int = 128
    epochs: int = 100
    batch: int = 64
    rate: float = 1e-3
    patience: int = 10
    _model: Any = field(default=None, init=False, repr=False)
    _history: dict[str, list[float]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.p < 1 or not self.rate > 0 or min(self.units, self.epochs, self.batch, self.patience) < 1:
            raise ValueError("expected 0 <= p < 1, a rate above 0, and units, epochs, batch and patience of at least 1")

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

        keras.utils.set_random_seed(seed)
        labels = np.unique(y)
        self._model = self._build(X.shape[1:], len(labels))
        self._model.compile(keras.optimizers.Adam(self.rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        callbacks: list[Any] = []
        held_out = None
        if validation is not None:
            held_out = validation[0], np.searchsorted(labels, validation[1])
            callbacks.append(
                keras.callbacks.EarlyStopping("val_loss", patience=self.patience, restore_best_weights=True)
            )
        if on_step:
            callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: on_step(e + 1, self.epochs)))
        fitted = self._model.fit(
            X,
            np.searchsorted(labels, y),
            batch_size=self.batch,
            epochs=self.epochs,
            validation_data=held_out,
            callbacks=callbacks,
            verbose=0,
        )
        self._history = {name: [float(v) for v in values] for name, values in fitted.history.items()}
        if not np.isfinite(list(self._history.values())).all():
            raise UsageError(
                f"head bn-dropout: training diverged at rate {self.rate:g}: its loss is not finite; lower it"
            )

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(self._model.predict(X, batch_size=256, verbose=0), np.float64)

    @property
    def curve(self) -> Curve:
        epochs = [float(e + 1) for e in range(len(self._history.get("loss", ())))]
        return Curve("epoch", epochs, self._history)

    def chosen(self) -> dict[str, Any]:
        loss = self._history.get("val_loss") or self._history["loss"]
        return {
            "epochs": len(loss),
            "best_epoch": int(np.argmin(loss)) + 1 if "val_loss" in self._history else len(loss),
        }

    def save(self, folder: Path) -> str:
        self._model.save(folder / "head.keras")
        return "head.keras"

    def load(self, file: Path) -> None:
        refuse_layers(file, CLASSES)
        load_tensorflow()
        import keras

        try:
            self._model = keras.saving.load_model(file, compile=False, safe_mode=True)
        except Exception as error:  # Keras, h5py and zipfile each raise their own
            raise RunError(f"{file}: Keras cannot load this head: {' '.join(str(error).split())}") from error

    def _build(self, shape: tuple[int, ...], classes: int) -> Any:
        from keras import Input, Sequential, layers

        return Sequential(
            [
                Input(shape),
                *([layers.MaxPooling2D()] if len(shape) == 3 and min(shape[:2]) > 1 else []),
                layers.Flatten(),
                layers.Dropout(self.p / 2),
                layers.Dense(self.units, activation="relu"),
                layers.BatchNormalization(),
                layers.Dropout(self.p / 2),
                layers.Dense(self.units, activation="relu"),
                layers.BatchNormalization(),
                layers.Dropout(self.p),
                layers.Dense(classes, activation="softmax"),
            ]
        )
