"""Head `cosine`: the cosine of the angle between the features and a direction for each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from featstore.heads.keras_head import SCALED, KerasHead
from featstore.heads.keras_layers import input_layers
from featstore.heads.keras_parameters import CosineParameters
from featstore.heads.rows import RowsLike


@dataclass
class CosineHead(CosineParameters, KerasHead):
    """Flatten, scaling, features and class weights of length 1, their products times `scale`, a sigmoid or softmax.

    All layers are of Keras itself, so that the saved head needs no code of ours: a convolution with a single weight is
    the factor that training changes. It starts at 1, so that its steps are shares of the scale.
    """

    NAME: ClassVar[str] = "cosine"
    SAVED_CLASSES: ClassVar[frozenset[str]] = SCALED | {
        "Activation",
        "Conv1D",
        "Ones",
        "Reshape",
        "UnitNorm",
        "UnitNormalization",
    }

    def build(self, rows: RowsLike, classes: int) -> Any:
        from keras import Sequential, constraints, layers

        outputs, length_one = (1 if classes == 2 else classes), constraints.UnitNorm(axis=0)
        cosines = layers.Dense(outputs, use_bias=False, kernel_constraint=length_one)
        factor: list[Any] = []
        if self.learn_scale == "yes":
            one_weight = layers.Conv1D(1, 1, use_bias=False, kernel_initializer="ones")
            factor = [layers.Reshape((outputs, 1)), one_weight, layers.Flatten()]
        last = layers.Activation("sigmoid" if classes == 2 else "softmax")
        begin = [*input_layers(rows, self.scaling), layers.UnitNormalization()]
        network = Sequential([*begin, cosines, *factor, layers.Rescaling(self.scale), last])
        cosines.kernel.assign(length_one(cosines.kernel))  # a constraint begins to hold with the first step
        return network
