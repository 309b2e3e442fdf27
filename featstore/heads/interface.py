"""What every head can do, and the curve of its training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from featstore.system.progress import OnStep

Labelled = tuple[NDArray[np.float32], NDArray[np.str_]]


class Curve(NamedTuple):
    """How training went: `series` of equal length over `x`, e.g. loss and val_loss over the epochs."""

    x_name: str
    x: list[float]
    series: dict[str, list[float]]
    log_x: bool = False


class Classifier(Protocol):
    """What has been trained and can be asked, saved and loaded."""

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (n, classes), columns in the sorted order of the labels learnt from."""

    def network(self, shape: tuple[int, ...]) -> Any:
        """[TensorFlow] The same as a Keras model from rows of `shape` to its probabilities."""

    def save(self, folder: Path) -> str:
        """Write what was trained into `folder`; its file name comes back."""

    def load(self, file: Path) -> None:
        """Take over what was saved. The caller has checked the file's digest. Raises RunError for what it cannot be."""


@dataclass
class Head(Classifier, Protocol):
    """An estimator in the manner of scikit-learn; its dataclass fields are what `--set key=value` may change."""

    def fit(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.str_],
        validation: Labelled | None,
        seed: int,
        on_step: OnStep | None = None,
        groups: NDArray[np.str_] | None = None,
    ) -> None:
        """Learn from X (n, width) or (n, h, w, channels) and y (n,); `validation` may decide when to stop.

        groups: (n,) the images that the rows are views of; a cross-validation of the head's own keeps them together.
        """

    @property
    def curve(self) -> Curve:
        """Of the last fit."""

    def chosen(self) -> dict[str, Any]:
        """What training decided by itself, such as C or the best epoch."""
