"""Head `bn-dropout`: dense layers with BatchNormalization and dropout, after fast.ai's `get_bn_layers(p)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from featstore.heads.keras_head import NORMALIZED, KerasHead
from featstore.heads.keras_parameters import BnDropoutParameters


@dataclass
class BnDropoutHead(BnDropoutParameters, KerasHead):
    """Max-pooling of a map, flatten, dropout p/2, dense + BN, dropout p/2, dense + BN, dropout p, softmax."""

    NAME: ClassVar[str] = "bn-dropout"
    SAVED_CLASSES: ClassVar[frozenset[str]] = NORMALIZED | {"MaxPooling2D"}

    def build(self, shape: tuple[int, ...], classes: int) -> Any:
        from keras import Input, Sequential, layers

        return Sequential(
            [
                Input(shape),
                *([layers.MaxPooling2D()] if len(shape) == 3 and min(shape[:2]) > 1 else []),
                layers.Flatten(),
                layers.Dropout(self.p / 2),
                layers.Dense(self.units, activation="relu"),
                layers.BatchNormalization(),
                layers.Dropout(self.p / 2),
                layers.Dense(self.units, activation="relu"),
                layers.BatchNormalization(),
                layers.Dropout(self.p),
                layers.Dense(classes, activation="softmax"),
            ]
        )
