"""The common part of the Keras heads: a network, its training, saving and loading."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.bases.keras_file import refuse_layers
from featstore.heads.interface import Curve, Labelled
from featstore.heads.keras_parameters import KerasParameters
from featstore.heads.logits import loss_and_accuracy, probabilities_of
from featstore.heads.loop import Batch, Group, Training, compile_step, divide
from featstore.heads.saving import compile_logits, read_network, save_network
from featstore.system.progress import OnStep
from featstore.system.tensorflow_loader import load_tensorflow

_PREDICT_BATCH = 256


# Objects of Keras in saved heads of dense layers, and of those with BatchNormalization.
DENSE = frozenset({"Sequential", "InputLayer", "Flatten", "Dense", "Dropout", "DTypePolicy", "GlorotUniform", "Zeros"})
NORMALIZED = DENSE | {"BatchNormalization", "Ones"}


@dataclass
class KerasHead(KerasParameters):
    """A small network trained with Adam at the learning rate `rate`, in batches of `batch` rows.

    Training ends when the validation loss has not fallen for `patience` epochs, and the best weights are kept. Without
    a validation split it runs all `epochs`. `groups` is not used: nothing is cross-validated.
    """

    NAME: ClassVar[str]
    SAVED_CLASSES: ClassVar[frozenset[str]]  # of all objects in a saved head; a file with others is not ours

    _model: Any = field(default=None, init=False, repr=False)
    _forward: Any = field(default=None, init=False, repr=False)
    _training: Training | None = field(default=None, init=False, repr=False)

    def build(self, shape: tuple[int, ...], classes: int) -> Any:
        """Return the untrained network from rows of `shape` to probabilities (classes,)."""
        raise NotImplementedError

    def fit(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.intp],
        validation: Labelled | None,
        seed: int,
        on_step: OnStep | None = None,
        groups: NDArray[np.str_] | None = None,
    ) -> None:
        load_tensorflow()
        import keras

        from featstore.bases.defaults import keras_defaults

        labels, targets = np.unique(y, return_inverse=True)
        with keras_defaults(seed):
            self._set_network(self.build(X.shape[1:], len(labels)))
        step = compile_step(self._model, [Group(keras.optimizers.Adam(self.rate), self._model.trainable_variables)])
        random = np.random.default_rng(seed)

        def batches(epoch: int) -> Iterator[Batch]:
            order = random.permutation(len(X))
            for place in divide(len(order), self.batch):
                yield X[order[place]], targets[order[place]]

        def validate(held_out: Labelled) -> NDArray[np.float64]:
            return loss_and_accuracy(self.predict_proba(held_out[0]), np.searchsorted(labels, held_out[1]))

        self._training = Training(self._model, step, f"head {self.NAME} at rate {self.rate:g}")
        self._training.run(
            batches, partial(validate, validation) if validation else None, self.epochs, self.patience, on_step
        )

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        parts = [np.asarray(self._forward(X[i : i + _PREDICT_BATCH])) for i in range(0, len(X), _PREDICT_BATCH)]
        return probabilities_of(np.concatenate(parts))

    @property
    def row_shape(self) -> tuple[int, ...]:
        return tuple(self._model.input_shape[1:])

    @property
    def curve(self) -> Curve:
        return self._training.curve if self._training else Curve("epoch", [], {})

    def selected(self) -> dict[str, Any]:
        assert self._training is not None
        return {"epochs": self._training.epochs, "best_epoch": self._training.best_epoch}

    @property
    def is_trained(self) -> bool:
        return self._training is not None and self._training.improved

    def network(self, shape: tuple[int, ...]) -> Any:
        return self._model

    def save(self, folder: Path) -> str:
        save_network(self._model, folder / "head.keras")
        return "head.keras"

    def load(self, file: Path) -> None:
        refuse_layers(file, set(self.SAVED_CLASSES))
        self._set_network(read_network(file))

    def _set_network(self, model: Any) -> None:
        self._model, self._forward = model, compile_logits(model)
