"""Head `fc-bn`: two dense layers with BatchNormalization and strong dropout, straight on the flattened map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from featstore.heads.keras_head import NORMALIZED, KerasHead
from featstore.heads.keras_parameters import FcBnParameters


@dataclass
class FcBnHead(FcBnParameters, KerasHead):
    """Flatten, dropout p, dense + BN, dropout p, dense + BN, dropout p, softmax.

    Its input is the whole map, as for `vgg-fc`: no pooling comes before the dense layers, unlike in `bn-dropout`.
    """

    NAME: ClassVar[str] = "fc-bn"
    SAVED_CLASSES: ClassVar[frozenset[str]] = NORMALIZED

    def build(self, shape: tuple[int, ...], classes: int) -> Any:
        from keras import Input, Sequential, layers

        body: list[Any] = []
        for _ in range(2):
            body += [
                layers.Dropout(self.p),
                layers.Dense(self.units, activation=self.activation),
                layers.BatchNormalization(),
            ]
        output = layers.Dense(classes, activation="softmax")
        return Sequential([Input(shape), layers.Flatten(), *body, layers.Dropout(self.p), output])
