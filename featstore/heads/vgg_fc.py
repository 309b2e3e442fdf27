"""Head `vgg-fc`: the dense layers that the Keras blog puts on the last map of VGG16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from featstore.heads.keras_head import DENSE, KerasHead
from featstore.heads.keras_parameters import VggFcParameters


@dataclass
class VggFcHead(VggFcParameters, KerasHead):
    """Flatten, dense `units` with ReLU, dropout p; one sigmoid for two classes, softmax for more.

    It is the top model of "Building powerful image classification models using very little data" (Keras blog, 2016).
    Its input is the whole map, not the average.
    """

    NAME: ClassVar[str] = "vgg-fc"
    SAVED_CLASSES: ClassVar[frozenset[str]] = DENSE

    def build(self, shape: tuple[int, ...], classes: int) -> Any:
        from keras import Input, Sequential, layers

        last = layers.Dense(1, activation="sigmoid") if classes == 2 else layers.Dense(classes, activation="softmax")
        return Sequential(
            [
                Input(shape),
                layers.Flatten(),
                layers.Dense(self.units, activation="relu"),
                layers.Dropout(self.p),
                last,
            ]
        )
