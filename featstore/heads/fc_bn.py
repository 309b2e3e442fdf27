"""Head `fc-bn`: two dense layers with BatchNormalization and strong dropout, straight on the flattened map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from featstore.heads.keras_head import NORMALIZED, SCALED, KerasHead
from featstore.heads.keras_layers import batch_norm, input_layers, output_layer
from featstore.heads.keras_parameters import FcBnParameters
from featstore.heads.rows import RowsLike


@dataclass
class FcBnHead(FcBnParameters, KerasHead):
    """Flatten, dropout p, dense + BN, dropout p, dense + BN, dropout p, and a sigmoid or softmax.

    Its input is the whole map, as for `vgg-fc`: no pooling comes before the dense layers, unlike in `bn-dropout`. The
    posts do not scale it.
    """

    NAME: ClassVar[str] = "fc-bn"
    SAVED_CLASSES: ClassVar[frozenset[str]] = NORMALIZED | SCALED

    def build(self, rows: RowsLike, classes: int) -> Any:
        from keras import Sequential, layers

        body: list[Any] = []
        for _ in range(2):
            body += [
                layers.Dropout(self.p),
                layers.Dense(self.units, activation=self.activation),
                batch_norm(),
            ]
        last = output_layer(classes)
        return Sequential([*input_layers(rows, self.scaling), *body, layers.Dropout(self.p), last])
