"""The optimizer of a Keras head, and the course of its learning rate."""

from __future__ import annotations

from typing import Any

from featstore.heads.keras_parameters import KerasParameters

_WARM = 0.3  # of the steps of one-cycle, in which the rate rises; as fast.ai has it
_START = 1 / 25  # of the rate, where one-cycle begins
_FALL = 0.2  # what a plateau leaves of the rate
_ADAMW_DECAY = 0.004  # of Keras
_NOT_DECAYED = ("bias", "gamma", "beta")


def make_optimizer(parameters: KerasParameters, rate: Any) -> Any:
    """Return the optimizer that `parameters` name, at `rate`: a number or a schedule of Keras."""
    import keras

    decay = decay_of(parameters)
    options: dict[str, Any] = {"weight_decay": decay or None}  # Keras takes no decay of 0
    if parameters.optimizer == "sgd":
        momentum = 0.9 if parameters.momentum is None else parameters.momentum
        optimizer = keras.optimizers.SGD(rate, momentum=momentum, **options)
    else:  # Adam whose weights decay apart from the gradient is AdamW
        optimizer = keras.optimizers.Adam(rate, **options)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return optimizer


def decay_of(parameters: KerasParameters) -> float:
    """Return the weight decay that `parameters` mean."""
    if parameters.weight_decay is not None:
        return parameters.weight_decay
    return _ADAMW_DECAY if parameters.optimizer == "adamw" else 0.0


def make_rate(parameters: KerasParameters, steps: int) -> Any:
    """Return the rate over a training of `steps` steps: a number, or a schedule of Keras."""
    from keras.optimizers.schedules import CosineDecay

    if parameters.schedule == "cosine":
        return CosineDecay(parameters.rate, steps)
    if parameters.schedule == "one-cycle":
        warm = max(1, round(_WARM * steps))
        start = _START * parameters.rate
        return CosineDecay(start, max(1, steps - warm), warmup_target=parameters.rate, warmup_steps=warm)
    return parameters.rate


def lower_rate(optimizer: Any) -> None:
    """Lower the rate of an optimizer without a schedule, as on a plateau."""
    optimizer.learning_rate = _FALL * float(optimizer.learning_rate)
