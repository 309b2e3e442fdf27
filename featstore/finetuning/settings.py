"""How the top of a network is trained: rates, warm-up and patience, and what it is fed with in every epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypedDict

from featstore.errors import UsageError, param
from featstore.system.fields import Between, Seed, check_fields

Optimizer = Literal["sgd", "adam"]
Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]
AtLeastOne = Annotated[int, Between(1)]


@dataclass(frozen=True, kw_only=True)
class FineTuneSettings:
    """How fine-tuning trains. The rate is low, because weights that are good already should move a little.

    With gradients clipped, one rate suits all bases, whose gradients differ by a factor of ten and more.

    Attributes:
        epochs: The most epochs.
        batch: Images, or views of images, in a step.
        rate: Learning rate.
        optimizer: The optimizer; adam has no momentum to set.
        momentum: Momentum of sgd. Default: 0.9.
        warmup: Epochs in which the rate rises from 0 in a straight line.
        rates: Other rates for layers by the beginning of their names, or for the head.
        patience: Epochs without a smaller validation loss before training ends.
        clip: Longest gradient, as a norm over all variables of one rate; 0 for no limit.
        train_bn: Train BatchNormalization too; by default it keeps its statistics.
        memory: Bytes of cached activations held at a time; more are streamed from the cache. Default: 2 GiB.
        precision: What the base computes in; mixed precisions are for a GPU, and weights stay float32.
        seed: Seed of the order of the images, and of dropout.
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
        check_fields(self)
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
        if self.rates and self.precision == "mixed_float16":
            raise UsageError(
                f"{param('rates')}: float16 needs one scale of the loss for all: use "
                f"{param('precision', 'mixed_bfloat16')}"
            )

    @property
    def rows_bytes(self) -> int:
        """The most that cached activations may take in memory."""
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
