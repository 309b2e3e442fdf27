"""Head `bn-dropout`: dense layers with BatchNormalization and dropout, after fast.ai's `get_bn_layers(p)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.keras_head import NORMALIZED, KerasHead
from featstore.heads.keras_layers import batch_norm, output_layer
from featstore.heads.keras_parameters import BnDropoutParameters


@dataclass
class BnDropoutHead(BnDropoutParameters, KerasHead):
    """Max-pooling of a map, flatten, twice (dropout p/2, dense + BN), dropout p, and a sigmoid or softmax."""

    NAME: ClassVar[str] = "bn-dropout"
    SAVED_CLASSES: ClassVar[frozenset[str]] = NORMALIZED | {"MaxPooling2D"}

    def build(self, rows: NDArray[np.float32], classes: int) -> Any:
        from keras import Input, Sequential, layers

        shape = rows.shape[1:]
        return Sequential(
            [
                Input(shape),
                *([layers.MaxPooling2D()] if len(shape) == 3 and min(shape[:2]) > 1 else []),
                layers.Flatten(),
                layers.Dropout(self.p / 2),
                layers.Dense(self.units, activation=self.activation),
                batch_norm(),
                layers.Dropout(self.p / 2),
                layers.Dense(self.units, activation=self.activation),
                batch_norm(),
                layers.Dropout(self.p),
                output_layer(classes),
            ]
        )
