"""Head `vgg-fc`: the dense layers that the Keras blog puts on the last map of VGG16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from featstore.heads.keras_head import KerasHead


@dataclass
class VggFcHead(KerasHead):
    """Flatten, dense `units` with ReLU, dropout p; one sigmoid for two classes, softmax for more.

    It is the top model of "Building powerful image classification models using very little data" (Keras blog, 2016).
    Its input is the whole map, not the average.
    """

    NAME: ClassVar[str] = "vgg-fc"
    SAVED_CLASSES: ClassVar[frozenset[str]] = frozenset(
        {"Sequential", "InputLayer", "Flatten", "Dense", "Dropout", "DTypePolicy", "GlorotUniform", "Zeros"}
    )

    rate: float = 1e-4
    p: float = 0.5
    units: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.p < 1 or self.units < 1:
            raise ValueError("expected 0 <= p < 1, and units of at least 1")

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
