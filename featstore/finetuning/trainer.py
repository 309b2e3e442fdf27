"""A stage of fine-tuning: the network above the cut, the rows that it is fed with, its training and its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import SPLITS, Picture
from featstore.errors import UsageError, param
from featstore.evaluation.averaging import predict_views
from featstore.extraction.plan import Plan
from featstore.features.batches import ShuffledBatches
from featstore.features.stored_rows import StoredRows
from featstore.features.views import BLOCK_BYTES, load_in_blocks
from featstore.finetuning.batches import AugmentedBatches
from featstore.finetuning.network import has_batch_norm, in_float32, unfreeze
from featstore.finetuning.optimizers import make_groups
from featstore.finetuning.settings import FineTuneSettings
from featstore.heads.fine_tuned import ASK_BATCH, FineTunedNetwork
from featstore.heads.loop import Batch, Training, compile_step, loss_and_accuracy
from featstore.images.views import Augmentation
from featstore.store.rowid import row_id
from featstore.system.progress import OnStep
from featstore.training.fit import Prepared


class Stage:
    """`network` on the rows of `plan`, which are complete in the cache.

    ranges: None for rows of the cache; else training images are read anew in every epoch, at random within them.
    train_on, average: as in a `HeadRecipe`.
    """

    def __init__(
        self,
        network: Any,
        prepared: Prepared,
        plan: Plan,
        tuning: FineTuneSettings,
        *,
        train_on: str = "plain",
        average: str = "probabilities",
        ranges: Augmentation | None = None,
    ) -> None:
        manifest = prepared.manifest
        pictures = {split: [p for p in manifest.of_split(split) if p.label is not None] for split in SPLITS}
        self.pictures = {split: some for split, some in pictures.items() if some}
        self.classes = manifest.classes
        self.training: Training | None = None
        self._network = network
        self._plan, self._cache, self._tuning = plan, prepared.cache, tuning
        self._train_on, self._average, self._ranges = train_on, average, ranges

    def truth(self, split: str) -> NDArray[np.intp]:
        """(n,) places of the labels among the classes."""
        place = {name: number for number, name in enumerate(self.classes)}
        return np.array([place[p.class_name] for p in self.pictures[split]], np.intp)

    def trained(self) -> FineTunedNetwork:
        """What the network is now, computing in float32."""
        plain = self._tuning.precision == "float32"
        network = self._network if plain else in_float32(self._network)
        return FineTunedNetwork(len(self.classes), network)

    def ask(self) -> dict[str, NDArray[np.float64]]:
        """Probabilities (n, classes) by split, averaged over the views of each image."""
        trained = self.trained()
        return {
            split: np.concatenate([predict_views(trained.predict_proba, X, self._average) for X in self._blocks(some)])
            for split, some in self.pictures.items()
        }

    def train(self, on_step: OnStep | None = None) -> None:
        """Train all but what BatchNormalization knows; when it ends, in whatever way, the best weights are in place.

        on_step is told about batches, for an epoch may take long.
        """
        tuning, random = self._tuning, np.random.default_rng(self._tuning.seed)
        unfreeze(self._network, tuning.train_bn, tuning.rates)
        if tuning.train_bn and not has_batch_norm(self._network):
            raise UsageError(f"{param('train_bn', True)}: no BatchNormalization is above the cut; leave it out")
        epoch, rows = self._batches(random)
        steps = -(-rows // tuning.batch)
        step = compile_step(self._network, make_groups(self._network, tuning, steps))
        self.training = Training(self._network, step, f"fine-tuning at rate {tuning.rate:g}")

        def counted(number: int) -> Iterator[Batch]:
            for place, batch in enumerate(epoch(number), start=(number - 1) * steps):
                if on_step:
                    on_step(place, tuning.epochs * steps)
                yield batch

        validate = self._validation() if "val" in self.pictures else None
        self.training.run(counted, validate, tuning.epochs, tuning.patience, trained_before=True)

    def _blocks(self, pictures: list[Picture]) -> Iterator[NDArray[np.float32]]:
        most_bytes = min(BLOCK_BYTES, self._tuning.rows_bytes)
        return load_in_blocks(pictures, [self._plan], self._cache, most_bytes)

    def _batches(self, random: np.random.Generator) -> tuple[Callable[[int], Iterable[Batch]], int]:
        """What gives the batches of an epoch, and how many rows it has."""
        pictures, truth, tuning = self.pictures["train"], self.truth("train"), self._tuning
        if self._ranges is not None:
            images = AugmentedBatches(pictures, truth, self._plan.spec, self._ranges, tuning.batch, random)
            return images.epoch, len(pictures)
        (spec, views), augmented = self._plan.parts[0], self._plan.augmented
        store = self._cache.store(spec)
        seen = views if self._train_on == "all" and augmented is None else (views[self._plan.plain],)
        places = [(store, row_id(p.digest, view)) for view in seen for p in pictures]
        if augmented is not None:
            versions = self._cache.store(augmented.spec)
            places += [(versions, row_id(p.digest, view)) for view in augmented.views for p in pictures]
        rows = StoredRows(places)
        targets = np.tile(truth, len(rows) // len(pictures))
        return ShuffledBatches(rows, targets, tuning.batch, tuning.rows_bytes, random).epoch, len(rows)

    def _validation(self) -> Callable[[], NDArray[np.float64]]:
        """A function that gives (loss, accuracy) on the plain view of the validation split, read anew each time."""
        spec, views = self._plan.parts[0]
        store, view = self._cache.store(spec), views[self._plan.plain]
        rows = StoredRows([(store, row_id(p.digest, view)) for p in self.pictures["val"]])
        truth, network = self.truth("val"), FineTunedNetwork(len(self.classes), self._network)

        def validate() -> NDArray[np.float64]:
            places = np.array_split(np.arange(len(rows)), range(ASK_BATCH, len(rows), ASK_BATCH))
            return loss_and_accuracy(np.concatenate([network.predict_proba(rows.read(p)) for p in places]), truth)

        return validate
