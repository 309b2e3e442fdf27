"""Head `logistic`: standard scaling and multinomial logistic regression, its C chosen on the training split."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.errors import RunError
from featstore.heads.interface import Curve, Labelled
from featstore.heads.linear import LinearClassifier, load_linear
from featstore.heads.skops_file import load_skops
from featstore.system.environment import default_threads
from featstore.system.imports import collection_paused
from featstore.system.progress import OnStep
from featstore.system.tensorflow_loader import load_tensorflow

GRID = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
UNDIVIDED_C = 0.01  # where a class of one image cannot be divided into folds
TURNED = 1.1  # times the smallest loss so far: beyond the noise of five folds
COARSE = 1e-3  # tolerance while choosing: on photos of flowers it moved no loss near the best by more than 0.0003


@dataclass
class LogisticHead:
    """L2-regularised logistic regression on standardised features.

    C: inverse strength of the regularisation; None chooses it from 1e-5 ... 10 by stratified cross-validation of the
    log loss with `folds` folds (fewer where a class is small), each fold scaled by itself, views of one image together.
    """

    C: float | None = None
    folds: int = 5
    max_iter: int = 1000
    _fitted: LinearClassifier | None = field(default=None, init=False, repr=False)
    _curve: Curve = field(default=Curve("C", [], {}, log_x=True), init=False, repr=False)

    def __post_init__(self) -> None:
        if self.folds < 2 or self.max_iter < 1 or (self.C is not None and not self.C > 0):
            raise ValueError("expected folds of at least 2, max_iter of at least 1 and a C above 0")

    def fit(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.str_],
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
        images = np.arange(len(y)).astype(str) if groups is None else groups
        smallest = min(len(np.unique(images[y == label])) for label in np.unique(y))
        # The matrices are too small to share: on 4 cores the threads of BLAS took 24 s for what one does in 2 s.
        with threadpool_limits(1, "blas"):
            C = self.C if self.C is not None else UNDIVIDED_C
            if self.C is None and smallest >= 2:
                C = self._choose_strength(X, y, min(self.folds, smallest), seed, on_step, groups)
            self._fitted = _fit_pipeline(X, y, C, self.max_iter)

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return self._classifier.predict_proba(_flat(X))

    @property
    def curve(self) -> Curve:
        return self._curve

    def chosen(self) -> dict[str, Any]:
        return {"C": self._classifier.C}

    def network(self, shape: tuple[int, ...]) -> Any:
        """Scaling as a layer of its own, and the penalty that C stands for: further training begins at the optimum."""
        load_tensorflow()
        from keras import Input, Sequential, layers, regularizers

        from featstore.bases.defaults import keras_defaults

        trained = self._classifier
        kernel, bias = trained.coefficients.T, trained.intercept
        penalty = 1 / (2 * trained.C * trained.samples)  # of the mean loss; C is for the sum
        if len(bias) == 1:  # a sigmoid is the softmax of half the logit on either side
            kernel, bias = np.hstack([-kernel, kernel]) / 2, np.array([-bias[0], bias[0]]) / 2
            penalty *= 2  # the squares of two halves add up to half the square
        with keras_defaults():
            # not Normalization, which takes a very small deviation for zero
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
        y: NDArray[np.str_],
        folds: int,
        seed: int,
        on_step: OnStep | None,
        groups: NDArray[np.str_] | None,
    ) -> float:
        """Cross-validate up GRID until the loss has clearly turned: a model that over-fits only gets worse with C."""
        from concurrent.futures import ThreadPoolExecutor

        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        divided = kind(folds, shuffle=True, random_state=seed).split(X, y, groups)
        labels = np.unique(y)
        losses: list[float] = []
        accuracies: list[float] = []
        with ThreadPoolExecutor(min(folds, default_threads())) as threads:
            walkers = list(threads.map(lambda fold: _Fold(X, y, fold, labels, self.max_iter), divided))
            for place, C in enumerate(GRID):
                found = np.array(list(threads.map(lambda fold, C=C: fold.ask(C), walkers)))
                losses.append(float(found[:, 0].mean()))
                accuracies.append(float(found[:, 1].mean()))
                if on_step:
                    on_step(place + 1, len(GRID))
                if losses[-1] > TURNED * min(losses):
                    break
        series = {"cv_log_loss": losses, "cv_accuracy": accuracies}
        self._curve = Curve("C", list(GRID[: len(losses)]), series, log_x=True)
        return GRID[int(np.argmin(losses))]


class _Fold:
    """One fold on its walk up the grid; each fit starts from the last solution, which is near the next one."""

    def __init__(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.str_],
        fold: tuple[NDArray[np.intp], NDArray[np.intp]],
        labels: NDArray[np.str_],
        max_iter: int,
    ) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        train, held_out = fold
        scaler = StandardScaler().fit(X[train])
        self._train = scaler.transform(X[train]), y[train]
        self._held_out = scaler.transform(X[held_out]), y[held_out]
        self._labels = labels
        self._model = LogisticRegression(max_iter=max_iter, warm_start=True, tol=COARSE)

    def ask(self, C: float) -> tuple[float, float]:
        """(log loss, accuracy) on the held-out rows."""
        from sklearn.metrics import log_loss

        X, y = self._held_out
        self._model.C = C
        probabilities = self._model.fit(*self._train).predict_proba(X)
        loss = log_loss(y, probabilities, labels=self._labels)
        return float(loss), float((self._labels[probabilities.argmax(axis=1)] == y).mean())


def _fit_pipeline(X: NDArray[np.float32], y: NDArray[np.str_], C: float, max_iter: int) -> LinearClassifier:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    model = LogisticRegression(C=C, max_iter=max_iter).fit(scaler.fit_transform(X), y)
    # A copy in memory is laid out as in the file: BLAS may round otherwise for another layout.
    coefficients = np.ascontiguousarray(model.coef_)
    samples = int(np.max(scaler.n_samples_seen_))
    return LinearClassifier(scaler.mean_, scaler.scale_, coefficients, model.intercept_, C, samples)


def _flat(X: NDArray[np.float32]) -> NDArray[np.float32]:
    return X.reshape(len(X), -1)
