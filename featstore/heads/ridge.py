"""Head `ridge`: least squares on the classes, with one decomposition for all penalties and all held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.baseline import Rows
from featstore.heads.baseline_parameters import RidgeParameters
from featstore.heads.folds import divisible_rows, unit_rows
from featstore.heads.interface import Curve
from featstore.heads.linear import LinearClassifier
from featstore.heads.linear_baseline import LinearBaseline, from_scores
from featstore.heads.selection import Choice, choose, two_columns
from featstore.system.progress import OnStep

PENALTIES = tuple(10.0 ** (power / 2) for power in range(-6, 7))
DEFAULT_PENALTY, DEFAULT_TEMPERATURE = 1.0, 1.0  # where no row can be held out; answers are from -1 to 1


@dataclass
class RidgeHead(RidgeParameters, LinearBaseline):
    """Ridge regression on 1 for the class of a row and -1 for all others, on standardised features.

    The penalty is the one with the smallest log loss when each image is left out, or each group. All of these fits
    follow from one decomposition, and from no training.
    """

    NAME: ClassVar[str] = "ridge"

    def train(self, rows: Rows, on_step: OnStep | None) -> LinearClassifier:
        fits = RidgeFits(rows)
        choice = fits.choose(PENALTIES if self.penalty is None else (self.penalty,), on_step)
        self._curve = choice.curve
        self._selected = {"penalty": choice.value, "fold_temperature": choice.temperature}
        return fits.classifier(choice)


class RidgeFits:
    """The ridge regressions on some rows, for any penalty: what they share is computed once."""

    def __init__(self, rows: Rows) -> None:
        from sklearn.preprocessing import StandardScaler

        self._rows, self._scaler = rows, StandardScaler()
        X = self._scaler.fit_transform(rows.X.astype(np.float64))
        self._path = RidgePath(X, _signs(rows.y, rows.classes))
        self._units = None if rows.groups is None else unit_rows(rows.groups)

    def choose(self, penalties: Sequence[float], on_step: OnStep | None = None) -> Choice:
        """Return the one of the penalties with the smallest log loss of what is left out, and its temperature."""
        scored = divisible_rows(self._rows.y, self._rows.groups)
        if not len(scored):
            penalty = penalties[0] if len(penalties) == 1 else DEFAULT_PENALTY
            return Choice(penalty, DEFAULT_TEMPERATURE, Curve("penalty", [], {}, log_x=True))
        return choose(
            "penalty",
            penalties,
            lambda penalty: two_columns(self._path.left_out(penalty, self._units)[scored]),
            self._rows.y[scored],
            on_step,
        )

    def classifier(self, choice: Choice) -> LinearClassifier:
        """Return the regression with a penalty, as a classifier at a temperature."""
        weights, intercept = self._path.solve(choice.value)
        scaler, n = self._scaler, len(self._rows.X)
        return from_scores(weights, intercept, scaler.mean_, scaler.scale_, n, choice.temperature)


class RidgePath:
    """Ridge regression of Y (n, outputs) on X (n, width), whose columns have a mean of zero, for every penalty.

    With Q, the left singular vectors of X, the answers for its own rows are the mean of Y plus Q D Q' Y, where only the
    diagonal matrix D depends on the penalty.
    """

    def __init__(self, X: NDArray[np.float64], Y: NDArray[np.float64]) -> None:
        n, width = X.shape
        self._X, self._Y, self._mean = X, Y, Y.mean(axis=0)
        squares, vectors = np.linalg.eigh(X @ X.T if n <= width else X.T @ X)
        kept = squares > squares[-1] * max(n, width) * np.finfo(np.float64).eps
        self._squares, vectors = squares[kept], vectors[:, kept]  # the squared singular values of X
        self._Q = vectors if n <= width else X @ vectors / np.sqrt(self._squares)
        self._projected = self._Q.T @ (Y - self._mean)

    def solve(self, penalty: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weights (outputs, width) and the intercept (outputs,)."""
        weights = self._X.T @ (self._Q @ (self._projected / (self._squares + penalty * len(self._X))[:, None]))
        return weights.T, self._mean

    def left_out(self, penalty: float, units: list[NDArray[np.intp]] | None) -> NDArray[np.float64]:
        """Return the answer (n, outputs) for each row by a fit to the rows that are not in its unit.

        units: the rows of each unit; None if each row is one. Where H gives the answers H Y for the own rows, leaving
        out a unit multiplies the errors of its rows by the inverse of 1 - H of these rows (Allen 1974, for single rows;
        the scaling of X is that of all rows).
        """
        n = len(self._X)
        shrinking = self._squares / (self._squares + penalty * n)
        errors = self._Y - self._mean - self._Q @ (shrinking[:, None] * self._projected)
        if units is None:
            own = 1 / n + self._Q**2 @ shrinking
            return np.asarray(self._Y - errors / (1 - own)[:, None])
        Q, D = np.column_stack([self._Q, np.full(n, n**-0.5)]), np.append(shrinking, 1.0)
        for unit in units:
            part = Q[unit]
            if len(unit) <= len(D):
                errors[unit] = np.linalg.solve(np.eye(len(unit)) - part * D @ part.T, errors[unit])
            else:  # Woodbury: the same with a matrix that is no larger than X is wide
                inner = np.linalg.solve(np.eye(len(D)) - part.T @ part * D, part.T @ errors[unit])
                errors[unit] += part @ (D[:, None] * inner)
        return np.asarray(self._Y - errors)


def _signs(y: NDArray[np.intp], classes: int) -> NDArray[np.float64]:
    """Return 1 for the class of a row and -1 for others: (n, classes), or (n, 1) for the second of two classes."""
    signs = np.where(y[:, None] == np.arange(classes), 1.0, -1.0)
    return signs[:, 1:] if classes == 2 else signs
