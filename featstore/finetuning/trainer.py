"""The trainer: the network above the cut, the rows that it is trained on, and its predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import SPLITS, Picture
from featstore.errors import UsageError, param
from featstore.evaluation.averaging import predict_views
from featstore.extraction.plan import Plan
from featstore.features.arrays import classes_of
from featstore.features.batches import ShuffledBatches
from featstore.features.stored_rows import StoredRows
from featstore.features.views import BLOCK_BYTES, load_in_blocks
from featstore.finetuning.batches import AugmentedBatches
from featstore.finetuning.network import copy_in_float32, has_batch_norm, unfreeze
from featstore.finetuning.optimizers import make_groups
from featstore.finetuning.precision import in_precision, layers_policy
from featstore.finetuning.settings import FineTuneSettings
from featstore.heads.fine_tuned import PREDICT_BATCH, FineTunedNetwork
from featstore.heads.loop import Training, Validate, divide
from featstore.heads.measures import measure
from featstore.heads.step import Batch, compile_step
from featstore.images.views import Augmentation
from featstore.store.rowid import row_id
from featstore.system.progress import OnStep
from featstore.training.fit import Prepared


class Trainer:
    """The training of `network` on the rows of `plan`, which are complete in the cache.

    classes: in the order of the head's probabilities.
    ranges: with ranges, the training images are read and augmented again in every epoch; with None, the rows come from
    the cache. train_on, average: as in a `HeadRecipe`.
    """

    def __init__(
        self,
        network: Any,
        prepared: Prepared,
        plan: Plan,
        settings: FineTuneSettings,
        classes: tuple[str, ...],
        *,
        train_on: str = "plain",
        average: str = "probabilities",
        ranges: Augmentation | None = None,
    ) -> None:
        manifest = prepared.manifest
        pictures = {split: [p for p in manifest.of_split(split) if p.label is not None] for split in SPLITS}
        self.pictures = {split: some for split, some in pictures.items() if some}
        self.classes = classes
        self.training: Training | None = None
        self.network = network
        self._plan, self._cache, self._settings = plan, prepared.cache, settings
        self._train_on, self._average, self._ranges = train_on, average, ranges

    @property
    def improved(self) -> bool:
        """Whether an epoch made the network better than it was at the hand-over."""
        return self.training is not None and self.training.improved

    def targets(self, split: str) -> NDArray[np.intp]:
        """Return the class indices (n,) of the images of `split`."""
        return classes_of(self.pictures[split], self.classes)

    def classifier(self) -> FineTunedNetwork:
        """Return the network as it is now, computing in float32."""
        is_float32 = layers_policy(self._settings.precision) == "float32"
        network = self.network if is_float32 else copy_in_float32(self.network)
        return FineTunedNetwork(len(self.classes), network)

    def predict(self) -> dict[str, NDArray[np.float64]]:
        """Return probabilities (n, classes) by split, averaged over the views of each image."""
        predict = self.classifier().predict_proba
        return {
            split: np.concatenate([predict_views(predict, X, self._average) for X in self._blocks(some)])
            for split, some in self.pictures.items()
        }

    def train(self, on_step: OnStep | None = None) -> None:
        """Train all weights except those of BatchNormalization, unless the settings include them.

        On exit, normal or not, the best weights are restored. `on_step` is called for each batch, since an epoch may
        take minutes.
        """
        settings, random = self._settings, np.random.default_rng(self._settings.seed)
        unfreeze(self.network, settings.train_bn, settings.rates)
        if settings.train_bn and not has_batch_norm(self.network):
            raise UsageError(f"{param('train_bn', True)}: no BatchNormalization is above the cut; leave it out")
        epoch, rows = self._batches(random)
        steps = len(divide(rows, settings.batch))
        step = in_precision(compile_step(self.network, make_groups(self.network, settings, steps)), settings.precision)
        self.training = Training(self.network, step, f"fine-tuning at rate {settings.rate:g}")

        def counted(number: int) -> Iterator[Batch]:
            for place, batch in enumerate(epoch(number), start=(number - 1) * steps):
                if on_step:
                    on_step(place, settings.epochs * steps)
                yield batch

        validate = self._validation() if "val" in self.pictures else None
        self.training.run(counted, validate, settings.epochs, settings.patience, trained_before=True)

    def _blocks(self, pictures: list[Picture]) -> Iterator[NDArray[np.float32]]:
        most_bytes = min(BLOCK_BYTES, self._settings.rows_bytes)
        return load_in_blocks(pictures, [self._plan], self._cache, most_bytes)

    def _batches(self, random: np.random.Generator) -> tuple[Callable[[int], Iterable[Batch]], int]:
        """Return a function from the number of an epoch to its batches, and the number of rows in an epoch."""
        pictures, targets, settings = self.pictures["train"], self.targets("train"), self._settings
        if self._ranges is not None:
            images = AugmentedBatches(pictures, targets, self._plan.spec, self._ranges, settings.batch, random)
            return images.epoch, len(pictures)
        (spec, views), augmented = self._plan.parts[0], self._plan.augmented
        store = self._cache.store(spec)
        trained_views = views if self._train_on == "all" and augmented is None else (views[self._plan.plain],)
        places = [(store, row_id(p.digest, view)) for view in trained_views for p in pictures]
        if augmented is not None:
            versions = self._cache.store(augmented.spec)
            places += [(versions, row_id(p.digest, view)) for view in augmented.views for p in pictures]
        rows = StoredRows(places)
        repeated = np.tile(targets, len(rows) // len(pictures))
        return ShuffledBatches(rows, repeated, settings.batch, settings.rows_bytes, random).epoch, len(rows)

    def _validation(self) -> Validate:
        """Return a function that measures loss and accuracy on the plain view of the validation split.

        It reads the rows from the cache at each call, so that they are not kept in memory.
        """
        spec, views = self._plan.parts[0]
        store, view = self._cache.store(spec), views[self._plan.plain]
        rows = StoredRows([(store, row_id(p.digest, view)) for p in self.pictures["val"]])
        targets, network = self.targets("val"), FineTunedNetwork(len(self.classes), self.network)

        def validate() -> dict[str, float]:
            places = np.array_split(np.arange(len(rows)), range(PREDICT_BATCH, len(rows), PREDICT_BATCH))
            return measure(np.concatenate([network.predict_proba(rows.read(p)) for p in places]), targets)

        return validate
