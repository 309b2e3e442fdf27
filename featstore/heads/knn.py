"""Head `knn`: the classes of the nearest training images, counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.array_file import check_floats
from featstore.heads.baseline import Baseline, Rows
from featstore.heads.baseline_parameters import Distance, KnnParameters
from featstore.heads.folds import Fold
from featstore.heads.interface import Curve
from featstore.heads.logits import loss_and_accuracy
from featstore.system.progress import OnStep

NEIGHBOURS = (1, 3, 5, 10, 20, 40, 80)
DEFAULT_NEIGHBOURS = 1  # where there are no folds, since a class has a single image
_BLOCK = 1024  # rows whose distances are in memory at once


@dataclass(frozen=True)
class Neighbours:
    """The training rows, and how many of them are asked; raises ValueError if the fields do not match.

    rows: (n, width) float32, standardised if that is asked for, and of unit length if their angle counts.
    mean, scale: (width,); a row x becomes (x - mean) / scale.
    classes: (n,). shares: (classes,) of the classes.
    """

    rows: NDArray[np.float32]
    classes: NDArray[np.intp]
    shares: NDArray[np.float64]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    neighbours: int
    is_cosine: int

    def __post_init__(self) -> None:
        check_floats(self.rows, self.shares, self.mean, self.scale)
        if self.rows.ndim != 2 or not len(self.rows) or not self.mean.shape == self.scale.shape == self.rows.shape[1:]:
            raise ValueError("the shapes of its arrays do not match")
        if self.shares.ndim != 1 or self.classes.shape != (len(self.rows),) or self.classes.dtype.kind not in "iu":
            raise ValueError("the shapes of its arrays do not match")
        if self.neighbours < 1 or self.classes.min() < 0 or self.classes.max() >= len(self.shares):
            raise ValueError("a class or the number of neighbours is out of range")

    @property
    def width(self) -> int:
        return len(self.mean)

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.smoothed(self.nearest(X, self.neighbours), self.neighbours)

    def nearest(self, X: NDArray[np.float32], most: int) -> NDArray[np.intp]:
        """Return the classes (n, most) of the nearest rows, nearest first; fewer columns if there are fewer rows."""
        if X.shape[1:] != self.mean.shape:
            raise ValueError(f"expected rows of {self.width} features, found {X.shape}")
        most = min(most, len(self.rows))
        lengths = np.zeros(len(self.rows), np.float32) if self.is_cosine else (self.rows**2).sum(axis=1)
        found = np.empty((len(X), most), np.intp)
        for start in range(0, len(X), _BLOCK):
            block = prepared(X[start : start + _BLOCK], self.mean, self.scale, bool(self.is_cosine))
            far = lengths - 2 * (block @ self.rows.T)  # but for what is the same for all rows
            near = np.argpartition(far, most - 1, axis=1)[:, :most]
            order = np.argsort(np.take_along_axis(far, near, axis=1), axis=1, kind="stable")
            found[start : start + _BLOCK] = self.classes[np.take_along_axis(near, order, axis=1)]
        return found

    def smoothed(self, nearest: NDArray[np.intp], neighbours: int) -> NDArray[np.float64]:
        """Return the probabilities (n, classes): the shares among the neighbours, of whom one is divided by `shares`.

        So no probability is 0, and where all neighbours agree, it is nearer to 1 the more they are.
        """
        asked = nearest[:, :neighbours]
        counts = (asked[:, :, None] == np.arange(len(self.shares))).sum(axis=1)
        return np.asarray((counts + self.shares) / (asked.shape[1] + 1))


@dataclass
class KnnHead(KnnParameters, Baseline):
    """The number of neighbours, and the distance, are those with the smallest log loss of rows that were held out."""

    NAME: ClassVar[str] = "knn"
    TRAINED: ClassVar[type[Any]] = Neighbours

    def train(self, rows: Rows, on_step: OnStep | None) -> Neighbours:
        distances: tuple[Distance, ...] = ("cosine", "scaled-cosine") if self.distance is None else (self.distance,)
        neighbours, distance = self.neighbours or DEFAULT_NEIGHBOURS, distances[-1]
        if folds := rows.folds(self.folds):
            numbers = NEIGHBOURS if self.neighbours is None else (self.neighbours,)
            curves = {}
            for place, name in enumerate(distances):
                curves[name] = _curve(rows, folds, numbers, name)
                if on_step:
                    on_step(place + 1, len(distances))
            distance = min(curves, key=lambda name: min(curves[name].series["cv_log_loss"]))
            best = curves[distance]
            neighbours = numbers[int(np.argmin(best.series["cv_log_loss"]))]
            if len(numbers) > 1:
                self._curve = best
        self._selected = {"neighbours": neighbours, "distance": distance}
        return replace(remember(rows.X, rows.y, distance, rows.classes), neighbours=neighbours)


def remember(X: NDArray[np.float32], y: NDArray[np.intp], distance: Distance, classes: int) -> Neighbours:
    """Return the rows X (n, width) of the classes y, ready for questions of this distance."""
    from sklearn.preprocessing import StandardScaler

    mean, scale = np.zeros(X.shape[1], np.float32), np.ones(X.shape[1], np.float32)
    if distance.startswith("scaled"):
        scaler = StandardScaler().fit(X)
        mean, scale = scaler.mean_.astype(np.float32), scaler.scale_.astype(np.float32)
    is_cosine = distance.endswith("cosine")
    shares = np.bincount(y, minlength=classes) / len(y)
    return Neighbours(prepared(X, mean, scale, is_cosine), y, shares, mean, scale, 1, int(is_cosine))


def prepared(
    X: NDArray[np.float32], mean: NDArray[np.float32], scale: NDArray[np.float32], is_cosine: bool
) -> NDArray[np.float32]:
    """Return the rows as their distances are computed; a row of zeros has no angle and stays as it is."""
    ready = ((X - mean) / scale).astype(np.float32)
    if is_cosine:
        lengths = np.linalg.norm(ready, axis=1, keepdims=True)
        ready /= np.where(lengths > 0, lengths, 1)
    return ready


def _curve(rows: Rows, folds: list[Fold], numbers: tuple[int, ...], distance: Distance) -> Curve:
    """Return the losses for each number of neighbours; the neighbours are looked for once."""
    figures = np.zeros((len(numbers), 2))
    scored = sum(len(held_out) for _, held_out in folds)
    for train, held_out in folds:
        known = remember(rows.X[train], rows.y[train], distance, rows.classes)
        nearest = known.nearest(rows.X[held_out], max(numbers))
        answers: list[Callable[[], NDArray[np.float64]]] = [partial(known.smoothed, nearest, k) for k in numbers]
        parts = [loss_and_accuracy(answer(), rows.y[held_out]) for answer in answers]
        figures += np.array(parts) * (len(held_out) / scored)
    series = {"cv_log_loss": figures[:, 0].tolist(), "cv_accuracy": figures[:, 1].tolist()}
    return Curve("neighbours", [float(k) for k in numbers], series, log_x=True)
