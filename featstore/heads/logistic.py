"""Head `logistic`: standard scaling and multinomial logistic regression, its C chosen on the training split."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.errors import RunError
from featstore.heads.interface import Curve, Labelled
from featstore.system.archive import open_archive
from featstore.system.environment import default_threads
from featstore.system.progress import OnStep
from featstore.system.tensorflow_loader import load_tensorflow

GRID = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
TURNED = 1.1  # times the smallest loss so far: beyond the noise of five folds
_LEARNT = (
    ("mean_", "scale_", "var_", "n_samples_seen_", "n_features_in_"),
    ("coef_", "intercept_", "classes_", "n_features_in_", "n_iter_", "C"),
)
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
    _model: Any = field(default=None, init=False, repr=False)
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

        X = _flat(X)
        images = np.arange(len(y)).astype(str) if groups is None else groups
        smallest = min(len(np.unique(images[y == label])) for label in np.unique(y))
        self._model = _pipeline(self.C if self.C is not None else 0.01, self.max_iter)
        # The matrices are too small to share: on 4 cores the threads of BLAS took 24 s for what one does in 2 s.
        with threadpool_limits(1, "blas"):
            if self.C is None and smallest >= 2:
                self._choose_strength(X, y, min(self.folds, smallest), seed, on_step, groups)
            self._model.fit(X, y)

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(self._model.predict_proba(_flat(X)), np.float64)

    @property
    def curve(self) -> Curve:
        return self._curve

    def chosen(self) -> dict[str, Any]:
        return {"C": self._model[-1].C}

    def network(self, shape: tuple[int, ...]) -> Any:
        """Scaling as a layer of its own, and the penalty that C stands for: further training begins at the optimum."""
        load_tensorflow()
        from keras import Input, Sequential, layers, regularizers

        from featstore.bases.defaults import keras_defaults

        scaler, model = self._model
        kernel, bias = model.coef_.T, model.intercept_
        penalty = 1 / (2 * model.C * float(np.max(scaler.n_samples_seen_)))  # of the mean loss; C is for the sum
        if len(bias) == 1:  # a sigmoid is the softmax of half the logit on either side
            kernel, bias = np.hstack([-kernel, kernel]) / 2, np.array([-bias[0], bias[0]]) / 2
            penalty *= 2  # the squares of two halves add up to half the square
        with keras_defaults():
            # not Normalization, which takes a very small deviation for zero
            scaling = layers.Rescaling((1 / scaler.scale_).tolist(), (-scaler.mean_ / scaler.scale_).tolist())
            dense = layers.Dense(len(bias), activation="softmax", kernel_regularizer=regularizers.L2(penalty))
            network = Sequential([Input(shape), layers.Flatten(), scaling, dense])
        dense.set_weights([kernel, bias])
        return network

    def save(self, folder: Path) -> str:
        import skops.io

        skops.io.dump(self._model, folder / "head.skops")
        return "head.skops"

    def load(self, file: Path) -> None:
        import skops.io

        try:
            with open_archive(file):
                found = skops.io.load(file, trusted=[])
            learnt = _learnt(found)
        except Exception as error:  # skops, zipfile and json each raise their own
            raise RunError(f"{file}: not a head that can be trusted: {' '.join(str(error).split())}") from error
        if learnt is None:
            raise RunError(f"{file}: holds a {type(found).__name__}, not a classifier as this head saves it")
        self._model = _pipeline(self.C if self.C is not None else 1.0, self.max_iter)
        for step, values in zip(self._model, learnt, strict=True):
            vars(step).update(values)

    def _choose_strength(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.str_],
        folds: int,
        seed: int,
        on_step: OnStep | None,
        groups: NDArray[np.str_] | None,
    ) -> None:
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
        self._model[-1].C = GRID[int(np.argmin(losses))]
        series = {"cv_log_loss": losses, "cv_accuracy": accuracies}
        self._curve = Curve("C", list(GRID[: len(losses)]), series, log_x=True)


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


def _pipeline(C: float, max_iter: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=max_iter))


def _learnt(found: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What scaler and classifier of a saved pipeline have learnt; None unless it is one that `_pipeline` makes.

    skops trusts all of scikit-learn with whatever state it has, so nothing but these values is taken over.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    if type(found) is not Pipeline or [type(step) for _, step in found.steps] != [StandardScaler, LogisticRegression]:
        return None
    scaler, model = (
        {name: vars(step)[name] for name in names} for (_, step), names in zip(found.steps, _LEARNT, strict=True)
    )
    arrays = [*(scaler[name] for name in _LEARNT[0][:2]), *(model[name] for name in _LEARNT[1][:2])]
    if not all(isinstance(array, np.ndarray) and array.dtype.kind == "f" for array in arrays):
        return None
    mean, scale, coefficients, intercept = (array.shape for array in arrays)
    fits = mean == scale and len(coefficients) == 2 and coefficients == (*intercept, *mean)
    return (scaler, model) if fits and isinstance(model["C"], float | int) else None


def _flat(X: NDArray[np.float32]) -> NDArray[np.float32]:
    return X.reshape(len(X), -1)
