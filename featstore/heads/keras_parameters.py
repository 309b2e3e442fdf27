"""The parameters of the Keras heads; known without loading Keras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from featstore.heads.parameters import Activation, Count, HeadParameters, Rate, Share
from featstore.system.fields import Between


@dataclass
class KerasParameters(HeadParameters):
    """Parameters of all Keras heads.

    Attributes:
        epochs: Most epochs.
        batch: Rows of features in a step.
        rate: Learning rate of Adam.
        patience: Epochs without a smaller validation loss after which training ends; the best weights are kept.
    """

    epochs: Count = 100
    batch: Count = 64
    rate: Rate = 1e-3
    patience: Count = 10


@dataclass
class BatchNormParameters(KerasParameters):
    """Parameters of the Keras heads with BatchNormalization, which makes a batch of one row zero.

    Attributes:
        batch: Rows of features in a step, at least 2: BatchNormalization learns nothing from one.
    """

    batch: Annotated[int, Between(2)] = 64


@dataclass
class BnDropoutParameters(BatchNormParameters):
    """Parameters of the head `bn-dropout`.

    Attributes:
        p: Dropout rate before the output, and half of it before each dense layer.
        units: Width of each dense layer.
    """

    p: Share = 0.5
    units: Count = 128


@dataclass
class VggFcParameters(KerasParameters):
    """Parameters of the head `vgg-fc`.

    Attributes:
        p: Dropout rate before the output.
        units: Width of the dense layer.
    """

    rate: Rate = 1e-4
    p: Share = 0.5
    units: Count = 256


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

    epochs: Count = 50
    batch: Count = 32
    patience: Count = 8
    p: Share = 0.5
