"""Many heads `linear` trained as one wide layer: they see the same batches, so one product of matrices serves all.

Each head has some columns of the layer, with a rate and a weight decay of its own. Adam works number by number, so each
head is the one that Keras trains alone, up to rounding. DINOv2 (Oquab and others 2023) trains its linear probes so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.errors import UsageError
from featstore.heads.interface import Labelled
from featstore.heads.keras_layers import mean_and_deviation
from featstore.heads.keras_parameters import LinearParameters
from featstore.heads.linear import LinearClassifier
from featstore.heads.linear_head import LinearHead
from featstore.heads.logits import probabilities_of
from featstore.heads.loop import BestSoFar, diverged, divide
from featstore.heads.measures import measure
from featstore.heads.optimizers import decay_of
from featstore.system.progress import OnStep

Numbers = NDArray[np.float32]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7  # of Adam, as Keras has them
# Parameters that the layer follows. A head with another optimizer, schedule or loss is trained alone.
_FOLLOWED = {"rate", "weight_decay", "epochs", "batch", "patience", "monitor", "scaling"}


def can_be_wide(fixed: Mapping[str, Any]) -> bool:
    """Return whether heads `linear` whose parameters include `fixed` can be parts of a wide layer."""
    given, usual = LinearParameters(**fixed).settings(), LinearParameters().settings()
    return all(name in _FOLLOWED or given[name] == usual[name] for name in given)


@dataclass
class WideFit:
    """The training of one of the heads.

    weights: (width + 1, outputs) of the best epoch; the last row is the bias. error: why there are none.
    """

    head: LinearHead
    best: BestSoFar
    weights: Numbers = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    best_epoch: int = 0
    error: UsageError | None = None

    def note(self, epoch: int, weights: Numbers, figures: Mapping[str, float] | None) -> None:
        """Take the weights after an epoch if they are the best; without figures of validation the last ones are."""
        if not np.isfinite(weights).all():
            self.error = diverged(f"head {self.head.NAME} at rate {self.head.rate:g}")
        elif figures is None or self.best.is_better(figures):
            self.weights, self.best_epoch = weights.copy(), epoch

    def goes_on(self, patience: int) -> bool:
        """Return whether it is trained for another epoch."""
        return self.error is None and self.best.waited < patience


def train_wide(
    heads: Sequence[LinearHead],
    X: NDArray[np.float32],
    y: NDArray[np.intp],
    validation: Labelled | None,
    seed: int,
    on_step: OnStep | None = None,
) -> list[LinearClassifier | UsageError]:
    """Return what each of `heads` is after its `fit`, or why it cannot be trained; see `fit_wide`."""
    mean, deviation = _scaling(heads[0], X)
    return [
        fit.error or LinearClassifier(mean, deviation, fit.weights[:-1].T, fit.weights[-1], inf, len(X))
        for fit in fit_wide(heads, X, y, validation, seed, on_step)
    ]


@np.errstate(all="ignore")  # the numbers of a head that diverges overflow, which `note` finds
def fit_wide(
    heads: Sequence[LinearHead],
    X: NDArray[np.float32],
    y: NDArray[np.intp],
    validation: Labelled | None,
    seed: int,
    on_step: OnStep | None = None,
) -> list[WideFit]:
    """Train `heads` on the same rows and batches; arguments as those of `fit`, with X (n, width).

    heads: all alike but for their rates and weight decays.
    """
    alike, labels = heads[0], np.unique(y)
    rows, truth = _with_ones(X, *_scaling(alike, X)), (y[:, None] == labels).astype(np.float32)
    if len(labels) == 2:  # one sigmoid, for the second class
        truth = truth[:, 1:]
    fits = [WideFit(head, BestSoFar(alike.monitor)) for head in heads]
    running, layer = fits, _Layer(heads, rows.shape[1], truth.shape[1])
    random = np.random.default_rng(seed)
    epochs, patience = alike.limits_for(len(rows))
    figures: list[dict[str, float]] | list[None]
    if validation:
        held_out, targets = _with_ones(validation[0], *_scaling(alike, X)), np.searchsorted(labels, validation[1])
    for epoch in range(1, epochs + 1):
        order = random.permutation(len(rows))
        for place in divide(len(rows), alike.batch):
            layer.step(rows[order[place]], truth[order[place]])
        figures = [None] * len(running)
        if validation:
            figures = [measure(probabilities_of(z), targets, alike.monitor) for z in layer.logits(held_out)]
        for fit, weights, found in zip(running, layer.weights, figures, strict=True):
            fit.note(epoch, weights, found)
        if on_step:
            on_step(epoch, epochs)
        left = [place for place, fit in enumerate(running) if fit.goes_on(patience)]
        if not left:
            break
        if len(left) < len(running):
            running = [running[place] for place in left]
            layer.keep(left)
    return fits


class _Layer:
    """The weights of the heads that are still trained, side by side, and their optimizer, Adam.

    The bias is the weight of a feature that is always 1.
    """

    def __init__(self, heads: Sequence[LinearHead], width: int, outputs: int) -> None:
        self._outputs, self._steps = outputs, 0
        columns = len(heads) * outputs
        # the weights, and the means of gradients and of their squares
        self._arrays = [np.zeros((width, columns), np.float32) for _ in range(3)]
        rates = np.array([head.rate for head in heads], np.float32)
        decays = np.array([decay_of(head) for head in heads], np.float32)
        self._rates, self._kept = np.repeat(rates, outputs), np.repeat(1 - rates * decays, outputs)
        self._decays = bool(decays.any())

    @property
    def weights(self) -> list[Numbers]:
        """The weights (width, outputs) of each head."""
        return self._split(self._arrays[0])

    def logits(self, rows: Numbers) -> list[Numbers]:
        """Return those of each head, (n, outputs)."""
        return self._split(rows @ self._arrays[0])

    def step(self, rows: Numbers, truth: Numbers) -> None:
        """Take a step down the mean cross-entropy; truth: (n, outputs) of 1 and 0."""
        weights, means, squares = self._arrays
        logits = (rows @ weights).reshape(len(rows), -1, self._outputs)
        errors = _probabilities(logits) - truth[:, None]
        gradient = rows.T @ (errors / np.float32(len(rows))).reshape(len(rows), -1)
        self._steps += 1
        corrected = np.sqrt(1 - _BETA2**self._steps) / (1 - _BETA1**self._steps)
        if self._decays:
            weights[:-1] *= self._kept
        change = gradient - means
        change *= 1 - _BETA1
        means += change
        np.square(gradient, out=gradient)
        gradient -= squares
        gradient *= 1 - _BETA2
        squares += gradient
        np.sqrt(squares, out=change)
        change += _EPSILON
        np.divide(means, change, out=change)
        change *= self._rates * np.float32(corrected)
        weights -= change

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the heads at `places` alone."""
        columns = np.concatenate([np.arange(place * self._outputs, (place + 1) * self._outputs) for place in places])
        self._arrays = [np.ascontiguousarray(array[:, columns]) for array in self._arrays]
        self._rates, self._kept = self._rates[columns], self._kept[columns]

    def _split(self, columns: Numbers) -> list[Numbers]:
        return np.split(columns, columns.shape[1] // self._outputs, axis=1)


def _probabilities(logits: Numbers) -> Numbers:
    """Return the softmax, or the sigmoid of a single output, in the precision of training."""
    if logits.shape[-1] == 1:
        return np.asarray(1 / (1 + np.exp(-logits)))
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def _scaling(head: LinearHead, X: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what is taken from each feature, and what it is then divided by."""
    return mean_and_deviation(X) if head.scaling == "standard" else (np.zeros(X.shape[1]), np.ones(X.shape[1]))


def _with_ones(X: NDArray[np.float32], mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> Numbers:
    """Return the rows, scaled as the layer Rescaling does it, and a feature that is 1."""
    scaled = X * (1 / deviation).astype(np.float32) + (-mean / deviation).astype(np.float32)
    return np.hstack([scaled, np.ones((len(X), 1), np.float32)])
