"""Optimizers of a fine-tuning: one group of weights for each rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featstore.errors import UsageError, param

if TYPE_CHECKING:
    from featstore.heads.loop import Group
from featstore.finetuning.settings import FineTuneSettings


def make_groups(network: Any, tuning: FineTuneSettings, steps: int) -> list[Group]:
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
        raise UsageError(f"{param('rates')}: leaves nothing that is trained")
    return groups
