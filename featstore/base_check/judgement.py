"""Which variant of the preprocessing is right for a base, judged on any photos, without labels.

There are three criteria, the surest first:

1. The mismatch with the statistics that the first BatchNormalization keeps (`batchnorm.py`). On photos of pets, flowers
   and ImageNet it was smallest for the right variant with MobileNet, MobileNetV2 and DenseNet121 each time.
2. Without such a layer: the mutual information between images and predictions.
3. Without a classifier: the diversity of the features.

A network with a wrong input sees much the same in all images: a ResNet50 with a wrong scale calls everything a
nematode. Criteria 2 and 3 are coarse. They find a wrong scale, but do not separate two similar maps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 200
MAX_IMAGES = 400
# On photos the next variant had 2.1 times (flowers) to 285 times (ImageNet) the mismatch of the right one. On 28x28
# digits and on photos darkened to 40 % a wrong one was ahead by up to 4 times, so a ratio below 5 decides nothing.
CLEAR_RATIO = 5.0
# Nats. The right variant had 0.66 at most, on digits. Shuffled weights had 1.2 or more in MobileNet and 0.7 in
# MobileNetV2, but 0.26 in DenseNet121. So a small mismatch does not prove that the file is right.
MAX_MISMATCH = 0.7
# The right variant had 0.14 at most on photos of ImageNet and of pets, mostly below 0.02. Flowers enlarged from 128 px
# had up to 0.47, digits 0.65, photos darkened to 40 % 0.6. The best of the wrong ones had 0.02 and more: a variant that
# is below this bar is not right for that alone.
PHOTO_MISMATCH = 0.15
MIN_ACTIVATION = 6.1e-5  # the smallest normal float16; random MobileNets end in less, trained ones in 3 and more

Score = Callable[[NDArray[np.float64]], float]


class PredictionStatistics(NamedTuple):
    """Statistics of the predictions of a classifier for n images.

    Attributes:
        classes: Number of classes that are predicted for any image.
        commonest: Index of the class that is predicted most often.
        share: Share of the images, 0 to 1, for which it is predicted.
        entropy: Mean entropy of a prediction, in nats; a uniform one over 1,000 classes has 6.9.
    """

    classes: int
    commonest: int
    share: float
    entropy: float


class Choice(NamedTuple):
    """The variant that fits best by one criterion; None where none fits.

    Attributes:
        best: The variant.
        alike: Variants that fit these images about as well.
    """

    best: str | None
    alike: tuple[str, ...]


def prediction_statistics(probabilities: NDArray[np.float64]) -> PredictionStatistics:
    """Return the statistics of `probabilities` (n, classes)."""
    predicted, counts = np.unique(probabilities.argmax(axis=1), return_counts=True)
    return PredictionStatistics(
        classes=len(predicted),
        commonest=int(predicted[counts.argmax()]),
        share=float(counts.max() / len(probabilities)),
        entropy=float(_entropy(probabilities).mean()),
    )


def mutual_information(probabilities: NDArray[np.float64]) -> float:
    """Return the mutual information in nats between images and predictions (n, classes): H(mean) - mean(H).

    This is the logarithm of the inception score (Salimans et al. 2016, arXiv:1606.03498). It is 0 where all images get
    the same prediction, and log(n) at most.
    """
    return float(_entropy(probabilities.mean(axis=0)) - _entropy(probabilities).mean())


def diversity(features: NDArray[np.float64]) -> float:
    """Return 1 - the mean cosine between `features` (n, width) of different images.

    An additional column marks images without any activation, so that they count as alike.
    """
    inactive = np.abs(features).max(axis=1, keepdims=True) < MIN_ACTIVATION
    rows = np.hstack([np.where(inactive, 0.0, features), inactive])
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    n = len(units)
    return float(1 - (np.square(units.sum(axis=0)).sum() - n) / (n * (n - 1)))


class Thresholds(NamedTuple):
    """What a score has to reach.

    Attributes:
        minimum: Best score below which no variant is called right.
        alike: Share of the best score from which on another variant fits about as well.
    """

    minimum: float
    alike: float


# A variant can win in every sample of these images and still be wrong. On photos the right one had 0.68 of the best
# information or more (flowers under DenseNet121) and 0.84 of the best diversity (flowers under MobileNetV2).
# Trained networks had 1.1 nats of information or more, and a diversity of 0.26 or more. Random and shuffled ones had
# 0.34 nats at most (ConvNeXt; all others 0.003) and a diversity of 0.03. The exception is a random ConvNeXt: it has
# 0.99 after its last LayerNormalization.
THRESHOLDS: dict[Score, Thresholds] = {
    mutual_information: Thresholds(minimum=0.5, alike=0.65),
    diversity: Thresholds(minimum=0.05, alike=0.8),
}


def judge_by_mismatch(mismatches: Mapping[str, float], own: str | None = None) -> Choice:
    """Judge by the mismatch in nats of each variant: the smallest fits, unless it is large itself."""
    smallest = min(mismatches.values())
    alike = [name for name, value in mismatches.items() if value <= CLEAR_RATIO * smallest]
    best = min(mismatches, key=lambda name: mismatches[name])
    return _choice(best, alike, smallest < MAX_MISMATCH, own)


def judge_by_score(
    outputs: Mapping[str, NDArray[np.float64]], score: Score, own: str | None = None, seed: int = 0
) -> Choice:
    """Judge by `score` of the `outputs` (n, ...) of each variant for the same n images: the highest fits.

    Another variant is alike if it has the share of the best score in `THRESHOLDS`, or if the best one wins in less than
    97.5 % of the bootstrap samples of the images.
    """
    random = np.random.default_rng(seed)
    selected = random.permutation(len(next(iter(outputs.values()))))[:MAX_IMAGES]
    scores = {name: score(rows[selected]) for name, rows in outputs.items()}
    best = max(scores, key=lambda name: scores[name])
    wins = dict.fromkeys(outputs, 0)
    for _ in range(RESAMPLES):
        sample = np.unique(random.choice(selected, len(selected)))  # copies of a row would lower the diversity
        if len(sample) < 2:  # happens with very few images; one alone has no score
            continue
        best_score = score(outputs[best][sample])
        for name, rows in outputs.items():
            wins[name] += best_score > score(rows[sample])
    limits = THRESHOLDS[score]
    alike = [n for n in outputs if scores[n] >= limits.alike * scores[best] or wins[n] < 0.975 * RESAMPLES]
    return _choice(best, alike, scores[best] >= limits.minimum, own)


def _choice(best: str, alike: Sequence[str], fits: bool, own: str | None) -> Choice:
    """Return the choice among `alike`, which includes the best: what the base was trained with is kept if it can be."""
    named = own if own is not None and own in alike else best
    return Choice(named if fits else None, tuple(name for name in alike if name != named))


def _entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-(probabilities * np.log(np.clip(probabilities, 1e-30, None))).sum(axis=-1))
