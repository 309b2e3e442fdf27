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
from featstore.heads.logistic_fold import LogisticFold, standardised
from featstore.heads.skops_file import load_skops
from featstore.system.progress import OnStep

C_GRID = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
DEFAULT_C = 0.01  # if a class has one image or group, which cannot be divided into folds
STOP_RATIO = 1.1  # of the loss to the smallest one so far: more than the noise of five folds
CV_TOLERANCE = 1e-3  # of the solver: on photos of flowers it changed no loss near the best by more than 0.0003


@dataclass
class LogisticHead(LogisticParameters, LinearBaseline):
    """L2-regularised logistic regression on standardised features.

    C is selected by stratified cross-validation of the log loss. Each fold is scaled by itself, and views of one image,
    copies and groups stay together.
    """

    NAME: ClassVar[str] = "logistic"

    def train(self, rows: Rows, on_step: OnStep | None) -> LinearClassifier:
        from sklearn.linear_model import LogisticRegression

        X, mean, scale = standardised(rows.X)
        C = self.C
        if C is None:
            folds = rows.folds(self.folds)
            C = self._choose_strength(X, rows.y, folds, on_step) if folds else DEFAULT_C
        model = LogisticRegression(C=C, max_iter=self.max_iter).fit(X, rows.y)
        self._converged = int(np.max(model.n_iter_)) < self.max_iter
        # Contiguous, as after loading from the file: BLAS may round differently for another layout.
        coefficients = np.ascontiguousarray(model.coef_)
        return LinearClassifier(mean, scale, coefficients, model.intercept_, C, len(X))

    def selected(self) -> dict[str, float]:
        return {"C": self._classifier.C}

    def _read(self, file: Path) -> LinearClassifier:
        return load_skops(file) if file.suffix == ".skops" else super()._read(file)

    def _choose_strength(
        self, X: NDArray[np.float32], y: NDArray[np.intp], folds: list[Fold], on_step: OnStep | None
    ) -> float:
        """Return the best C of C_GRID by cross-validation, from small to large.

        It stops when the loss has clearly risen: a model that over-fits only gets worse with a larger C.
        """
        losses: list[float] = []
        accuracies: list[float] = []
        models = in_threads(lambda fold: LogisticFold(X, y, fold, self.max_iter, CV_TOLERANCE), folds)
        for place, C in enumerate(C_GRID):
            scores = np.array(in_threads(partial(LogisticFold.score, C=C), models))
            losses.append(float(scores[:, 0].mean()))
            accuracies.append(float(scores[:, 1].mean()))
            if on_step:
                on_step(place + 1, len(C_GRID))
            if losses[-1] > STOP_RATIO * min(losses):
                break
        series = {"cv_log_loss": losses, "cv_accuracy": accuracies}
        self._curve = Curve("C", list(C_GRID[: len(losses)]), series, log_x=True)
        return C_GRID[int(np.argmin(losses))]
