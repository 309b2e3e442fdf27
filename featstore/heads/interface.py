"""The interface of all heads, and the curve of their training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from featstore.heads.rows import RowsLike
from featstore.system.progress import OnStep

Labelled = tuple[NDArray[np.float32], NDArray[np.intp]]
LabelledLike = tuple[RowsLike, NDArray[np.intp]]  # for heads that stream


class Curve(NamedTuple):
    """The course of a training: `series` of equal length over `x`, such as loss and val_loss over the epochs.

    log_x: whether the axis of `x` is logarithmic.
    """

    x_name: str
    x: list[float]
    series: dict[str, list[float]]
    log_x: bool = False


class Classifier(Protocol):
    """A trained model that predicts, and can be saved and loaded."""

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities (n, classes), columns in the order of the classes."""

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of a row of features that it takes; maps count as flattened where it flattens them."""

    def network(self, shape: tuple[int, ...]) -> Any:
        """Return the same classifier as a Keras model from rows of `shape` to probabilities. Loads TensorFlow.

        Raises UsageError, as `check_network` does, if it is none that consists of layers.
        """

    def save(self, folder: Path) -> str:
        """Write the trained parameters into `folder`; return the name of the file."""

    def load(self, file: Path) -> None:
        """Load what `save` wrote; raises RunError for any other file. The caller has checked the file's digest."""


@dataclass
class Head(Classifier, Protocol):
    """An estimator like those of scikit-learn, a dataclass whose fields are the parameters that a user can set."""

    def name_classes(self, names: tuple[str, ...]) -> None:
        """Tell the head the names of the classes, in the order of their numbers: a parameter may use them."""

    def fit(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.intp],
        validation: Labelled | None,
        seed: int,
        on_step: OnStep | None = None,
        groups: NDArray[np.str_] | None = None,
    ) -> None:
        """Train on rows X (n, width) or (n, h, w, channels) of the classes y (n,), numbers in the order of the classes.

        validation: rows and classes that may decide when to stop.
        groups: (n,) names of what the rows belong to, such as the image that they are views of, or its patient; a
            cross-validation within the head keeps the rows of a group together. None: each row is a group.
        """

    @property
    def curve(self) -> Curve:
        """The curve of the last `fit`."""

    def settings(self) -> dict[str, Any]:
        """Return the parameters by name, as a run records them."""

    def selected(self) -> dict[str, Any]:
        """Return the values that training selected by itself, such as C or the best epoch."""

    @property
    def is_trained(self) -> bool:
        """Whether the last `fit` left a head that predicts; after an interruption that of the best epoch."""
