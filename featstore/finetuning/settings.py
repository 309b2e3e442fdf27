"""The settings of fine-tuning: epochs, batch, learning rates, warm-up, patience, memory and precision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypedDict

from featstore.errors import UsageError, param
from featstore.system.fields import Between, Seed, settle_fields

Optimizer = Literal["sgd", "adam"]
Precision = Literal["float32", "bfloat16", "float16"]
AtLeastOne = Annotated[int, Between(1)]


@dataclass(frozen=True, kw_only=True)
class FineTuneSettings:
    """Settings of fine-tuning.

    The default rate is low, because trained weights should move only a little. Gradients of bases differ by a factor
    of ten and more; clipping makes one rate suit all of them.

    Raises:
        UsageError: A value is out of its range, or has no effect with the others.

    Attributes:
        epochs: Largest number of epochs.
        batch: Number of images, or of views of images, in a step.
        rate: Learning rate.
        optimizer: Name of the optimizer.
        momentum: Momentum of sgd; adam has its own. Default: 0.9.
        warmup: Number of epochs in which the rate rises linearly from 0.
        rates: Other rates, by the beginning of the layers' names: {"block5": 1e-5, "head": 1e-3}. 0 freezes a layer.
        patience: Number of epochs without a smaller validation loss after which training ends.
        clip: Largest norm of the gradient over all variables of one rate; 0 for no limit.
        train_bn: Train BatchNormalization too; by default it keeps its statistics.
        memory: Largest size of the cached activations in memory, in bytes, or as in 512M on the command line; more are
            streamed from the cache. Default: 2 GiB.
        precision: How a step is computed: bfloat16 for a processor or a GPU that has it, float16 for a GPU. Weights and
            predictions stay float32.
        seed: Seed of the order of the images and of dropout.
    """

    epochs: AtLeastOne = 20
    batch: AtLeastOne = 32
    rate: float = 1e-4
    optimizer: Optimizer = "sgd"
    momentum: float | None = None
    warmup: float = 1.0
    rates: Mapping[str, float] = field(default_factory=dict)
    patience: AtLeastOne = 5
    clip: float = 1.0
    train_bn: bool = False
    memory: AtLeastOne | None = None
    precision: Precision = "float32"
    seed: Seed = 0

    def __post_init__(self) -> None:
        settle_fields(self)
        if not (0 < self.rate < math.inf and 0 <= (self.momentum or 0) < 1):
            raise UsageError("fine-tuning: expected a rate above 0, and a momentum from 0 to below 1")
        if not (0 <= self.warmup < math.inf and 0 <= self.clip < math.inf):
            raise UsageError("fine-tuning: expected a warm-up and a clip of 0 or more")
        if not all(0 <= rate < math.inf for rate in self.rates.values()):
            raise UsageError(f"{param('rates')}: expected rates of 0 or more")
        if self.momentum is not None and self.optimizer != "sgd":
            raise UsageError(
                f"{param('momentum', self.momentum)}: is for {param('optimizer', 'sgd')}; {self.optimizer} has its own"
            )
        if self.train_bn and self.batch < 2:
            raise UsageError(
                f"{param('batch', self.batch)}: BatchNormalization learns nothing from a batch of one image; use at "
                f"least 2, or leave {param('train_bn', True)} out"
            )
        if self.rates and self.precision == "float16":
            raise UsageError(
                f"{param('rates')}: float16 needs one loss scale for all weights: use {param('precision', 'bfloat16')}"
            )

    @property
    def rows_bytes(self) -> int:
        """Most bytes of cached activations in memory."""
        return 2 * 2**30 if self.memory is None else self.memory


class FineTuneOptions(TypedDict, total=False):
    """The fields of `FineTuneSettings` as keyword arguments."""

    epochs: int
    batch: int
    rate: float
    optimizer: Optimizer
    momentum: float | None
    warmup: float
    rates: Mapping[str, float]
    patience: int
    clip: float
    train_bn: bool
    memory: int | None
    precision: Precision
    seed: int
