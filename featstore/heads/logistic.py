"""Head `logistic`: standard scaling and multinomial logistic regression, with C selected on the training split."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.errors import RunError
from featstore.heads.baseline_parameters import LogisticParameters
from featstore.heads.interface import Curve, Labelled
from featstore.heads.linear import LinearClassifier, load_linear
from featstore.heads.logits import loss_and_accuracy, probabilities_of
from featstore.heads.skops_file import load_skops
from featstore.system.environment import default_threads
from featstore.system.imports import collection_paused
from featstore.system.progress import OnStep
from featstore.system.tensorflow_loader import load_tensorflow

C_GRID = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
DEFAULT_C = 0.01  # if a class has one image or group, which cannot be divided into folds
STOP_RATIO = 1.1  # of the loss to the smallest one so far: more than the noise of five folds
CV_TOLERANCE = 1e-3  # of the solver: on photos of flowers it changed no loss near the best by more than 0.0003


@dataclass
class LogisticHead(LogisticParameters):
    """L2-regularised logistic regression on standardised features.

    C is selected by stratified cross-validation of the log loss. Each fold is scaled by itself, and views of one image,
    copies and groups stay together.
    """

    _fitted: LinearClassifier | None = field(default=None, init=False, repr=False)
    _converged: bool = field(default=True, init=False, repr=False)
    _curve: Curve = field(default=Curve("C", [], {}, log_x=True), init=False, repr=False)

    def fit(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.intp],
        validation: Labelled | None,
        seed: int,
        on_step: OnStep | None = None,
        groups: NDArray[np.str_] | None = None,
    ) -> None:
        from threadpoolctl import threadpool_limits

        with collection_paused():
            import sklearn.linear_model
            import sklearn.model_selection  # noqa: F401
        X = _flat(X)
        units = np.arange(len(y)) if groups is None else groups
        smallest = min(len(np.unique(units[y == label])) for label in np.unique(y))
        # The matrices are too small for several threads: on 4 cores BLAS took 24 s for what one thread does in 2 s.
        with threadpool_limits(1, "blas"), _muted_warnings():
            C = self.C if self.C is not None else DEFAULT_C
            if self.C is None and smallest >= 2:
                C = self._choose_strength(X, y, min(self.folds, smallest), seed, on_step, groups)
            self._fitted, self._converged = _fit_pipeline(X, y, C, self.max_iter)

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return self._classifier.predict_proba(_flat(X))

    @property
    def row_shape(self) -> tuple[int, ...]:
        return self._classifier.mean.shape

    @property
    def curve(self) -> Curve:
        return self._curve

    def selected(self) -> dict[str, Any]:
        return {"C": self._classifier.C}

    @property
    def converged(self) -> bool:
        """Whether the solver of the last `fit` ended before `max_iter` did."""
        return self._converged

    @property
    def is_trained(self) -> bool:
        return self._fitted is not None

    def network(self, shape: tuple[int, ...]) -> Any:
        """Return a network with a scaling layer and the L2 penalty of C, so further training starts at the optimum."""
        load_tensorflow()
        from keras import Input, Sequential, layers, regularizers

        from featstore.bases.defaults import keras_defaults

        trained = self._classifier
        kernel, bias = trained.coefficients.T, trained.intercept
        penalty = 1 / (2 * trained.C * trained.samples)  # for the mean of the losses; C is for their sum
        if len(bias) == 1:  # a sigmoid is the softmax of minus and plus half the logit
            kernel, bias = np.hstack([-kernel, kernel]) / 2, np.array([-bias[0], bias[0]]) / 2
            penalty *= 2  # the squares of two halves add up to half the square
        with keras_defaults():
            # Not Normalization, which treats a very small deviation as zero.
            scaling = layers.Rescaling((1 / trained.scale).tolist(), (-trained.mean / trained.scale).tolist())
            dense = layers.Dense(len(bias), activation="softmax", kernel_regularizer=regularizers.L2(penalty))
            network = Sequential([Input(shape), layers.Flatten(), scaling, dense])
        dense.set_weights([kernel, bias])
        return network

    def save(self, folder: Path) -> str:
        self._classifier.save(folder / "head.npz")
        return "head.npz"

    def load(self, file: Path) -> None:
        try:
            self._fitted = load_skops(file) if file.suffix == ".skops" else load_linear(file)
        except Exception as error:  # skops, zipfile, json and numpy each raise their own
            raise RunError(f"{file}: not a head that can be trusted: {' '.join(str(error).split())}") from error

    @property
    def _classifier(self) -> LinearClassifier:
        assert self._fitted is not None, "neither trained nor loaded"
        return self._fitted

    def _choose_strength(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.intp],
        folds: int,
        seed: int,
        on_step: OnStep | None,
        groups: NDArray[np.str_] | None,
    ) -> float:
        """Return the best C of C_GRID by cross-validation, from small to large.

        It stops when the loss has clearly risen: a model that over-fits only gets worse with a larger C.
        """
        from concurrent.futures import ThreadPoolExecutor

        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        parts = [
            part for part in kind(folds, shuffle=True, random_state=seed).split(X, y, groups) if _scorable(y, part)
        ]
        if not parts:
            return DEFAULT_C
        losses: list[float] = []
        accuracies: list[float] = []
        with ThreadPoolExecutor(min(len(parts), default_threads())) as threads:
            fold_models = list(threads.map(lambda part: _Fold(X, y, part, self.max_iter), parts))
            for place, C in enumerate(C_GRID):
                scores = np.array(list(threads.map(lambda fold, C=C: fold.score(C), fold_models)))
                losses.append(float(scores[:, 0].mean()))
                accuracies.append(float(scores[:, 1].mean()))
                if on_step:
                    on_step(place + 1, len(C_GRID))
                if losses[-1] > STOP_RATIO * min(losses):
                    break
        series = {"cv_log_loss": losses, "cv_accuracy": accuracies}
        self._curve = Curve("C", list(C_GRID[: len(losses)]), series, log_x=True)
        return C_GRID[int(np.argmin(losses))]


def _scorable(y: NDArray[np.intp], fold: tuple[NDArray[np.intp], NDArray[np.intp]]) -> bool:
    """Return whether a fold has two classes to train on, and rows of theirs to score; shared groups may leave none."""
    train, held_out = fold
    return len(np.unique(y[train])) > 1 and bool(np.isin(y[held_out], y[train]).any())


class _Fold:
    """One fold of the cross-validation; each fit starts from the solution for the C before, which is close.

    Where classes share groups, a class may be in the held-out rows only. These rows are not scored: no C can help them.
    """

    def __init__(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.intp],
        fold: tuple[NDArray[np.intp], NDArray[np.intp]],
        max_iter: int,
    ) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        train, held_out = fold
        self._labels = np.unique(y[train])
        held_out = held_out[np.isin(y[held_out], self._labels)]
        scaler = StandardScaler().fit(X[train])
        self._train = scaler.transform(X[train]), y[train]
        self._held_out = scaler.transform(X[held_out]), y[held_out]
        self._model = LogisticRegression(max_iter=max_iter, warm_start=True, tol=CV_TOLERANCE)

    def score(self, C: float) -> tuple[float, float]:
        """Fit with this C; return (log loss, accuracy) on the held-out rows."""
        X, y = self._held_out
        self._model.C = C
        logits = self._model.fit(*self._train).decision_function(X).reshape(len(X), -1)
        loss, accuracy = loss_and_accuracy(probabilities_of(logits), np.searchsorted(self._labels, y))
        return float(loss), float(accuracy)


def _fit_pipeline(
    X: NDArray[np.float32], y: NDArray[np.intp], C: float, max_iter: int
) -> tuple[LinearClassifier, bool]:
    """Return the classifier, and whether the solver converged."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    model = LogisticRegression(C=C, max_iter=max_iter).fit(scaler.fit_transform(X), y)
    # Contiguous, as after loading from the file: BLAS may round differently for another layout.
    coefficients = np.ascontiguousarray(model.coef_)
    samples = int(np.max(scaler.n_samples_seen_))
    classifier = LinearClassifier(scaler.mean_, scaler.scale_, coefficients, model.intercept_, C, samples)
    return classifier, int(np.max(model.n_iter_)) < max_iter


@contextmanager
def _muted_warnings() -> Iterator[None]:
    """Hide two warnings of scikit-learn: that numbers of classes may be quantities, and of `max_iter`."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _flat(X: NDArray[np.float32]) -> NDArray[np.float32]:
    return X.reshape(len(X), -1)
