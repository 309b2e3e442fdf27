"""The classifier that the linear heads result in: plain arrays, however they were found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from featstore.heads.logits import probabilities_of


@dataclass(frozen=True)
class LinearClassifier:
    """A softmax over a linear map of standardised features; two classes have one logit, that of the second class.

    Prediction needs only numpy: importing scikit-learn takes 1.2 s. Raises ValueError if the fields do not match.

    mean, scale: (width,); features are standardised as (x - mean) / scale.
    coefficients: (classes, width), or (1, width) for two classes.
    intercept: (classes,), or (1,) for two classes.
    C: inverse strength of the L2 penalty under which these are the best weights; infinite for weights that minimise
        another loss. Further training as a network begins with this penalty.
    samples: number of rows trained on.
    """

    mean: NDArray[np.floating[Any]]
    scale: NDArray[np.floating[Any]]
    coefficients: NDArray[np.floating[Any]]
    intercept: NDArray[np.floating[Any]]
    C: float
    samples: int

    def __post_init__(self) -> None:
        for array in (self.mean, self.scale, self.coefficients, self.intercept):
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
                raise ValueError("it has something other than arrays of floats")
        width, outputs = self.mean.shape, self.intercept.shape
        shapes = self.scale.shape, self.coefficients.shape
        if len(width) != 1 or len(outputs) != 1 or shapes != (width, (*outputs, *width)):
            raise ValueError("the shapes of its arrays do not match")
        if not (self.C > 0 and self.samples >= 1):
            raise ValueError("C or the number of samples is not above 0")

    @property
    def width(self) -> int:
        return len(self.mean)

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities (n, classes) for X (n, width); raises ValueError for another width.

        The logits are those of scikit-learn to the last bit. BLAS may round those of an image differently in another
        batch.
        """
        if X.shape[1:] != self.mean.shape:
            raise ValueError(f"expected rows of {len(self.mean)} features, found {X.shape}")
        scaled = X - self.mean.astype(X.dtype)
        scaled /= self.scale.astype(X.dtype)
        return probabilities_of(scaled @ self.coefficients.T + self.intercept)


@runtime_checkable
class IsLinear(Protocol):
    """A trained head that is a softmax over a linear map of its features."""

    def as_linear(self) -> LinearClassifier:
        """Return what it computes."""
