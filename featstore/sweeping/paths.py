"""Paths: many heads for the price of one, where algebra or a warm start gives them.

A head of a path is the head that `make_head` makes with the same parameters, up to the tolerance of its solver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featstore.training.fit import TrainingRows

if TYPE_CHECKING:
    from featstore.heads.linear import LinearClassifier

Predict = Callable[[NDArray[np.float32]], NDArray[np.float64]]
Path = Callable[[TrainingRows, Sequence[float], Mapping[str, Any]], Iterator[Predict]]


def logistic_path(rows: TrainingRows, values: Sequence[float], fixed: Mapping[str, Any]) -> Iterator[Predict]:
    """Yield logistic regressions for the ascending `values` of C: each fit starts from the one before, which is close.

    From a strong penalty to a weak one, 13 values of C take about as long as the two weakest alone.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    from featstore.heads.baseline_parameters import LogisticParameters
    from featstore.heads.linear import LinearClassifier
    from featstore.heads.logistic import _muted_warnings

    scaler = StandardScaler()
    X = scaler.fit_transform(rows.X.reshape(len(rows.X), -1))
    max_iter = LogisticParameters(**fixed).max_iter
    model = LogisticRegression(max_iter=max_iter, warm_start=True)
    for C in values:
        with threadpool_limits(1, "blas"), _muted_warnings():
            model.C = C
            model.fit(X, rows.y)
        coefficients, intercept = np.array(model.coef_), np.array(model.intercept_)
        trained = LinearClassifier(scaler.mean_, scaler.scale_, coefficients, intercept, C, len(X))
        yield partial(_predict, trained)


def _predict(trained: LinearClassifier, X: NDArray[np.float32]) -> NDArray[np.float64]:
    return trained.predict_proba(X.reshape(len(X), -1))


PATHS: dict[str, Path] = {"logistic": logistic_path}
