"""The range test of learning rates (Smith 2017): the rate grows in each step, and the losses say where it is good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.heads.keras_head import KerasHead
from featstore.system.progress import OnStep
from featstore.system.tensorflow_loader import load_tensorflow

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 210  # 30 steps for each power of ten
_DIVERGED = 4.0  # times the smallest loss: the test ends there, as in fast.ai
_SMOOTHING = 0.9
_LEAST_FALL = 0.05  # of the first loss: less is noise


class RateRange(NamedTuple):
    """The steps of a range test.

    Attributes:
        rates: Learning rate of each step.
        losses: Loss of its batch before the step, in training mode.
        smoothed: Exponential mean of the losses up to the step.
        diverged: Whether the loss grew until the test was ended; else the largest rate was reached.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    diverged: bool


def run_range_test(
    head: KerasHead, X: NDArray[np.float32], y: NDArray[np.intp], seed: int, on_step: OnStep | None = None
) -> RateRange:
    """Train a new network of `head` while the rate grows by the same factor in each step, until its loss diverges."""
    load_tensorflow()  # with the settings of featstore, which an import of Keras alone would not have
    from keras.optimizers.schedules import ExponentialDecay

    rates, losses = np.geomspace(LOWEST, HIGHEST, STEPS), list[float]()
    start = head.begin(X, y, seed, ExponentialDecay(LOWEST, 1, rates[1] / rates[0]), epochs=1)
    epoch = 0
    while len(losses) < STEPS and not has_diverged(losses):
        epoch += 1
        for batch in start.batches(epoch):
            losses.append(float(start.step(*batch)[0]) / len(batch[1]))
            if on_step:
                on_step(len(losses), STEPS)
            if len(losses) == STEPS or has_diverged(losses):
                break
    return RateRange(tuple(rates[: len(losses)].tolist()), tuple(losses), smooth(losses), has_diverged(losses))


def smooth(losses: Sequence[float]) -> tuple[float, ...]:
    """Return the exponential mean of the losses up to each step, corrected for its start at 0."""
    means, mean = [], 0.0
    for step, loss in enumerate(losses, start=1):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        means.append(mean / (1 - _SMOOTHING**step))
    return tuple(means)


def has_diverged(losses: Sequence[float]) -> bool:
    """Return whether the last loss is not finite, or their mean has grown far above its smallest value."""
    if not losses:
        return False
    smoothed = smooth(losses)
    return not np.isfinite(losses[-1]) or smoothed[-1] > _DIVERGED * min(smoothed)


def suggest_rate(found: RateRange) -> float | None:
    """Return the rate at which the smoothed loss has fallen half of its way to the smallest; None if it does not fall.

    The steepest fall is at the first steps where the loss is noisy, and the smallest loss is at any rate where the
    classes can be separated. Half of the way is neither.
    """
    losses = np.array([loss for loss in found.smoothed if np.isfinite(loss)])
    first, lowest = losses[: max(1, len(losses) // 10)].mean(), losses.min()
    if not lowest < first * (1 - _LEAST_FALL):
        return None
    return found.rates[int(np.argmax(losses < (first + lowest) / 2))]
