"""The common part of the heads whose trained form is linear: their network, with which `fine-tune` begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.baseline import Baseline
from featstore.heads.linear import LinearClassifier
from featstore.system.tensorflow_loader import load_tensorflow


@dataclass
class LinearBaseline(Baseline):
    """A head that results in a `LinearClassifier`."""

    TRAINED: ClassVar[type[Any]] = LinearClassifier

    def as_linear(self) -> LinearClassifier:
        """Return the trained classifier."""
        trained: LinearClassifier = self._classifier
        return trained

    def network(self, shape: tuple[int, ...]) -> Any:
        """Return a network with a scaling layer and the L2 penalty of C, so further training starts at the optimum."""
        load_tensorflow()
        from keras import Input, Sequential, layers, regularizers

        from featstore.bases.defaults import keras_defaults

        trained: LinearClassifier = self._classifier
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


def from_scores(
    weights: NDArray[np.floating[Any]],
    intercept: NDArray[np.floating[Any]],
    mean: NDArray[np.floating[Any]],
    scale: NDArray[np.floating[Any]],
    samples: int,
    temperature: float,
) -> LinearClassifier:
    """Return the classifier whose logits are (x - mean) / scale @ weights.T + intercept, divided by the temperature.

    weights: (classes, width), or (1, width) for the score of the second of two classes.
    """
    return LinearClassifier(
        mean=np.asarray(mean, np.float64),
        scale=np.asarray(scale, np.float64),
        coefficients=np.ascontiguousarray(weights / temperature, np.float64),
        intercept=np.asarray(intercept / temperature, np.float64),
        C=np.inf,
        samples=samples,
    )
