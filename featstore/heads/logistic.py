"""Head `logistic`: standard scaling and multinomial logistic regression, its C chosen on the training split."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.errors import RunError
from featstore.heads.base import Curve, Labelled, OnStep

GRID = tuple(float(c) for c in np.logspace(-5, 1, 7))


@dataclass
class LogisticHead:
    """L2-regularised logistic regression on standardised features.

    C: inverse strength of the regularisation; None chooses it from 1e-5 ... 10 by stratified cross-validation of the
    log loss with `folds` folds (fewer where a class is small), each fold scaled by itself.
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

    def save(self, folder: Path) -> str:
        import skops.io

        skops.io.dump(self._model, folder / "head.skops")
        return "head.skops"

    def load(self, file: Path) -> None:
        import skops.io

        try:
            self._model = skops.io.load(file, trusted=[])
        except Exception as error:  # skops, zipfile and json each raise their own
            raise RunError(f"{file}: not a head that can be trusted: {' '.join(str(error).split())}") from error
        if not hasattr(self._model, "predict_proba"):
            raise RunError(f"{file}: holds a {type(self._model).__name__}, not a classifier; train the head again")

    def _choose_strength(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.str_],
        folds: int,
        seed: int,
        on_step: OnStep | None,
        groups: NDArray[np.str_] | None,
    ) -> None:
        """Cross-validate over GRID; each fold walks up the grid from the last solution, which is near the next one."""
        from sklearn.metrics import log_loss
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        labels = np.unique(y)
        losses = np.zeros((folds, len(GRID)))
        hits = np.zeros((folds, len(GRID)))
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        splitter = kind(folds, shuffle=True, random_state=seed)
        for fold, (train, held_out) in enumerate(splitter.split(X, y, groups)):
            model = _pipeline(GRID[0], self.max_iter, warm_start=True)
            for place, C in enumerate(GRID):
                model[-1].C = C
                model.fit(X[train], y[train])
                probabilities = model.predict_proba(X[held_out])
                losses[fold, place] = log_loss(y[held_out], probabilities, labels=labels)
                hits[fold, place] = (labels[probabilities.argmax(axis=1)] == y[held_out]).mean()
                if on_step:
                    on_step(fold * len(GRID) + place + 1, folds * len(GRID))
        best = int(losses.mean(axis=0).argmin())
        self._model[-1].C = GRID[best]
        series = {"cv_log_loss": losses.mean(axis=0).tolist(), "cv_accuracy": hits.mean(axis=0).tolist()}
        self._curve = Curve("C", list(GRID), series, log_x=True)


def _pipeline(C: float, max_iter: int, warm_start: bool = False) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=max_iter, warm_start=warm_start))


def _flat(X: NDArray[np.float32]) -> NDArray[np.float32]:
    return X.reshape(len(X), -1)
