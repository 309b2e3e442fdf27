"""Head `scratch-cnn`: a small convolutional network trained on the pixels, the baseline for transfer learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from featstore.errors import UsageError, param
from featstore.heads.keras_head import DENSE, KerasHead
from featstore.heads.keras_layers import output_layer
from featstore.heads.keras_parameters import ScratchCnnParameters
from featstore.heads.rows import RowsLike

MIN_SIDE = 16  # px: three halvings leave a map of 2x2


@dataclass
class ScratchCnnHead(ScratchCnnParameters, KerasHead):
    """The small network of "Building powerful image classification models using very little data" (Keras blog, 2016).

    It has convolutions of 3x3 with 32, 32 and 64 filters, max-pooling after each, dense 64, dropout p, and a sigmoid
    or softmax. Its rows are prepared pixels (n, h, w, 3). It has no BatchNormalization, which would hide the scaling of
    the pixels: this head shows the effect of that scaling.
    """

    NAME: ClassVar[str] = "scratch-cnn"
    SAVED_CLASSES: ClassVar[frozenset[str]] = DENSE | {"Conv2D", "MaxPooling2D"}

    def build(self, rows: RowsLike, classes: int) -> Any:
        shape = rows.shape[1:]
        if len(shape) != 3 or shape[2] != 3 or min(shape[:2]) < MIN_SIDE:
            raise UsageError(
                f"head scratch-cnn: expected pixels, at least {MIN_SIDE}x{MIN_SIDE}, found rows of "
                f"{'x'.join(map(str, shape))}; use {param('model', 'pixels')}"
            )
        from keras import Input, Sequential, layers

        body: list[Any] = []
        for filters in (32, 32, 64):
            body += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
        return Sequential(
            [
                Input(shape),
                *body,
                layers.Flatten(),
                layers.Dense(64, activation="relu"),
                layers.Dropout(self.p),
                output_layer(classes),
            ]
        )
