"""Head `bn-dropout`: dense layers with BatchNormalization and dropout, after fast.ai's `get_bn_layers(p)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from featstore.heads.keras_head import KerasHead


@dataclass
class BnDropoutHead(KerasHead):
    """Max-pooling of a map, flatten, dropout p/2, dense + BN, dropout p/2, dense + BN, dropout p, softmax.

    p: dropout rate before the softmax, from 0 to below 1.
    units: width of each dense layer.
    """

    NAME: ClassVar[str] = "bn-dropout"
    SAVED_CLASSES: ClassVar[frozenset[str]] = frozenset(
        {
            "Sequential",
            "InputLayer",
            "MaxPooling2D",
            "Flatten",
            "Dropout",
            "Dense",
            "BatchNormalization",
            "DTypePolicy",
            "GlorotUniform",
            "Zeros",
            "Ones",
        }
    )

    p: float = 0.5
    units: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.p < 1 or self.units < 1:
            raise ValueError("expected 0 <= p < 1, and units of at least 1")
        if self.batch < 2:
            raise ValueError(
                "BatchNormalization learns nothing from a batch of one row; expected a batch of at least 2"
            )

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
