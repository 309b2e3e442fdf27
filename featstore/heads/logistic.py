"""Head `logistic`: standard scaling and multinomial logistic regression, with C selected on the training split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.baseline import Rows
from featstore.heads.baseline_parameters import LogisticParameters
from featstore.heads.folds import Fold, in_threads
from featstore.heads.interface import Curve
from featstore.heads.linear import LinearClassifier
from featstore.heads.linear_baseline import LinearBaseline
from featstore.heads.logistic_fit import LogisticFit
from featstore.heads.logits import loss_and_accuracy, probabilities_of
from featstore.heads.selection import two_columns
from featstore.heads.skops_file import load_skops
from featstore.system.progress import OnStep

C_GRID = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
DEFAULT_C = 0.01  # if a class has one image or group, which cannot be divided into folds
STOP_RATIO = 1.1  # of the loss to the smallest one so far: more than the noise of five folds
TOLERANCE = 1e-4  # of the solver, as scikit-learn has it
CV_TOLERANCE = 1e-3  # in the folds: on photos of flowers it changed no loss near the best by more than 0.0003


@dataclass
class LogisticHead(LogisticParameters, LinearBaseline):
    """L2-regularised logistic regression on standardised features.

    C is selected by stratified cross-validation of the log loss. Each fold is scaled by itself, and views of one image,
    copies and groups stay together.
    """

    NAME: ClassVar[str] = "logistic"

    def train(self, rows: Rows, on_step: OnStep | None) -> LinearClassifier:
        C = self.C
        if C is None:
            folds = rows.folds(self.folds)
            C = self._choose_strength(rows, folds, on_step) if folds else DEFAULT_C
        fit = LogisticFit(rows.X, rows.y, np.arange(len(rows.X)), self.max_iter)
        weights, self._converged = fit.solve(C, TOLERANCE)
        # Contiguous, as after loading from the file: BLAS may round differently for another layout.
        coefficients, intercept = np.ascontiguousarray(weights[:, :-1]), np.ascontiguousarray(weights[:, -1])
        return LinearClassifier(fit.mean, fit.scale, coefficients, intercept, C, len(rows.X))

    def selected(self) -> dict[str, float]:
        return {"C": self._classifier.C}

    def _read(self, file: Path) -> LinearClassifier:
        return load_skops(file) if file.suffix == ".skops" else super()._read(file)

    def _choose_strength(self, rows: Rows, folds: list[Fold], on_step: OnStep | None) -> float:
        """Return the best C of C_GRID by cross-validation, from small to large.

        It stops when the loss has clearly risen: a model that over-fits only gets worse with a larger C.
        """
        losses: list[float] = []
        accuracies: list[float] = []
        fits = in_threads(lambda fold: LogisticFit(rows.X, rows.y, fold[0], self.max_iter), folds)
        for place, C in enumerate(C_GRID):
            scores = np.array(in_threads(partial(_score, y=rows.y, C=C), list(zip(fits, folds, strict=True))))
            losses.append(float(scores[:, 0].mean()))
            accuracies.append(float(scores[:, 1].mean()))
            if on_step:
                on_step(place + 1, len(C_GRID))
            if losses[-1] > STOP_RATIO * min(losses):
                break
        series = {"cv_log_loss": losses, "cv_accuracy": accuracies}
        self._curve = Curve("C", list(C_GRID[: len(losses)]), series, log_x=True)
        return C_GRID[int(np.argmin(losses))]


def _score(part: tuple[LogisticFit, Fold], y: NDArray[np.intp], C: float) -> tuple[float, float]:
    """Fit with this C; return (log loss, accuracy) on the held-out rows of the fold.

    The gradient where a fit begins, at the solution for the C before, is about the penalty. With a tolerance above it
    the fit would end at once, and the losses of many rows would be the same for every C.
    """
    fit, (trained, held_out) = part
    fit.solve(C, max(TOLERANCE, min(CV_TOLERANCE, 1 / (C * len(trained)))))
    probabilities = probabilities_of(two_columns(fit.logits(held_out)))
    loss, accuracy = loss_and_accuracy(probabilities, np.searchsorted(fit.labels, y[held_out]))
    return float(loss), float(accuracy)
