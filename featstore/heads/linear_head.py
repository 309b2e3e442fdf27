"""Head `linear`: one dense layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.keras_head import SCALED, KerasHead
from featstore.heads.keras_layers import input_layers, output_layer
from featstore.heads.keras_parameters import LinearParameters


@dataclass
class LinearHead(LinearParameters, KerasHead):
    """Flatten, scaling, and a dense layer to a sigmoid or softmax: what `logistic` fits, trained step by step."""

    NAME: ClassVar[str] = "linear"
    SAVED_CLASSES: ClassVar[frozenset[str]] = SCALED

    def build(self, rows: NDArray[np.float32], classes: int) -> Any:
        from keras import Sequential

        return Sequential([*input_layers(rows, self.scaling), output_layer(classes, start="zeros")])
