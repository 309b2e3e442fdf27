"""Head `linear`: one dense layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from featstore.heads.keras_head import SCALED, KerasHead
from featstore.heads.keras_layers import input_layers, output_layer
from featstore.heads.keras_parameters import LinearParameters
from featstore.heads.linear import LinearClassifier
from featstore.heads.rows import RowsLike


@dataclass
class LinearHead(LinearParameters, KerasHead):
    """Flatten, scaling, and a dense layer to a sigmoid or softmax: what `logistic` fits, trained step by step."""

    NAME: ClassVar[str] = "linear"
    SAVED_CLASSES: ClassVar[frozenset[str]] = SCALED

    def build(self, rows: RowsLike, classes: int) -> Any:
        from keras import Sequential

        return Sequential([*input_layers(rows, self.scaling), output_layer(classes, start="zeros")])

    def as_linear(self) -> LinearClassifier:
        """Return what the network computes; its penalty is not known any more."""
        from keras import layers

        *before, output = self._model.layers
        kernel, bias = (np.asarray(weights, np.float64) for weights in output.get_weights())
        mean, scale = np.zeros(len(kernel)), np.ones(len(kernel))
        for layer in before:
            if isinstance(layer, layers.Rescaling):
                scale = 1 / np.asarray(layer.scale, np.float64)
                mean = -np.asarray(layer.offset, np.float64) * scale
        return LinearClassifier(mean, scale, np.ascontiguousarray(kernel.T), bias, C=np.inf, samples=1)
