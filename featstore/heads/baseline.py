"""The common part of the heads of scikit-learn: flat rows, one thread for each fit, and the file of what is trained."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.errors import RunError
from featstore.heads.array_file import load_arrays, write_arrays
from featstore.heads.folds import Fold, make_folds
from featstore.heads.interface import Curve, Labelled
from featstore.system.imports import collection_paused
from featstore.system.progress import OnStep


class Rows(NamedTuple):
    """What a head is trained on.

    X: (n, width) float32. y: (n,) numbers of the classes, from 0 without a gap. groups: as in `Head.fit`.
    """

    X: NDArray[np.float32]
    y: NDArray[np.intp]
    groups: NDArray[np.str_] | None
    seed: int

    @property
    def classes(self) -> int:
        return int(self.y.max()) + 1

    def folds(self, most: int) -> list[Fold]:
        """Return the folds of `make_folds`."""
        return make_folds(self.y, most, self.seed, self.groups)


@dataclass
class Baseline:
    """A head of scikit-learn, whose trained form is a dataclass of plain arrays that needs numpy only.

    Importing scikit-learn takes a second, and a file of plain arrays can do no harm.
    """

    NAME: ClassVar[str]
    TRAINED: ClassVar[type[Any]]  # with `predict_proba` and `width`

    _fitted: Any = field(default=None, init=False, repr=False)
    _curve: Curve = field(default=Curve("C", [], {}, log_x=True), init=False, repr=False)
    _selected: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _converged: bool = field(default=True, init=False, repr=False)

    def name_classes(self, names: tuple[str, ...]) -> None:
        """Take no notice: no parameter of these heads names a class."""

    def train(self, rows: Rows, on_step: OnStep | None) -> Any:
        """Return the trained classifier."""
        raise NotImplementedError

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
            import sklearn.model_selection
            import sklearn.preprocessing  # noqa: F401
        rows = Rows(_flat(X), np.unique(y, return_inverse=True)[1], groups, seed)
        # One thread for each fit, and the folds side by side. On 4 cores BLAS took 24 s for what one thread does in
        # 2 s, and sums of several threads are not the same twice.
        with threadpool_limits(1), muted_warnings():
            self._fitted = self.train(rows, on_step)

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        probabilities: NDArray[np.float64] = self._classifier.predict_proba(_flat(X))
        return probabilities

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (int(self._classifier.width),)

    @property
    def curve(self) -> Curve:
        return self._curve

    def selected(self) -> dict[str, Any]:
        return dict(self._selected)

    @property
    def converged(self) -> bool:
        """Whether the solver of the last `fit` ended before `max_iter` did."""
        return self._converged

    @property
    def is_trained(self) -> bool:
        return self._fitted is not None

    def network(self, shape: tuple[int, ...]) -> Any:
        from featstore.heads.registry import check_network

        check_network(self.NAME)
        raise NotImplementedError

    def save(self, folder: Path) -> str:
        write_arrays(self._classifier, folder / "head.npz")
        return "head.npz"

    def load(self, file: Path) -> None:
        try:
            self._fitted = self._read(file)
        except Exception as error:  # skops, zipfile, json and numpy each raise their own
            raise RunError(f"{file}: not a head that can be trusted: {' '.join(str(error).split())}") from error

    def _read(self, file: Path) -> Any:
        return load_arrays(self.TRAINED, file)

    @property
    def _classifier(self) -> Any:
        assert self._fitted is not None, "neither trained nor loaded"
        return self._fitted


@contextmanager
def muted_warnings() -> Iterator[None]:
    """Hide two warnings of scikit-learn: that numbers of classes may be quantities, and of `max_iter`."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _flat(X: NDArray[np.float32]) -> NDArray[np.float32]:
    return X.reshape(len(X), -1)
