"""The share of wrong labels, estimated from labels that are made wrong on purpose.

An image that is hard to tell and an image with a wrong label look alike: the head disagrees with both. How it disagrees
with wrong labels is learned by flipping some, at random, and asking heads that are trained with these. No more labels
can be wrong than would make all of the disagreement there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.auditing.confident_learning import doubts
from featstore.auditing.out_of_fold import OutOfFold, with_labels
from featstore.evaluation.intervals import accuracy_interval
from featstore.evaluation.units import Units
from featstore.system.progress import OnStep

FLIPPED = 0.05  # of the labels, each time
ROUNDS = 3
_FEWEST = 300  # flips in all: few images are flipped more often
_MOST_ROUNDS = 10
_PARTS = np.arange(1, 10) / 10  # of the flipped labels, that a threshold finds
_ERROR = 0.02  # of an interval, half of it at the end that counts: 0.05 for five thresholds that differ
_SMALL = 10  # a class of fewer images is left as it is


class WrongShare(NamedTuple):
    """The share of wrong labels.

    Attributes:
        share: The estimate. It is too high where many images are hard to tell.
        bound: The most that the share can be, with 95 % confidence.
        flips: How many labels were flipped to learn this.
    """

    share: float
    bound: float
    flips: int


def wrong_share(
    X: NDArray[np.float32],
    y: NDArray[np.intp],
    units: Sequence[str],
    out_of_fold: OutOfFold,
    seed: int,
    on_step: OnStep | None = None,
) -> WrongShare | None:
    """Return the share of wrong labels among the images held out; None if no class is large enough to flip labels.

    It holds for labels that are wrong at random. Errors between classes that look alike are harder to tell, and more
    of them may be there.
    """
    names, classes = np.asarray(units), out_of_fold.probabilities.shape[1]
    large = [k for k in range(classes) if np.count_nonzero(y[out_of_fold.held_out] == k) >= _SMALL]
    if len(large) < 2:
        return None
    rounds = _flips(y, large, out_of_fold.held_out, seed)
    of_flipped, of_others = np.full((2, len(rounds), len(y)), np.nan)
    for place, (labels, is_flipped) in enumerate(rounds):
        again = with_labels(X, labels, out_of_fold)
        if again is None:
            continue
        doubt = np.where(again.held_out, doubts(again.probabilities, labels), np.nan)
        of_flipped[place] = np.where(is_flipped, doubt, np.nan)
        of_others[place] = np.where(is_flipped, np.nan, doubt)
        if on_step:
            on_step(place + 1, len(rounds))
    if np.isnan(of_flipped).all():
        return None
    return _most(_Doubts(of_flipped, names), _Doubts(of_others, names), len(large))


class _Doubts:
    """The doubts (rounds, n) about labels in each round; NaN where a label is not of this kind, or is not judged."""

    def __init__(self, values: NDArray[np.float64], names: NDArray[np.str_]) -> None:
        """Take the doubts, and the names (n,) of the units of the images."""
        judged = ~np.isnan(values).all(axis=0)
        self._values, self._units = values[:, judged], Units(names[judged])

    @property
    def size(self) -> int:
        """How many doubts there are."""
        return int(np.count_nonzero(~np.isnan(self._values)))

    def quantile(self, part: float) -> float:
        return float(np.nanquantile(self._values, part))

    def share_from(self, threshold: float) -> tuple[float, tuple[float, float]]:
        """Return the share of the labels that are doubted at least so much, with its interval.

        Rounds do not narrow it: they add no images.
        """
        doubted = np.where(np.isnan(self._values), np.nan, self._values >= threshold)
        of_images = np.nanmean(doubted, axis=0)
        return float(of_images.mean()), accuracy_interval(of_images, self._units, _ERROR)


def _most(flipped: _Doubts, left: _Doubts, classes: int) -> WrongShare:
    """Return the largest share of labels like the `flipped` ones that can be among those that were `left`.

    At each threshold a share r of the flipped labels is doubted, and a share f of the others. If e of these are wrong,
    f is at least e * r: so e is at most f / r. The threshold is the one with the smallest bound. That with the smallest
    f / r would be the one where chance made it small.

    A flip of a label that is wrong already may put it right. That is true of e / (classes - 1) of the flips, which are
    not doubted: r is too small by that share.
    """
    found = []
    for part in _PARTS:
        threshold = flipped.quantile(1 - part)
        (r, (least_r, _)), (f, (_, most_f)) = flipped.share_from(threshold), left.share_from(threshold)
        found.append((most_f / least_r, f / r))
    bound, share = (ratio / (1 + ratio / (classes - 1)) for ratio in min(found))
    return WrongShare(min(1.0, share), min(1.0, bound), flipped.size)


def _flips(
    y: NDArray[np.intp], large: Sequence[int], held_out: NDArray[np.bool_], seed: int
) -> list[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Return for each round the labels (n,) of which some are flipped, and which ones (n,). No image is flipped twice.

    large: the classes whose labels are flipped, each to any other of them.
    """
    random = np.random.default_rng(seed)
    some = random.permutation(np.flatnonzero(held_out & np.isin(y, large)))
    each = max(1, round(FLIPPED * len(some)))
    rounds = []
    for number in range(min(_MOST_ROUNDS, max(ROUNDS, -(-_FEWEST // each)))):
        chosen = some[number * each : (number + 1) * each]
        labels = y.copy()
        places = np.searchsorted(large, y[chosen])
        labels[chosen] = np.asarray(large)[(places + random.integers(1, len(large), len(chosen))) % len(large)]
        rounds.append((labels, np.isin(np.arange(len(y)), chosen)))
    return rounds
