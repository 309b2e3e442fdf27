"""The subject of an audit: the images with their features, their sketches and their copies, as all checks see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from featstore.audit.families import Family
from featstore.copies.groups import SamePictures
from featstore.copies.sketch import Sketch
from featstore.datasets.manifest import Manifest, Picture
from featstore.training.fit import Prepared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.system.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is audited.

    Attributes:
        prepared: The data set with its splits, and its features in the cache.
        sketches: The sketch of each readable image by its digest.
        copies: Which images are the same picture.
        seed: Seed of all that is drawn.
        progress: Display; None without one.
    """

    prepared: Prepared
    sketches: Mapping[str, Sketch]
    copies: SamePictures
    seed: int = 0
    progress: Progress | None = None

    @property
    def manifest(self) -> Manifest:
        """The images, each labelled one with its split."""
        return self.prepared.manifest

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """The images that are one picture, labelled or not; an image without a copy is in none."""
        return tuple(Family(group, self.copies) for group in self.copies.groups(self.manifest.pictures))

    @cached_property
    def labelled(self) -> tuple[Picture, ...]:
        """The labelled images, in the order of the manifest."""
        return tuple(p for p in self.manifest.pictures if p.label is not None)

    @cached_property
    def X(self) -> NDArray[np.float32]:  # noqa: N802 - the name that scikit-learn has for it
        """Features (n, width) of `labelled`, in the plain view; maps are averaged over their positions."""
        from featstore.features.views import load_views

        rows = load_views(self.labelled, self.prepared.plans, self.prepared.cache)[:, self.prepared.plans[0].plain]
        return rows.mean(axis=(1, 2)) if rows.ndim == 4 else rows.reshape(len(rows), -1)

    @cached_property
    def y(self) -> NDArray[np.intp]:
        """Number (n,) of the class of each of `labelled`, in the order of `manifest.classes`."""
        from featstore.features.arrays import classes_of

        return classes_of(list(self.labelled), self.manifest.classes)

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Name (n,) of the unit of each of `labelled`: copies of one picture and images of one group are one unit."""
        return tuple(self.copies.unit_names(self.labelled))
