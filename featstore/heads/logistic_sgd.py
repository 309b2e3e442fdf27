"""Head `logistic-sgd`: what `logistic` fits, by mini-batches of rows that need not be in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.baseline_parameters import LogisticSgdParameters
from featstore.heads.interface import Curve, LabelledLike
from featstore.heads.linear import LinearClassifier
from featstore.heads.linear_baseline import LinearBaseline
from featstore.heads.logistic import C_GRID, DEFAULT_C
from featstore.heads.loop import diverged, divide
from featstore.heads.moments import Moments
from featstore.heads.rows import RowsLike, block_of, count_blocks
from featstore.heads.shuffle import shuffled_batches
from featstore.heads.side_by_side import SideBySide
from featstore.system.progress import OnStep

# Where the user says nothing. 3,000 steps come close to the optimum, whatever the number of rows; of many rows these
# are too few to see each of them a few times.
MOST_STEPS, LEAST_EPOCHS = 3000, 3
_AT_ONCE = 4096  # rows that are answered at a time


class Epochs:
    """The figures of all epochs, (2, strengths) of each: log loss and accuracy. They say which epoch and C is the best.

    stops_early: whether an epoch is only better if its loss on the validation split is smaller. Else the last one is,
    where the rate has fallen to 0, and the validation split chooses C alone.
    """

    def __init__(self, strengths: tuple[float, ...], stops_early: bool) -> None:
        self.best = self.chosen = 0  # the epoch, counted from 1, and the place of its C
        self._strengths, self._stops_early = strengths, stops_early
        self._trained: list[NDArray[np.float64]] = []
        self._validated: list[NDArray[np.float64]] = []
        self._least = math.inf

    @property
    def number(self) -> int:
        """The number of epochs so far."""
        return len(self._trained)

    @property
    def strength(self) -> float:
        """The chosen C."""
        return self._strengths[self.chosen]

    def note(self, trained: NDArray[np.float64], validated: NDArray[np.float64] | None) -> bool:
        """Add an epoch; return whether it is the best so far."""
        self._trained.append(trained)
        if validated is not None:
            self._validated.append(validated)
            losses = validated[0]
            if self._stops_early and not losses.min() < self._least:
                return False
            self._least, self.chosen = float(losses.min()), int(losses.argmin())
        self.best = self.number
        return True

    def curve(self) -> Curve:
        """Return the figures of the chosen C."""
        series = {
            prefix + name: [float(figures[row, self.chosen]) for figures in epochs]
            for prefix, epochs in (("", self._trained), ("val_", self._validated))
            for row, name in enumerate(("loss", "accuracy"))
            if epochs
        }
        return Curve("epoch", [float(epoch) for epoch in range(1, self.number + 1)], series)


@dataclass
class LogisticSgdHead(LogisticSgdParameters, LinearBaseline):
    """L2-regularised logistic regression on standardised features, by steps of Adam whose rate falls to 0.

    All values of C are trained side by side, and the validation split chooses among them; with `patience` it chooses
    the epoch, too. Rows in memory and on disk come in the same order, so the result is the same to the last bit.
    `groups` is not used: nothing is divided.
    """

    NAME: ClassVar[str] = "logistic-sgd"

    _epochs: Epochs | None = field(default=None, init=False, repr=False)
    _blocks: int = field(default=0, init=False, repr=False)  # in which the rows of an epoch were read from disk

    def fit(
        self,
        X: RowsLike,
        y: NDArray[np.intp],
        validation: LabelledLike | None,
        seed: int,
        on_step: OnStep | None = None,
        groups: NDArray[np.str_] | None = None,
    ) -> None:
        from threadpoolctl import threadpool_limits

        labels, targets = np.unique(y, return_inverse=True)
        held_out = (validation[0], np.searchsorted(labels, validation[1])) if validation else None
        self._fitted, self._blocks = None, count_blocks(X)
        # One thread: sums of several are not the same twice. A training that diverges is found by its weights.
        with threadpool_limits(1), np.errstate(all="ignore"):
            self._run(X, targets, held_out, seed, on_step)

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.concatenate([LinearBaseline.predict_proba(self, X[part]) for part in _parts(X)])

    @property
    def curve(self) -> Curve:
        """The figures of the chosen C over the epochs."""
        return self._epochs.curve() if self._epochs else Curve("epoch", [], {})

    def selected(self) -> dict[str, Any]:
        assert self._epochs is not None
        chosen = {"C": self._epochs.strength, "epochs": self._epochs.number, "best_epoch": self._epochs.best}
        return chosen | ({"blocks": self._blocks} if self._blocks else {})

    def _run(
        self, X: RowsLike, y: NDArray[np.intp], validation: LabelledLike | None, seed: int, on_step: OnStep | None
    ) -> None:
        strengths = (self.C,) if self.C else C_GRID if validation else (DEFAULT_C,)
        scaling = Moments.of(X)
        fits = SideBySide(strengths, len(X), len(scaling.mean), int(y.max()) + 1)
        steps = len(divide(len(X), self.batch))
        epochs = self.epochs or max(LEAST_EPOCHS, math.ceil(MOST_STEPS / steps))
        random, done = np.random.default_rng(seed), 0
        self._epochs = Epochs(strengths, stops_early=self.patience is not None)
        for epoch in range(1, epochs + 1):
            trained = np.zeros((2, len(strengths)))
            for rows, which in shuffled_batches(X, self.batch, random):
                falling = (1 + math.cos(math.pi * done / (epochs * steps))) / 2
                trained += fits.step(scaling.standardise(rows), y[which], self.rate * falling)
                done += 1
            if not np.isfinite(fits.weights).all():
                raise diverged(f"head {self.NAME} at rate {self.rate:g}")
            validated = _measure(fits, scaling, *validation) if validation else None
            if self._epochs.note(trained / len(X), validated):
                self._fitted = _classifier(fits, self._epochs, scaling)
            if on_step:
                on_step(epoch, epochs)
            if self._epochs.number - self._epochs.best == self.patience:
                break


def _measure(fits: SideBySide, scaling: Moments, X: RowsLike, y: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mean log loss and the accuracy, (2, strengths), of rows that are read part by part."""
    sums = np.zeros((2, len(fits.weights)))
    for part in _parts(X):
        sums += fits.measure(scaling.standardise(X[part]), y[part])
    return np.asarray(sums / len(X))


def _parts(X: RowsLike) -> list[slice]:
    """Return the places of rows that are standardised at a time, which takes as much memory again."""
    part = min(_AT_ONCE, block_of(X))
    return [slice(start, start + part) for start in range(0, len(X), part)]


def _classifier(fits: SideBySide, epochs: Epochs, scaling: Moments) -> LinearClassifier:
    """Return the regression with the chosen C, as it is now."""
    weights = fits.weights[epochs.chosen].astype(np.float64)
    coefficients, intercept = np.ascontiguousarray(weights[:, :-1]), np.ascontiguousarray(weights[:, -1])
    return LinearClassifier(scaling.mean, scaling.deviation, coefficients, intercept, epochs.strength, scaling.rows)
