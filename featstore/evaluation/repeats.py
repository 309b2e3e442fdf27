"""Accuracies of heads that were trained several times: in the folds of a cross-validation, and with several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.paired import Difference, paired_difference
from featstore.evaluation.units import ERROR, Units
from featstore.system.figures import loss, with_interval
from featstore.system.text import count

_USUAL = 0.3  # variance that training adds to the accuracies of single heads, in that which their images explain
_PRIOR = 16  # heads


@dataclass(frozen=True)
class Repeats:
    """Which of n images were right, once for each seed.

    right: (seeds, n) of 1.0 and 0.0, or the mean of these over several cells. fold: (seeds, n) number of the fold that
    each image was held out in, from 0; all 0 without a cross-validation. Each pair of seed and fold is a head.
    """

    right: NDArray[np.float64]
    fold: NDArray[np.intp]

    @classmethod
    def once(cls, right: NDArray[np.float64]) -> Repeats:
        """Return n images (n,) that were measured with one head, or a mean over several heads."""
        return cls(right[None], np.zeros((1, len(right)), np.intp))

    @cached_property
    def mean_right(self) -> NDArray[np.float64]:
        """The share (n,) of the seeds for which each image was right."""
        return np.asarray(self.right.mean(axis=0))

    @cached_property
    def by_fold(self) -> NDArray[np.float64]:
        """The accuracy (seeds, folds) of each head on the images that it was measured on."""
        folds, seeds = range(self.fold.max() + 1), zip(self.right, self.fold, strict=True)
        return np.array([[right[fold == k].mean() for k in folds] for right, fold in seeds])

    @property
    def by_seed(self) -> NDArray[np.float64]:
        """The accuracy (seeds,) over all images."""
        return np.asarray(self.right.mean(axis=1))

    @property
    def spread_folds(self) -> float | None:
        """The standard deviation of the accuracies of the heads, over the folds of all seeds; None without folds."""
        return _deviation(self.by_fold) if self.by_fold.shape[1] > 1 else None

    @property
    def spread_seeds(self) -> float | None:
        """The standard deviation of the accuracies over the seeds; None for one seed."""
        return _deviation(self.by_seed) if len(self.right) > 1 else None

    def effect(self, units: Units) -> float:
        """Return how many images count as one in the accuracy; see `effect_of_folds`."""
        p = float(self.mean_right.mean())
        of_one = p * (1 - p) * units.design_effect(self.mean_right, 0.0, 1.0)
        return effect_of_folds(self.right, self.fold, of_one)

    def effect_of_draws(self, units: Units) -> float:
        """Return how many images count as one if each seed stands for another training set of the same size.

        The accuracy is then that of such a training set, so what these vary by is added, divided by their number.
        """
        p = float(self.mean_right.mean())
        of_mean = p * (1 - p) * units.design_effect(self.mean_right, 0.0, 1.0) / self.right.shape[1]
        if len(self.right) == 1 or of_mean == 0:
            return 1.0
        return float(1 + self.by_seed.var(ddof=1) / len(self.right) / of_mean)

    def minus(self, other: Repeats, units: Units, error: float = ERROR) -> Difference:
        """Return the accuracy less that of `other` in the same folds, with its interval; as `paired_difference`.

        Repeats of a cross-validation average over the luck of the division, which is the smaller part: all of them
        have the same images to train on. Intervals that took the mean for surer were too short by up to a third.
        """
        squares = float(((self.right - other.right) ** 2).mean())
        more = units.worth_less(effect_of_folds(self.right - other.right, self.fold, squares))
        once = squares if self.by_fold.shape[1] > 1 else None
        return paired_difference(self.mean_right, other.mean_right, more, error, once)


def mean_of(several: Sequence[Repeats]) -> Repeats:
    """Return the mean over several cells that were measured in the same folds."""
    return Repeats(np.mean([repeats.right for repeats in several], axis=0), several[0].fold)


def effect_of_folds(values: NDArray[np.float64], fold: NDArray[np.intp], of_one: float) -> float:
    """Return how many images count as one, since the heads of a cross-validation share their training images.

    The means of the heads vary by more than their few images explain if training itself varies. This part of the
    variance does not fall with the number of heads, as they were trained on mostly the same images. Nadeau and Bengio
    (2003, Machine Learning 52:239) count it for each head as 1 / heads + held out / trained on. They do so with the
    whole variance, which makes intervals up to twice as long as needed.

    A few heads say little about it. So the estimate is drawn to the `_USUAL` share of what the images explain, as if
    `_PRIOR` more heads had shown that. benchmarks/intervals.py measures what comes of it.

    Args:
        values: (seeds, n) whether an image was right, or a difference of this.
        fold: (seeds, n) as in `Repeats`.
        of_one: Variance of an image.
    """
    folds = int(fold.max()) + 1
    if folds == 1:
        return 1.0
    seeds, n = values.shape
    heads = seeds * folds
    members = [(row, fold[row] == k) for row in range(seeds) for k in range(folds)]
    means = np.array([values[row, some].mean() for row, some in members])
    per_image = float(np.mean([1 / some.sum() for _, some in members]))
    beyond = float(means.var(ddof=1)) / (of_one * per_image) - 1 if of_one else 0.0
    of_training: float = max(0.0, (_PRIOR * _USUAL + (heads - 1) * beyond) / (_PRIOR + heads - 1))
    return float(1 + of_training * per_image * n * (1 / heads + 1 / (folds - 1)))


def _deviation(accuracies: NDArray[np.float64]) -> float:
    return round(float(accuracies.std(ddof=1)), 12)  # rounded: that of equal shares may miss 0 by its last bit


@dataclass(frozen=True, kw_only=True)
class FoldEstimate:
    """How accurate heads like that of a run are, by cross-validation.

    Attributes:
        folds: Number of folds.
        seeds: With how many seeds. Each divides the images in another way.
        n: Number of images, each of which was held out once for each seed.
        groups: Number of groups that they fall into; None if each image is one of its own.
        accuracy: Mean over all heads.
        accuracy_ci95: 95 % interval (low, high) of the accuracy.
        log_loss: Mean over images and seeds, in nats.
        spread_folds: Standard deviation of the accuracies of the heads, each on its own few images.
        spread_seeds: Standard deviation of the accuracies over the seeds, each on all images; None for one seed.
        by_fold: Accuracy of each head: for each seed, those of its folds.
        seconds: Seconds of all fits.
    """

    folds: int
    seeds: int
    n: int
    groups: int | None
    accuracy: float
    accuracy_ci95: tuple[float, float]
    log_loss: float
    spread_folds: float
    spread_seeds: float | None
    by_fold: tuple[tuple[float, ...], ...]
    seconds: float

    def line(self) -> str:
        """Return one line: `5-fold cross-validation: accuracy 0.980 [0.960, 0.990] on 300 images, ...`."""
        images = count(self.n, "image") + ("" if self.groups is None else f" in {count(self.groups, 'group')}")
        spread = f"{loss(self.spread_folds)} over the folds"
        if self.spread_seeds is not None:
            spread += f", {loss(self.spread_seeds)} over {count(self.seeds, 'seed')}"
        return (
            f"{self.folds}-fold cross-validation: accuracy {with_interval(self.accuracy, self.accuracy_ci95)} on "
            f"{images}, log loss {loss(self.log_loss)}; standard deviation {spread}"
        )


def estimate(repeats: Repeats, log_loss: float, units: Units, seconds: float) -> FoldEstimate:
    """Return what the heads of a cross-validation say about heads trained like them."""
    accuracies = repeats.by_fold
    assert repeats.spread_folds is not None
    return FoldEstimate(
        folds=accuracies.shape[1],
        seeds=len(accuracies),
        n=repeats.right.shape[1],
        groups=None if units.are_single else len(units),
        accuracy=float(repeats.mean_right.mean()),
        accuracy_ci95=accuracy_interval(repeats.mean_right, units.worth_less(repeats.effect(units))),
        log_loss=log_loss,
        spread_folds=repeats.spread_folds,
        spread_seeds=repeats.spread_seeds,
        by_fold=tuple(map(tuple, accuracies.tolist())),
        seconds=round(seconds, 3),
    )
