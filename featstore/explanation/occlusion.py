"""Occlusion (Zeiler and Fergus 2014): what the run answers if a patch of the image is blurred, pixels to probabilities.

It asks the whole pipeline and believes nothing about it, so it is the check of the other methods. It takes a run of the
base for each patch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import Manifest, Picture
from featstore.explanation.contrast import Contrast
from featstore.explanation.heat import Heat
from featstore.extraction.cache import Cache
from featstore.extraction.encoder import make_encoder
from featstore.images.prefetch import read_again
from featstore.images.readers import make_reader
from featstore.runs.predictor import Predictor
from featstore.runs.recipes import plans_of, weights_wanted
from featstore.system.progress import Silent

CELLS = 7  # along each side
_PATCH = 2.0  # side of a patch in cells: patches overlap, since one of a single cell hides next to nothing
_SOFTNESS = 0.5  # deviation of the blur, in cells: what is smaller than a patch is gone, and the colours stay


class _Base(NamedTuple):
    """One base of a run: its reading of a file in the plain view, and its features of images."""

    read: Callable[[bytes], NDArray[Any]]
    encode: Callable[[NDArray[Any]], NDArray[np.float32]]


@dataclass(frozen=True)
class Occlusion:
    """The method at work on a run, with the plain view of each base."""

    predictor: Predictor

    def complete(self, manifest: Manifest) -> Manifest:
        """Return all images: no rows are needed but those of the prediction."""
        return manifest

    def explain(self, pictures: Sequence[Picture], contrast: Contrast) -> Heat:
        """Return by how much the log odds of `contrast` fall if a patch around each cell is blurred."""
        some = self.predictor
        on_step = (some.progress or Silent()).steps("blurring patches", "images")
        with weights_wanted(some.run, some.weights):
            bases = self._bases()
            heats = []
            for place, picture in enumerate(pictures):
                heats.append(self._occlude(picture, bases, contrast[place : place + 1]))
                on_step(place + 1, len(pictures))
        return Heat(np.concatenate([one.cells for one in heats]), np.concatenate([one.score for one in heats]))

    def _bases(self) -> list[_Base]:
        some = self.predictor
        cache = Cache.at(some.cache)
        plans = plans_of(some.run, some.weights, cache, read_weights=True)
        bases = []
        for plan in plans:
            encode = make_encoder(plan.recipe.source(), plan.spec, engine=cache.engine, folder=cache.local)
            bases.append(_Base(make_reader(plan.spec.reading), encode))
        return bases

    def _occlude(self, picture: Picture, bases: Sequence[_Base], contrast: Contrast) -> Heat:
        """Return the heat of one picture. All bases see the same patch of it blurred."""
        raw = read_again(picture)
        features = [base.encode(np.stack([*blurred_patches(base.read(raw))])) for base in bases]
        X = features[0] if len(bases) == 1 else np.hstack([rows.reshape(len(rows), -1) for rows in features])
        score, *others = contrast.repeated(len(X)).log_odds(self.predictor.run.predict_proba(X))
        fallen = np.array(others).reshape(1, CELLS, CELLS)
        return Heat(score - fallen, np.array([score]))


def blurred_patches(image: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield `image` (height, width, 3) as it is, then once for each cell, row by row, with the patch around it blurred.

    The patch is blurred, and not grey: a patch of one colour is a thing of its own, such as the disc of a sunflower.
    """
    from scipy.ndimage import gaussian_filter

    height, width = image.shape[:2]
    down, across = height / CELLS, width / CELLS
    smooth = gaussian_filter(image.astype(np.float32), (_SOFTNESS * down, _SOFTNESS * across, 0))
    if image.dtype == np.uint8:
        smooth = smooth.round()
    yield image
    for row in range(CELLS):
        for column in range(CELLS):
            patch = _around(row, down, height), _around(column, across, width)
            changed = image.copy()
            changed[patch] = smooth[patch].astype(image.dtype)
            yield changed


def _around(cell: int, side: float, length: int) -> slice:
    """Return the pixels of the patch around a cell along one axis, at least one."""
    middle, half = (cell + 0.5) * side, _PATCH * side / 2
    start = max(0, min(round(middle - half), length - 1))
    return slice(start, max(start + 1, min(round(middle + half), length)))
