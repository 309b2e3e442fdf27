"""Batches of freshly augmented pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from featstore.datasets.manifest import Picture
from featstore.errors import DataError
from featstore.images.prefetch import fetch_all
from featstore.images.readers import make_views_reader
from featstore.images.views import Augmentation
from featstore.spec import FeatureSpec
from featstore.system.environment import default_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AugmentedBatches:
    """Batches of images read anew for every epoch, each time in another random version, prepared as for the base.

    The version of an image in an epoch is that of its content, the seed of `ranges` and the number of the epoch.
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
        """(batch, height, width, 3) float32 and (batch,) targets; every image once. Raises DataError for a lost one."""
        import numpy as np

        order = self._random.permutation(len(self._pictures))
        read = make_views_reader(self._reading, (number,))
        chosen = [self._pictures[i] for i in order]
        images: list[NDArray[Any]] = []
        fetched = fetch_all(chosen, read, lambda digest: True, default_threads())
        for place, (item, picture) in enumerate(zip(fetched, chosen, strict=True), start=1):
            if item.pixels is None or item.picture.digest != picture.digest:
                reason = item.reason or "its content has changed"
                raise DataError(f"{picture.path}: was there a moment ago: {reason}; run the same command again")
            images.append(item.pixels[0])
            if len(images) == self._batch or place == len(chosen):
                yield self._preprocessing.apply(np.stack(images)), self._targets[order[place - len(images) : place]]
                images = []
