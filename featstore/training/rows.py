"""The rows that a head is trained on and predicts from: in memory, or on disk where they are too many for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.units import unit_names
from featstore.extraction.cache import Cache
from featstore.extraction.plan import Plan
from featstore.heads.registry import HEADS, entry_of
from featstore.system.figures import megabytes
from featstore.system.machine import find_memory
from featstore.training.head_recipe import HeadRecipe, TrainOn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.features.rows_on_disk import StoredViews
    from featstore.heads.interface import Labelled
    from featstore.system.progress import Progress

    Predict = Callable[[NDArray[np.float32]], NDArray[np.float64]]

Pictures = Mapping[str, Sequence[Picture]]  # the labelled images by split


class TrainingRows(NamedTuple):
    """What a head is trained on: X (rows, ...), the classes y (rows,) and the names (rows,) of the units.

    groups: None if each unit has one row.
    """

    X: NDArray[np.float32]
    y: NDArray[np.intp]
    groups: NDArray[np.str_] | None


class HeadRows(Protocol):
    """The features of a data set for one head."""

    def training(self) -> TrainingRows:
        """Return the rows to train on."""

    def validation(self) -> Labelled | None:
        """Return the validation split in its plain view; None if there is none."""

    def predict(self, split: str, predict: Predict, average: str) -> NDArray[np.float64]:
        """Return the probabilities (n, classes) of the images of a split, averaged over their views."""


class InMemory:
    """All rows of all splits, which are read at once."""

    def __init__(
        self, pictures: Pictures, classes: Sequence[str], plans: Sequence[Plan], recipe: HeadRecipe, cache: Cache
    ) -> None:
        from featstore.features.arrays import classes_of
        from featstore.features.views import load_augmented, load_views

        self._plain = plans[0].plain
        self._views = {split: load_views(some, plans, cache) for split, some in pictures.items()}
        self._classes = {split: classes_of(some, classes) for split, some in pictures.items()}
        trained, augmented = pictures["train"], load_augmented(pictures["train"], plans, cache)
        self._training = training_rows(
            self._views["train"],
            augmented,
            self._plain,
            recipe.train_on,
            self._classes["train"],
            unit_names(trained),
        )

    def training(self) -> TrainingRows:
        return self._training

    def validation(self) -> Labelled | None:
        return (self._views["val"][:, self._plain], self._classes["val"]) if "val" in self._views else None

    def predict(self, split: str, predict: Predict, average: str) -> NDArray[np.float64]:
        from featstore.evaluation.averaging import predict_views

        return predict_views(predict, self._views[split], average)


class OnDisk:
    """Rows that are read from the cache, block by block, whenever they are used."""

    def __init__(
        self, pictures: Pictures, classes: Sequence[str], plans: Sequence[Plan], recipe: HeadRecipe, cache: Cache
    ) -> None:
        from featstore.heads.rows import BLOCK_BYTES

        self._pictures, self._class_names, self._plans, self._cache = pictures, classes, plans, cache
        self._trains_on_all = recipe.train_on == "all"
        self._most_bytes = BLOCK_BYTES if recipe.memory is None else min(BLOCK_BYTES, recipe.memory)

    def training(self) -> TrainingRows:
        from featstore.features.arrays import classes_of
        from featstore.features.rows_on_disk import StoredViews
        from featstore.features.views import open_augmented, open_views

        pictures, plain = self._pictures["train"], self._plans[0].plain
        views = open_views(pictures, self._plans, self._cache)
        augmented = open_augmented(pictures, self._plans, self._cache)
        used = views if self._trains_on_all and not augmented else [views[plain], *augmented]
        y = classes_of(pictures, self._class_names)
        repeated = _repeated(y, unit_names(pictures), len(used))
        return TrainingRows(_as_array(StoredViews(used, self._most_bytes)), *repeated)

    def validation(self) -> Labelled | None:
        from featstore.features.arrays import classes_of
        from featstore.features.rows_on_disk import StoredViews
        from featstore.features.views import open_views

        if "val" not in self._pictures:
            return None
        views = open_views(self._pictures["val"], self._plans, self._cache)
        rows = StoredViews([views[self._plans[0].plain]], self._most_bytes)
        return _as_array(rows), classes_of(self._pictures["val"], self._class_names)

    def predict(self, split: str, predict: Predict, average: str) -> NDArray[np.float64]:
        import numpy as np

        from featstore.evaluation.averaging import predict_views
        from featstore.features.views import load_in_blocks

        blocks = load_in_blocks(self._pictures[split], self._plans, self._cache, self._most_bytes)
        return np.concatenate([predict_views(predict, X, average) for X in blocks])


def _as_array(rows: StoredViews) -> NDArray[np.float32]:
    """Return the same rows under the type that all heads take: only a head that streams is given them."""
    return cast("NDArray[np.float32]", rows)


def training_rows(
    views: NDArray[np.float32],
    augmented: NDArray[np.float32] | None,
    plain: int,
    train_on: TrainOn | None,
    y: NDArray[np.intp],
    unit_of: Sequence[str],
) -> TrainingRows:
    """Return the rows of n images, of which the plain views come first.

    views: (n, views, ...); `plain` is the place of the plain one. augmented: (n, versions, ...), used if there are any.
    y, unit_of: class and name of the unit (n,) of each image.
    """
    import numpy as np

    if augmented is not None:
        used = np.concatenate([views[:, plain : plain + 1], augmented], axis=1)
    elif train_on == "all":
        used = views
    else:
        used = views[:, plain : plain + 1]
    rows = np.swapaxes(used, 0, 1).reshape(-1, *used.shape[2:])
    return TrainingRows(rows, *_repeated(y, unit_of, used.shape[1]))


def _repeated(
    y: NDArray[np.intp], unit_of: Sequence[str], times: int
) -> tuple[NDArray[np.intp], NDArray[np.str_] | None]:
    """Return classes and units of rows that come in so many views."""
    import numpy as np

    single = times == 1 and len(set(unit_of)) == len(unit_of)
    return np.tile(y, times), None if single else np.tile(np.asarray(unit_of), times)


def are_on_disk(manifest: Manifest, plans: Sequence[Plan], recipe: HeadRecipe, cache: Cache) -> bool:
    """Return whether a head reads its rows from disk: where it can, and they are more than may be in memory."""
    most = _most_bytes(recipe)
    return entry_of(recipe.head).streams and most is not None and _bytes_of(manifest, plans, cache) > most


def tell_of_memory(
    manifest: Manifest, plans: Sequence[Plan], recipe: HeadRecipe, cache: Cache, progress: Progress | None
) -> None:
    """Tell a line if the features are more than may be in memory: that they are read from disk, or what would do so."""
    most, size = _most_bytes(recipe), _bytes_of(manifest, plans, cache)
    if progress is None or most is None or size <= most:
        return
    if entry_of(recipe.head).streams:
        how = "so they are read from the cache block by block"
    else:
        streaming = ", ".join(name for name, entry in HEADS.items() if entry.streams)
        how = f"and {recipe.head} needs all of them at once; heads that do not: {streaming}"
    progress.tell(f"features of {megabytes(size)} MB are more than the {megabytes(most)} MB for them in memory, {how}")


def _most_bytes(recipe: HeadRecipe) -> int | None:
    """Return the most bytes of features in memory; None if nothing is known of the machine."""
    if recipe.memory is not None:
        return recipe.memory
    memory = find_memory()
    return None if memory is None else memory.total // 2


def _bytes_of(manifest: Manifest, plans: Sequence[Plan], cache: Cache) -> int:
    from featstore.features.views import bytes_in_memory

    return bytes_in_memory([p for p in manifest.pictures if p.split and p.label is not None], plans, cache)
