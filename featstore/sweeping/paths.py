"""Paths: many heads for the price of one, where algebra or a warm start gives them.

A head of a path is the head that `make_head` makes with the same parameters, up to the tolerance of its solver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from featstore.heads.baseline import Rows, muted_warnings
from featstore.heads.linear import LinearClassifier

Path = Callable[[Rows, Sequence[float], Mapping[str, Any]], Iterator[LinearClassifier]]


def logistic_path(rows: Rows, values: Sequence[float], fixed: Mapping[str, Any]) -> Iterator[LinearClassifier]:
    """Yield logistic regressions for the rising `values` of C: each fit starts from the one before, which is close."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from featstore.heads.baseline_parameters import LogisticParameters

    scaler = StandardScaler()
    X = scaler.fit_transform(rows.X)
    model = LogisticRegression(max_iter=LogisticParameters(**fixed).max_iter, warm_start=True)
    for C in values:
        with _quiet():
            model.C = C
            model.fit(X, rows.y)
        coefficients, intercept = np.array(model.coef_), np.array(model.intercept_)
        yield LinearClassifier(scaler.mean_, scaler.scale_, coefficients, intercept, C, len(X))


def ridge_path(rows: Rows, values: Sequence[float], fixed: Mapping[str, Any]) -> Iterator[LinearClassifier]:
    """Yield ridge regressions: one decomposition of the rows gives those of all penalties."""
    from featstore.heads.ridge import RidgeFits

    with _quiet():
        fits = RidgeFits(rows)
    for penalty in values:
        with _quiet():
            trained = fits.classifier(fits.choose([penalty]))
        yield trained


def lda_path(rows: Rows, values: Sequence[float], fixed: Mapping[str, Any]) -> Iterator[LinearClassifier]:
    """Yield discriminant analyses: one decomposition of the covariance gives those of all shrinkages."""
    from featstore.heads.baseline_parameters import LdaParameters
    from featstore.heads.lda import LdaFits

    with _quiet():
        fits = LdaFits(rows, LdaParameters(**fixed).folds)
    for shrinkage in values:
        with _quiet():
            trained = fits.classifier(fits.choose([shrinkage]))
        yield trained


@contextmanager
def _quiet() -> Iterator[None]:
    """One thread, and no warnings, as `Baseline.fit` has it."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), muted_warnings():
        yield


PATHS: dict[str, Path] = {"logistic": logistic_path, "ridge": ridge_path, "lda": lda_path}
