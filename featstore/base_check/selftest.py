"""Whether a base looks rightly fed, judged on any photos, without labels.

Three figures, the surest first. What the first BatchNormalization remembers (`batchnorm.py`): on photos of pets,
flowers and ImageNet it was smallest for the right variant with MobileNet, MobileNetV2 and DenseNet121 each time.
For networks without such a layer, how much their predictions tell about an image, or, without their classifier, how
different the images look to them: a wrongly fed network sees much the same in all (a wrongly scaled ResNet50 calls
everything a nematode). The latter two are coarse: they find a wrong scale, not one near map among others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 200
MOST_IMAGES = 400
USUAL = "keras"  # what the base was trained with, as far as is known: named unless the images speak against it
# On photos the next variant had 2.1 times (flowers) to 285 times (ImageNet) the mismatch of the right one. On 28x28
# digits and on photos darkened to 40 % a wrong one was ahead by up to 4 times, so below 5 there is nothing to claim.
CLEARLY = 5.0
# Nats. The right variant had 0.66 at most, on digits, and 0.5 on photos. Shuffled weights had 1.1 or more in MobileNet,
# but 0.6 in MobileNetV2 and 0.2 in DenseNet121, so a small one is no proof of the right file.
STRANGE = 1.0
NOTHING = 6.1e-5  # the smallest normal float16; random MobileNets end in less, trained ones in 3 and more

Score = Callable[[NDArray[np.float64]], float]


class Look(NamedTuple):
    """What a classifier predicts for n images.

    classes: how many are predicted at all. commonest: the one predicted most often, and `share`, of the images, it has.
    entropy: the mean one of a prediction, in nats (6.9 is a blind guess).
    """

    classes: int
    commonest: int
    share: float
    entropy: float


class Judgement(NamedTuple):
    """`best` variant, None where none looks right; `alike` are those that the images cannot tell from it."""

    best: str | None
    alike: tuple[str, ...]
    by: str


def look(probabilities: NDArray[np.float64]) -> Look:
    """Of (n, classes)."""
    predicted, counts = np.unique(probabilities.argmax(axis=1), return_counts=True)
    share = float(counts.max() / len(probabilities))
    return Look(len(predicted), int(predicted[counts.argmax()]), share, float(_entropy(probabilities).mean()))


def information(probabilities: NDArray[np.float64]) -> float:
    """Nats that a prediction (n, classes) tells about its image: the entropy of the mean less the mean entropy.

    The logarithm of the inception score (Salimans et al. 2016, arXiv:1606.03498). 0 where all get the same answer,
    log(n) at most.
    """
    return float(_entropy(probabilities.mean(axis=0)) - _entropy(probabilities).mean())


def variety(features: NDArray[np.float64]) -> float:
    """How different images look: 1 - the mean cosine between their features (n, width).

    Images without any activation look alike, so one more column stands for nothing.
    """
    nothing = np.abs(features).max(axis=1, keepdims=True) < NOTHING
    rows = np.hstack([np.where(nothing, 0.0, features), nothing])
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    n = len(units)
    return float(1 - (np.square(units.sum(axis=0)).sum() - n) / (n * (n - 1)))


class Scale(NamedTuple):
    """least: a score where anything can be right. nearly: the share of the best score that the right one may have."""

    least: float
    nearly: float


# However surely a variant is the best one on these images, it need not be the right one. On photos that had 0.68 of the
# best information or more (flowers under DenseNet121) and 0.84 of the best variety (flowers under MobileNetV2).
# Trained networks told 1.1 nats about a photo or more, and saw a variety of 0.26 or more. Random and shuffled ones told
# 0.34 at most (ConvNeXt, all others 0.003) and saw 0.03, but for ConvNeXt: what is random in it is 0.99 after the last
# LayerNormalization.
SCALES: dict[Score, Scale] = {information: Scale(0.5, 0.65), variety: Scale(0.05, 0.8)}


def judge_by_mismatch(mismatches: Mapping[str, float]) -> Judgement:
    """By what the first BatchNormalization remembers: the smallest is right, unless it is large itself."""
    least = min(mismatches.values())
    alike = [name for name, value in mismatches.items() if value <= CLEARLY * least]
    best = min(mismatches, key=lambda name: mismatches[name])
    return _judgement(best, alike, least < STRANGE, "batch statistics")


def judge_by_score(outputs: Mapping[str, NDArray[np.float64]], score: Score, by: str, seed: int = 0) -> Judgement:
    """The variant with the highest score; `outputs` are (n, ...) for the same n images under each.

    Variants are alike where the best one is not ahead by the margin that the score wants, or does not win in 97.5 % of
    the bootstrap samples of the images.
    """
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(next(iter(outputs.values()))))[:MOST_IMAGES]
    scores = {name: score(rows[chosen]) for name, rows in outputs.items()}
    best = max(scores, key=lambda name: scores[name])
    wins = dict.fromkeys(outputs, 0)
    for _ in range(RESAMPLES):
        sample = np.unique(random.choice(chosen, len(chosen)))  # copies of a row would only look like less variety
        if len(sample) < 2:  # of very few images; nothing can be seen in one
            continue
        of_best = score(outputs[best][sample])
        for name, rows in outputs.items():
            wins[name] += of_best > score(rows[sample])
    scale = SCALES[score]
    alike = [n for n in outputs if scores[n] >= scale.nearly * scores[best] or wins[n] < 0.975 * RESAMPLES]
    return _judgement(best, alike, scores[best] >= scale.least, by)


def _judgement(best: str, alike: Sequence[str], plausible: bool, by: str) -> Judgement:
    """`alike` includes the best one; where the usual one is among them, there is no reason to name another."""
    named = USUAL if USUAL in alike else best
    return Judgement(named if plausible else None, tuple(name for name in alike if name != named), by)


def _entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-(probabilities * np.log(np.clip(probabilities, 1e-30, None))).sum(axis=-1))
