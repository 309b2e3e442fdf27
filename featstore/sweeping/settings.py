"""How a sweep searches, and what it is after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from featstore.errors import UsageError, param
from featstore.system.fields import Between, Seed, settle_fields

By = Literal["log-loss", "accuracy"]


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """How a sweep searches.

    Attributes:
        trials: Most heads that are tried, each with parameters of its own.
        time: Seconds after which the search ends, but not before its first trial; the winner is then trained.
            None: no limit.
        by: What the winner is the best in, by cross-validation.
        folds: Folds of the cross-validation over all images but those of the test split.
        ensemble: Save the mean of the best heads instead of the best one, if it is better beyond noise.
        jobs: Processes that try heads. Default: one for each core.
        seed: Seed of the search, of the heads, and of random weights.
        val_fraction: Share taken for validation where there is no such split.
        test_fraction: Share taken for testing where there are no splits.
    """

    trials: Annotated[int, Between(1)] = 100
    time: float | None = None
    by: By = "log-loss"
    folds: Annotated[int, Between(2)] = 5
    ensemble: bool = False
    jobs: Annotated[int, Between(1)] | None = None
    seed: Seed = 0
    val_fraction: float = 0.2
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        settle_fields(self)
        if self.time is not None and not self.time > 0:
            raise UsageError(f"{param('time', self.time)}: expected a time above 0")
