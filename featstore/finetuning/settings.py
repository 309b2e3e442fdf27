"""How the top of a network is trained: rates, warm-up and patience, and what it is fed with in every epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from featstore.errors import UsageError, param

if TYPE_CHECKING:
    pass

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
            raise UsageError(f"{param('rates')}: expected rates of 0 or more")
        for name, value, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise UsageError(f"{param(name, value)}: is not known: use one of {', '.join(known)}")
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
