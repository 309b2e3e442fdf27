"""Head `vgg-fc`: the dense layers that the Keras blog puts on the last map of VGG16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from featstore.heads.keras_head import SCALED, KerasHead
from featstore.heads.keras_layers import input_layers, output_layer
from featstore.heads.keras_parameters import VggFcParameters
from featstore.heads.rows import RowsLike


@dataclass
class VggFcHead(VggFcParameters, KerasHead):
    """Flatten, dense `units`, dropout p; one sigmoid for two classes, softmax for more.

    It is the top model of "Building powerful image classification models using very little data" (Keras blog, 2016).
    Its input is the whole map, not the average; the post does not scale it.
    """

    NAME: ClassVar[str] = "vgg-fc"
    SAVED_CLASSES: ClassVar[frozenset[str]] = SCALED

    def build(self, rows: RowsLike, classes: int) -> Any:
        from keras import Sequential, layers

        return Sequential(
            [
                *input_layers(rows, self.scaling),
                layers.Dense(self.units, activation=self.activation),
                layers.Dropout(self.p),
                output_layer(classes),
            ]
        )
