"""The parameters of the Keras heads; known without loading Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from featstore.errors import UsageError, param
from featstore.heads.class_weights import ClassWeights
from featstore.heads.parameters import Activation, Count, HeadParameters, Rate, Share
from featstore.system.fields import Between, ListOf, Within

Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "one-cycle", "plateau"]
Monitor = Literal["loss", "accuracy", "balanced_accuracy", "macro_f1"]
Scaling = Literal["standard", "none"]
Widths = Annotated[tuple[int, ...], ListOf(Between(1))]
AtLeastZero = Annotated[float, Within(0)]


@dataclass
class KerasParameters(HeadParameters):
    """Parameters of all Keras heads.

    Attributes:
        epochs: Most epochs; none is as many as make 3,000 steps, at least 30.
        batch: Rows of features in a step.
        rate: Learning rate; with a schedule its highest value.
        patience: Epochs without a better `monitor` after which training ends; the best weights are kept. None is as
            many as make 300 steps, at least 10, and no end before the last epoch where the schedule falls to it.
        monitor: Figure of the validation split that chooses the epoch; where it is equal, the loss does.
        optimizer: Method of the steps.
        momentum: Momentum of sgd; none is 0.9.
        weight_decay: Share of each weight that a step takes away, times the rate; biases and BatchNormalization keep
            theirs. None is 0.004 for adamw and 0 for the others.
        schedule: Course of the rate over all epochs: constant; cosine, falling to 0; one-cycle, rising from a 25th in
            the first 30 % and then falling to 0; plateau, a fifth whenever half the patience has passed in vain.
        label_smoothing: Share of each target that is spread over all classes.
        class_weights: Weight of the images of each class in the loss.
        mixup: Alpha of mixup on features: each row is mixed with another of its batch by a share from
            Beta(alpha, alpha); 0 mixes nothing.
    """

    epochs: Count | None = None
    batch: Count = 64
    rate: Rate = 1e-3
    patience: Count | None = None
    monitor: Monitor = "loss"
    optimizer: Optimizer = "adam"
    momentum: Share | None = None
    weight_decay: AtLeastZero | None = None
    schedule: Schedule = "constant"
    label_smoothing: Share = 0.0
    class_weights: Annotated[str | Mapping[str, float], ClassWeights()] | None = None
    mixup: AtLeastZero = 0.0

    def check(self) -> None:
        if self.momentum is not None and self.optimizer != "sgd":
            raise UsageError(
                f"momentum={self.momentum:g}: is for {param('optimizer', 'sgd')}; {self.optimizer} has its own"
            )


@dataclass
class BatchNormParameters(KerasParameters):
    """Parameters of the Keras heads with BatchNormalization, which makes a batch of one row zero.

    Attributes:
        batch: Rows of features in a step, at least 2: BatchNormalization learns nothing from one.
    """

    batch: Annotated[int, Between(2)] = 64


@dataclass
class LinearParameters(KerasParameters):
    """Parameters of the head `linear`.

    Attributes:
        scaling: Scaling of each feature by its mean and deviation on the training rows, or none.
    """

    rate: Rate = 3e-4
    scaling: Scaling = "standard"


@dataclass
class MlpParameters(KerasParameters):
    """Parameters of the head `mlp`.

    Attributes:
        scaling: Scaling of each feature by its mean and deviation on the training rows, or none.
        widths: Widths of the dense layers, as in 256,128.
        activation: Activation of each dense layer.
        p: Dropout rate after each dense layer.
    """

    scaling: Scaling = "standard"
    widths: Widths = (256,)
    activation: Activation = "relu"
    p: Share = 0.5


@dataclass
class CosineParameters(KerasParameters):
    """Parameters of the head `cosine`.

    Attributes:
        scaling: Scaling of each feature by its mean and deviation on the training rows, or none.
        scale: Factor of the cosines before the softmax.
        learn_scale: Whether training changes the factor from there.
    """

    scaling: Scaling = "standard"
    scale: Rate = 10.0
    learn_scale: Literal["yes", "no"] = "yes"


@dataclass
class BnDropoutParameters(BatchNormParameters):
    """Parameters of the head `bn-dropout`.

    Attributes:
        scaling: Scaling of each feature by its mean and deviation on the training rows, or none.
        p: Dropout rate before the output, and half of it before each dense layer.
        units: Width of each dense layer.
        activation: Activation of each dense layer.
    """

    scaling: Scaling = "standard"
    p: Share = 0.5
    units: Count = 128
    activation: Activation = "relu"


@dataclass
class VggFcParameters(KerasParameters):
    """Parameters of the head `vgg-fc`.

    Attributes:
        p: Dropout rate before the output.
        units: Width of the dense layer.
        activation: Activation of the dense layer.
    """

    rate: Rate = 1e-4
    p: Share = 0.5
    units: Count = 256
    activation: Activation = "relu"


@dataclass
class FcBnParameters(BatchNormParameters):
    """Parameters of the head `fc-bn`.

    Attributes:
        p: Dropout rate before each dense layer and before the output.
        units: Width of each dense layer.
        activation: Activation of each dense layer.
    """

    p: Share = 0.8
    units: Count = 256
    activation: Activation = "relu"


@dataclass
class ScratchCnnParameters(KerasParameters):
    """Parameters of the head `scratch-cnn`.

    Attributes:
        p: Dropout rate before the output.
    """

    epochs: Count | None = 50
    batch: Count = 32
    patience: Count | None = 8
    p: Share = 0.5
