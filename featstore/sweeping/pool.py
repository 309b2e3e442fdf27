"""The images that the folds divide: all but those of the test split, whose features are not even loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.splits import fold_splits
from featstore.datasets.units import unit_names
from featstore.extraction.cache import Cache
from featstore.extraction.plan import Plan
from featstore.training.rows import TrainingRows, training_rows

if TYPE_CHECKING:
    from featstore.heads.interface import Labelled
    from featstore.training.head_recipe import TrainOn


class Fold(NamedTuple):
    """The places (k,) of its images in the pool: trained on, stopped on, and held out."""

    train: NDArray[np.intp]
    val: NDArray[np.intp]
    held_out: NDArray[np.intp]


@dataclass(frozen=True)
class Pool:
    """The images, and their folds.

    pictures: the n images. classes: the names of all classes. y: (n,) those of the images, as places among the names.
    units: (n,) what the images belong to.
    """

    pictures: tuple[Picture, ...]
    classes: tuple[str, ...]
    y: NDArray[np.intp]
    units: NDArray[np.str_]
    folds: tuple[Fold, ...]

    @classmethod
    def of(cls, manifest: Manifest, folds: int, val_fraction: float, seed: int) -> Pool:
        """Return the images of `manifest` without those of its test split; raises DataError as `fold_splits` does."""
        from featstore.features.arrays import classes_of

        divided = fold_splits(manifest, folds, val_fraction, seed)
        pictures = divided[0].pictures
        splits = [np.array([p.split for p in fold.pictures]) for fold in divided]
        parts = tuple(Fold(*(np.flatnonzero(split == name) for name in ("train", "val", "test"))) for split in splits)
        y, units = classes_of(pictures, manifest.classes), np.array(unit_names(pictures))
        return cls(pictures, manifest.classes, y, units, parts)

    @property
    def fold_of(self) -> NDArray[np.intp]:
        """The number (n,) of the fold that holds out each image, from 0."""
        numbers = np.zeros(len(self.y), np.intp)
        for number, fold in enumerate(self.folds):
            numbers[fold.held_out] = number
        return numbers

    def without_pictures(self) -> Pool:
        """Return what a worker needs of it."""
        return Pool((), self.classes, self.y, self.units, self.folds)


class FoldRows(NamedTuple):
    """What one fold gives a head: rows to train on, and the images to stop on and held out in all their views.

    val_y, val_units: class and unit (n,) of each of the images to stop on.
    """

    train: TrainingRows
    val: NDArray[np.float32]
    val_y: NDArray[np.intp]
    val_units: NDArray[np.str_]
    held_out: NDArray[np.float32]
    plain: int

    @property
    def validation(self) -> Labelled | None:
        """The images to stop on, in their plain view; None if there are none."""
        return (self.val[:, self.plain], self.val_y) if len(self.val_y) else None


class PoolFeatures(NamedTuple):
    """The features of one recipe for the images of a pool.

    views: (n, views, ...), with the plain one at the place `plain`. augmented: (n, versions, ...); None without any.
    """

    views: NDArray[np.float32]
    augmented: NDArray[np.float32] | None
    plain: int

    @classmethod
    def load(cls, pictures: Sequence[Picture], plan: Plan, cache: Cache) -> PoolFeatures:
        """Read them from the cache; raises StoreError."""
        from featstore.features.views import load_augmented, load_views

        return cls(load_views(pictures, [plan], cache), load_augmented(pictures, [plan], cache), plan.plain)

    def of_fold(self, pool: Pool, fold: Fold, train_on: TrainOn | None) -> FoldRows:
        """Return copies of the rows of one fold."""
        augmented = None if self.augmented is None else self.augmented[fold.train]
        y, units = pool.y[fold.train], pool.units[fold.train].tolist()
        rows = training_rows(self.views[fold.train], augmented, self.plain, train_on, y, units)
        val = self.views[fold.val], pool.y[fold.val], pool.units[fold.val]
        return FoldRows(rows, *val, self.views[fold.held_out], self.plain)
