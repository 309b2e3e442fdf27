"""Whether a base looks rightly fed, judged on any photos, without labels.

Three figures, the surest first. What the first BatchNormalization remembers (`featstore.bases.batchnorm`): on photos of
pets, flowers and ImageNet it named the right variant for MobileNet, MobileNetV2 and DenseNet121 each time. For networks
without such a layer, how much their predictions tell about an image, or, without their classifier, how different the
images look to them: a wrongly fed network sees much the same in all (a wrongly scaled ResNet50 calls everything a
nematode). The latter two can err on photos unlike ImageNet's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 200
MOST_IMAGES = 400
# Between the right variant and the next one the mismatch grew by 2.5 at least on photos; on 28x28 digits, which no base
# was trained with, it did not tell 1/255 from -1..1 (0.36 and 0.49).
CLEARLY = 2.0
STRANGE = 5.0  # nats; the right variant had 0.7 at most, even on digits, and a wrong scale hundreds

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
    """How different images look: 1 - the mean cosine between their features (n, width)."""
    units = features / np.clip(np.linalg.norm(features, axis=1, keepdims=True), 1e-12, None)
    n = len(units)
    return float(1 - (np.square(units.sum(axis=0)).sum() - n) / (n * (n - 1)))


def judge_by_mismatch(mismatches: Mapping[str, float]) -> Judgement:
    """By what the first BatchNormalization remembers: the smallest is right, unless it is large itself."""
    best = min(mismatches, key=lambda name: mismatches[name])
    alike = tuple(n for n, value in mismatches.items() if n != best and value < CLEARLY * mismatches[best])
    return Judgement(best if mismatches[best] < STRANGE else None, alike, "batch statistics")


def judge_by_score(outputs: Mapping[str, NDArray[np.float64]], score: Score, by: str, seed: int = 0) -> Judgement:
    """The variant with the highest score; `outputs` are (n, ...) for the same n images under each.

    Variants are alike where the best one does not win in 97.5 % of the bootstrap samples of the images.
    """
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(next(iter(outputs.values()))))[:MOST_IMAGES]
    scores = {name: score(rows[chosen]) for name, rows in outputs.items()}
    best = max(scores, key=lambda name: scores[name])
    wins = dict.fromkeys(outputs, 0)
    for _ in range(RESAMPLES):
        sample = np.unique(random.choice(chosen, len(chosen)))  # copies of a row would only look like less variety
        of_best = score(outputs[best][sample])
        for name, rows in outputs.items():
            wins[name] += of_best > score(rows[sample])
    alike = tuple(name for name in outputs if name != best and wins[name] < 0.975 * RESAMPLES)
    return Judgement(best if scores[best] > 1e-3 else None, alike, by)


def _entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-(probabilities * np.log(np.clip(probabilities, 1e-30, None))).sum(axis=-1))
