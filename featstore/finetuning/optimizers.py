"""The optimizers of fine-tuning: one for each learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featstore.errors import UsageError, param
from featstore.finetuning.settings import FineTuneSettings

if TYPE_CHECKING:
    from featstore.heads.step import Group


def make_groups(network: Any, settings: FineTuneSettings, steps_per_epoch: int) -> list[Group]:
    """Return an optimizer for each rate, with the trainable variables of `network` that have this rate."""
    import keras

    from featstore.finetuning.momentum import Momentum
    from featstore.finetuning.network import variables_by_rate
    from featstore.heads.step import Group

    class Warmup(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __init__(self, rate: float) -> None:
            self._rate, self._steps = rate, max(1.0, settings.warmup * steps_per_epoch)

        def __call__(self, step: Any) -> Any:
            return self._rate * keras.ops.minimum(1.0, (keras.ops.cast(step, "float32") + 1) / self._steps)

    groups = []
    for rate, variables in variables_by_rate(network, settings.rate, settings.rates).items():
        if settings.optimizer == "sgd":
            momentum = 0.9 if settings.momentum is None else float(settings.momentum)
            optimizer = Momentum(Warmup(rate), momentum, settings.clip)
        else:
            optimizer = keras.optimizers.Adam(Warmup(rate), global_clipnorm=settings.clip or None)
        if settings.precision == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        groups.append(Group(optimizer, variables))
    if not groups:
        raise UsageError(f"{param('rates')}: nothing is left to train; give one layer a rate above 0")
    return groups
