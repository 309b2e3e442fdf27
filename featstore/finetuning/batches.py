"""Batches of images that are read and augmented again for every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from featstore.datasets.manifest import Picture
from featstore.errors import DataError
from featstore.heads.loop import divide
from featstore.images.prefetch import fetch_all
from featstore.images.readers import make_views_reader
from featstore.images.views import Augmentation
from featstore.spec import FeatureSpec
from featstore.system.environment import default_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AugmentedBatches:
    """Batches of augmented images, preprocessed for the base of `spec`; each epoch sees other random versions.

    The version depends on the content of the image, the seed of `ranges` and the number of the epoch.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        targets: NDArray[np.intp],
        spec: FeatureSpec,
        ranges: Augmentation,
        batch: int,
        random: np.random.Generator,
    ) -> None:
        self._pictures, self._targets = pictures, targets
        self._reading, self._preprocessing = replace(spec.reading, augmentation=ranges), spec.preprocessing
        self._batch, self._random = batch, random

    def epoch(self, number: int) -> Iterator[tuple[NDArray[Any], NDArray[np.intp]]]:
        """Yield (batch, height, width, 3) float32 and (batch,) targets, with every image once.

        Raises DataError if a file is missing, unreadable or changed.
        """
        import numpy as np

        order = self._random.permutation(len(self._pictures))
        read = make_views_reader(self._reading, (number,))
        shuffled = [self._pictures[i] for i in order]
        images: list[NDArray[Any]] = []
        fetched = fetch_all(shuffled, read, lambda digest: True, default_threads())
        ends = {place.stop for place in divide(len(order), self._batch)}
        for number_read, (item, picture) in enumerate(zip(fetched, shuffled, strict=True), start=1):
            if item.pixels is None or item.picture.digest != picture.digest:
                reason = item.reason or "its content has changed"
                raise DataError(
                    f"{picture.path}: is not what it was when training began: {reason}; run the same command again"
                )
            images.append(item.pixels[0])
            if number_read in ends:
                targets = self._targets[order[number_read - len(images) : number_read]]
                yield self._preprocessing.apply(np.stack(images)), targets
                images = []
