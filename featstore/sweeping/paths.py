"""Paths: many heads for the price of one, where algebra, a warm start or a wide layer gives them.

A head of a path is the head that `make_head` makes with the same parameters, up to the tolerance of its solver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from featstore.errors import UsageError
from featstore.heads.baseline import Rows, muted_warnings
from featstore.heads.linear import LinearClassifier
from featstore.sweeping.space import SPACES

if TYPE_CHECKING:
    from featstore.heads.interface import Labelled
    from featstore.system.progress import OnStep


class PathTask(NamedTuple):
    """What the heads of a path are trained on.

    rows, validation: flat; with numbers of the classes from 0 without a gap. settings: what each head has of its own,
    in rising order. fixed: the parameters that they share. on_step: called now and then.
    """

    rows: Rows
    validation: Labelled | None
    settings: Sequence[Mapping[str, Any]]
    fixed: Mapping[str, Any]
    on_step: OnStep

    def values(self, name: str) -> list[Any]:
        """Return the value of a parameter for each head."""
        return [some[name] for some in self.settings]


Path = Callable[[PathTask], Iterator[LinearClassifier | UsageError]]


def logistic_path(task: PathTask) -> Iterator[LinearClassifier]:
    """Yield logistic regressions for rising values of C: each fit starts from the one before, which is close."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from featstore.heads.baseline_parameters import LogisticParameters

    scaler = StandardScaler()
    X = scaler.fit_transform(task.rows.X)
    model = LogisticRegression(max_iter=LogisticParameters(**task.fixed).max_iter, warm_start=True)
    for C in task.values("C"):
        with _quiet():
            model.C = C
            model.fit(X, task.rows.y)
        coefficients, intercept = np.array(model.coef_), np.array(model.intercept_)
        yield LinearClassifier(scaler.mean_, scaler.scale_, coefficients, intercept, C, len(X))


def ridge_path(task: PathTask) -> Iterator[LinearClassifier]:
    """Yield ridge regressions: one decomposition of the rows gives those of all penalties."""
    from featstore.heads.ridge import RidgeFits

    with _quiet():
        fits = RidgeFits(task.rows)
    for penalty in task.values("penalty"):
        with _quiet():
            trained = fits.classifier(fits.choose([penalty]))
        yield trained


def lda_path(task: PathTask) -> Iterator[LinearClassifier]:
    """Yield discriminant analyses: one decomposition of the covariance gives those of all shrinkages."""
    from featstore.heads.baseline_parameters import LdaParameters
    from featstore.heads.lda import LdaFits

    with _quiet():
        fits = LdaFits(task.rows, LdaParameters(**task.fixed).folds)
    for shrinkage in task.values("shrinkage"):
        with _quiet():
            trained = fits.classifier(fits.choose([shrinkage]))
        yield trained


def linear_path(task: PathTask) -> Iterator[LinearClassifier | UsageError]:
    """Yield dense layers: all are trained on the same batches, as one wide layer."""
    from featstore.heads.linear_head import LinearHead
    from featstore.sweeping.wide_linear import train_wide

    heads = [LinearHead(**{**task.fixed, **some}) for some in task.settings]
    with _quiet():
        trained = train_wide(heads, task.rows.X, task.rows.y, task.validation, task.rows.seed, task.on_step)
    yield from trained


@contextmanager
def _quiet() -> Iterator[None]:
    """One thread, and no warnings, as `Baseline.fit` has it."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), muted_warnings():
        yield


PATHS: dict[str, Path] = {"logistic": logistic_path, "ridge": ridge_path, "lda": lda_path, "linear": linear_path}


def path_of(head: str, fixed: Mapping[str, Any]) -> Mapping[str, Sequence[float]]:
    """Return the values of the path of `head` for each parameter that is not `fixed`; none if it has no path so."""
    from featstore.sweeping.wide_linear import can_be_wide

    if head not in PATHS or (head == "linear" and not can_be_wide(fixed)):
        return {}
    return {name: values for name, values in SPACES[head].path.items() if name not in fixed}
