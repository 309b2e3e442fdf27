"""How the top of a network is trained: rates, warm-up and patience, and what it is fed with in every epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from featstore.datasets.manifest import Picture
from featstore.errors import DataError, UsageError
from featstore.images.prefetch import default_threads, fetch_all
from featstore.images.views import Augmentation
from featstore.spec import FeatureSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.heads.loop import Group

OPTIMIZERS = ("sgd", "adam")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How fine-tuning trains. The rate is low, for weights that are good already are to be moved a little.

    rate: of the optimizer, `sgd` with a `momentum` (0.9) or `adam`, reached in a straight line over the first `warmup`
    epochs. rates: other rates for layers by the beginning of their names, or for the `head`. patience: epochs without a
    smaller validation loss before it ends. clip: the longest gradient, as a norm over all variables of one rate; 0 for
    any. One rate then does for all bases, whose gradients differ by a factor of ten and more. train_bn: also train
    BatchNormalization, and its statistics. memory: bytes of cached activations that are held at a time, None for 2 GB.
    precision: what the base computes in; weights stay float32. seed: of the order of the images and of dropout.
    """

    epochs: int = 20
    batch: int = 32
    rate: float = 1e-4
    optimizer: str = "sgd"
    momentum: float | None = None
    warmup: float = 1.0
    rates: Mapping[str, float] = field(default_factory=dict)
    patience: int = 5
    clip: float = 1.0
    train_bn: bool = False
    memory: int | None = None
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        whole = (self.epochs, self.batch, self.patience, self.rows_bytes, self.seed + 1)
        if not all(isinstance(number, int) and number >= 1 for number in whole):
            raise UsageError(
                "fine-tuning: expected whole epochs, batch, patience and memory of at least 1, and a seed of at least 0"
            )
        if not (0 < self.rate < math.inf and 0 <= (self.momentum or 0) < 1):
            raise UsageError("fine-tuning: expected a rate above 0, and a momentum from 0 to below 1")
        if not (0 <= self.warmup < math.inf and 0 <= self.clip < math.inf):
            raise UsageError("fine-tuning: expected a warm-up and a clip of 0 or more")
        if not all(0 <= rate < math.inf for rate in self.rates.values()):
            raise UsageError("--rate-of: expected rates of 0 or more")
        for name, value, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise UsageError(f"--{name} {value}: is not known: use one of {', '.join(known)}")
        if self.momentum is not None and self.optimizer != "sgd":
            raise UsageError(f"--momentum {self.momentum:g}: is for --optimizer sgd; {self.optimizer} has its own")
        if self.rates and self.precision == "mixed_float16":
            raise UsageError("--rate-of: float16 needs one scale of the loss for all: use --precision mixed_bfloat16")

    @property
    def rows_bytes(self) -> int:
        """The most that cached activations may take in memory."""
        return 2 * 2**30 if self.memory is None else self.memory


def make_groups(network: Any, tuning: Tuning, steps: int) -> list[Group]:
    """An optimizer for each rate, over the trainable variables of `network`; `steps` are those of an epoch."""
    import keras

    from featstore.finetuning.network import by_rate
    from featstore.heads.loop import Group

    class Warmup(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __init__(self, rate: float) -> None:
            self._rate, self._steps = rate, max(1.0, tuning.warmup * steps)

        def __call__(self, step: Any) -> Any:
            return self._rate * keras.ops.minimum(1.0, (keras.ops.cast(step, "float32") + 1) / self._steps)

    groups = []
    for rate, variables in by_rate(network, tuning.rate, tuning.rates).items():
        momentum = 0.9 if tuning.momentum is None else float(tuning.momentum)
        options = {"momentum": momentum} if tuning.optimizer == "sgd" else {}
        kind = keras.optimizers.SGD if tuning.optimizer == "sgd" else keras.optimizers.Adam
        optimizer = kind(Warmup(rate), global_clipnorm=tuning.clip or None, **options)
        if tuning.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        groups.append(Group(optimizer, variables))
    if not groups:
        raise UsageError("--rate-of: leaves nothing that is trained")
    return groups


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
        read = self._reading.views_reader((number,))
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
