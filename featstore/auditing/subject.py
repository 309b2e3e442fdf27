"""The subject of an audit: the images with their features, their sketches and their copies, as all checks see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from featstore.auditing.families import Family
from featstore.copies.groups import SamePictures
from featstore.copies.sketch import Sketch
from featstore.datasets.manifest import Manifest, Picture
from featstore.objects.places import below, tops_of
from featstore.training.fit import Prepared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.auditing.name_patterns import NameGroups
from featstore.system.member_paths import unpacked_path
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
        """Features (n, width) of `labelled` from the first base, in the plain view; maps are averaged."""
        from featstore.features.views import load_plain

        return load_plain(self.labelled, self.prepared.plans[:1], self.prepared.cache)

    @cached_property
    def y(self) -> NDArray[np.intp]:
        """Number (n,) of the class of each of `labelled`, in the order of `manifest.classes`."""
        from featstore.features.arrays import classes_of

        return classes_of(list(self.labelled), self.manifest.classes)

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Name (n,) of the unit of each of `labelled`: copies of one picture and images of one group are one unit."""
        return tuple(self.copies.unit_names(self.labelled))

    @cached_property
    def picture_numbers(self) -> NDArray[np.intp]:
        """Number (n,) of the picture that each of `labelled` shows; copies have the same."""
        import numpy as np

        names = self.copies.unit_names([p._replace(group=None) for p in self.labelled])
        return np.unique(np.asarray(names), return_inverse=True)[1]

    @cached_property
    def suspected(self) -> NameGroups | None:
        """Groups of `labelled` that names suggest and features confirm; None if there are none, or the data have some.

        Groups that the data set itself has are not doubted.
        """
        from featstore.auditing.name_patterns import suspect_groups

        if not self.labelled or any(p.group is not None for p in self.manifest.pictures):
            return None
        tops = tops_of(self.manifest.source)
        paths = [below(unpacked_path(p.path), *tops) for p in self.labelled]
        return suspect_groups(paths, self.X, self.y, self.picture_numbers)
