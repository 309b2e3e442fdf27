"""What is explained of an image: a class against the most probable other one.

A softmax does not change when the same number is added to the scores of all classes, so the score of one class alone
means nothing. The difference of two does: it is the logarithm of the odds between them. The most probable other class
is the one that the answer was decided against, and with two classes the difference is the logit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Contrast:
    """What is explained of n images.

    labels: (n,) numbers of the explained classes. rivals: (n,) numbers of the classes that they are told from.
    """

    labels: NDArray[np.intp]
    rivals: NDArray[np.intp]

    @classmethod
    def of(cls, probabilities: NDArray[np.float64], label: int | None = None) -> Contrast:
        """Return the contrast of the most probable class of each image, or of class `label`, to the next one."""
        labels = probabilities.argmax(axis=1) if label is None else np.full(len(probabilities), label, np.intp)
        others = probabilities.copy()
        others[np.arange(len(others)), labels] = -1
        return cls(labels, others.argmax(axis=1))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, places: slice) -> Contrast:
        """Return the contrast of some of the images."""
        return Contrast(self.labels[places], self.rivals[places])

    def repeated(self, times: int) -> Contrast:
        """Return the contrast of images of which each is there so many times in a row."""
        return Contrast(self.labels.repeat(times), self.rivals.repeat(times))

    def difference(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Return (n, ...) the scores (n, classes, ...) of the labels less those of the rivals."""
        rows = np.arange(len(self))
        return np.asarray(scores[rows, self.labels] - scores[rows, self.rivals])

    def log_odds(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n,) the logarithms of the odds between label and rival."""
        return self.difference(np.log(np.clip(probabilities, np.finfo(np.float64).tiny, None)))
