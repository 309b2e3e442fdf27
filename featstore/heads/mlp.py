"""Head `mlp`: dense layers of any widths, each with dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from featstore.heads.keras_head import SCALED, KerasHead
from featstore.heads.keras_layers import input_layers, output_layer
from featstore.heads.keras_parameters import MlpParameters
from featstore.heads.rows import RowsLike


@dataclass
class MlpHead(MlpParameters, KerasHead):
    """Flatten, scaling, dense with dropout p for each of `widths`, and a sigmoid or softmax."""

    NAME: ClassVar[str] = "mlp"
    SAVED_CLASSES: ClassVar[frozenset[str]] = SCALED

    def build(self, rows: RowsLike, classes: int) -> Any:
        from keras import Sequential, layers

        hidden: list[Any] = []
        for width in self.widths:
            hidden += [layers.Dense(width, activation=self.activation), layers.Dropout(self.p)]
        return Sequential([*input_layers(rows, self.scaling), *hidden, output_layer(classes, start="zeros")])
