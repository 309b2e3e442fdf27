"""The common part of the Keras heads: a network, its training, saving and loading."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.bases.keras_file import refuse_layers
from featstore.heads.class_weights import weights_of_classes
from featstore.heads.interface import Curve, LabelledLike
from featstore.heads.keras_parameters import KerasParameters
from featstore.heads.logits import probabilities_of
from featstore.heads.loop import Training, divide
from featstore.heads.measures import measure
from featstore.heads.optimizers import lower_rate, make_optimizer, make_rate
from featstore.heads.rows import RowsLike, count_blocks
from featstore.heads.saving import compile_logits, read_network, save_network
from featstore.heads.shuffle import shuffled_batches
from featstore.heads.step import Batch, Group, Objective, Step, compile_step
from featstore.system.progress import OnStep
from featstore.system.tensorflow_loader import load_tensorflow

_PREDICT_BATCH = 256


# Objects of Keras in saved heads of dense layers, and of those with BatchNormalization or with scaled rows.
DENSE = frozenset({"Sequential", "InputLayer", "Flatten", "Dense", "Dropout", "DTypePolicy", "GlorotUniform", "Zeros"})
NORMALIZED = DENSE | {"BatchNormalization", "Ones"}
SCALED = DENSE | {"Rescaling"}

# Where the user says nothing: the length of a training in steps, so that it is the same for 60 images and 60,000.
MOST_STEPS, LEAST_EPOCHS = 3000, 30
PATIENT_STEPS, LEAST_PATIENCE = 300, 10


class Limits(NamedTuple):
    """The most epochs of a training, and the epochs that it goes on without a better one."""

    epochs: int
    patience: int


class Start(NamedTuple):
    """A training before its first step: the step, its optimizer, and the batches of an epoch, counted from 1."""

    step: Step
    optimizer: Any
    batches: Callable[[int], Iterator[Batch]]


@dataclass
class KerasHead(KerasParameters):
    """A small network that is trained as its parameters say.

    Training ends when the validation figure `monitor` has not become better for the epochs of `limits`, and the best
    weights are kept. Without a validation split it runs all epochs. `groups` is not used: nothing is cross-validated.
    """

    NAME: ClassVar[str]
    SAVED_CLASSES: ClassVar[frozenset[str]]  # of all objects in a saved head; a file with others is not ours

    _model: Any = field(default=None, init=False, repr=False)
    _forward: Any = field(default=None, init=False, repr=False)
    _training: Training | None = field(default=None, init=False, repr=False)
    _limits: Limits = field(default=Limits(0, 0), init=False, repr=False)
    _classes: tuple[str, ...] | None = field(default=None, init=False, repr=False)
    _blocks: int = field(default=0, init=False, repr=False)  # in which the rows of an epoch were read from disk

    def build(self, rows: RowsLike, classes: int) -> Any:
        """Return the untrained network from rows such as `rows`, those of the training, to probabilities."""
        raise NotImplementedError

    def name_classes(self, names: tuple[str, ...]) -> None:
        """Tell the head the names of the classes, in the order of their numbers: `class_weights` may use them."""
        self._classes = names

    def begin(self, X: RowsLike, y: NDArray[np.intp], seed: int, rate: Any = None, epochs: int | None = None) -> Start:
        """Return a new network's training before its first step; `rate` takes the place of that of the parameters.

        rate: a number or a schedule of Keras. epochs: those that the schedule of the parameters is for.
        """
        load_tensorflow()
        from featstore.bases.defaults import keras_defaults

        labels, targets = np.unique(y, return_inverse=True)
        names = self._classes or tuple(map(str, labels))
        weights = weights_of_classes(self.class_weights, targets, names)
        with keras_defaults(seed):
            self._set_network(self.build(X, len(labels)))
        places = divide(len(X), self.batch)
        steps = (epochs or self.limits_for(len(X)).epochs) * len(places)
        optimizer = make_optimizer(self, make_rate(self, steps) if rate is None else rate)
        groups = [Group(optimizer, self._model.trainable_variables)]
        random = np.random.default_rng(seed)

        def batches_in_memory(epoch: int) -> Iterator[Batch]:
            order = random.permutation(len(X))
            for place in places:
                which = order[place]
                yield X[which], targets[which], *self._mixing(len(which), random)

        def batches_from_disk(epoch: int) -> Iterator[Batch]:
            for rows, which in shuffled_batches(X, self.batch, random):
                yield rows, targets[which], *self._mixing(len(which), random)

        step = compile_step(self._model, groups, Objective(self.label_smoothing, weights))
        self._blocks = count_blocks(X)
        return Start(step, optimizer, batches_from_disk if self._blocks else batches_in_memory)

    def limits_for(self, rows: int) -> Limits:
        """Return the limits of a training on `rows` rows."""
        steps = len(divide(rows, self.batch))
        epochs = self.epochs or max(LEAST_EPOCHS, math.ceil(MOST_STEPS / steps))
        if self.patience:
            return Limits(epochs, self.patience)
        falls_to_the_end = self.schedule in ("cosine", "one-cycle")
        return Limits(epochs, epochs if falls_to_the_end else max(LEAST_PATIENCE, math.ceil(PATIENT_STEPS / steps)))

    def fit(
        self,
        X: RowsLike,
        y: NDArray[np.intp],
        validation: LabelledLike | None,
        seed: int,
        on_step: OnStep | None = None,
        groups: NDArray[np.str_] | None = None,
    ) -> None:
        start, labels = self.begin(X, y, seed), np.unique(y)
        self._limits = self.limits_for(len(X))

        def validate(held_out: LabelledLike) -> dict[str, float]:
            return measure(self.predict_proba(held_out[0]), np.searchsorted(labels, held_out[1]), self.monitor)

        def lower_on_plateau(waited: int) -> None:
            if waited % max(1, self._limits.patience // 2) == 0:
                lower_rate(start.optimizer)

        self._training = Training(self._model, start.step, f"head {self.NAME} at rate {self.rate:g}")
        self._training.run(
            start.batches,
            partial(validate, validation) if validation else None,
            *self._limits,
            on_step,
            monitor=self.monitor,
            on_wait=lower_on_plateau if self.schedule == "plateau" else None,
        )

    def _mixing(self, rows: int, random: np.random.Generator) -> tuple[NDArray[Any], ...]:
        """Return the partner of each row of a batch and the share that the row keeps; nothing without mixup."""
        if not self.mixup:
            return ()
        return random.permutation(rows), random.beta(self.mixup, self.mixup, rows).astype(np.float32)

    @property
    def limits(self) -> Limits:
        """The limits of the last `fit`."""
        return self._limits

    def predict_proba(self, X: RowsLike) -> NDArray[np.float64]:
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
        chosen = {"epochs": self._training.epochs, "best_epoch": self._training.best_epoch}
        return chosen | ({"blocks": self._blocks} if self._blocks else {})

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
