"""Head `bn-dropout`: dense layers with BatchNormalization and dropout, after fast.ai's `get_bn_layers(p)`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.keras_head import NORMALIZED, SCALED, KerasHead
from featstore.heads.keras_layers import batch_norm, flat_layers, output_layer
from featstore.heads.keras_parameters import BnDropoutParameters
from featstore.heads.rows import RowsLike


@dataclass
class BnDropoutHead(BnDropoutParameters, KerasHead):
    """Max-pooling of a map, flatten, scaling, twice (dropout p/2, dense + BN), dropout p, and a sigmoid or softmax.

    The scaling is ours. Features after a ReLU lie one or two deviations above 0, so that dropout, which puts them to 0,
    is noise that is larger than what tells the classes apart. Few rows cannot average it out.
    """

    NAME: ClassVar[str] = "bn-dropout"
    SAVED_CLASSES: ClassVar[frozenset[str]] = NORMALIZED | SCALED | {"MaxPooling2D"}

    def build(self, rows: RowsLike, classes: int) -> Any:
        from keras import Input, Sequential, layers

        shape = rows.shape[1:]
        is_pooled = len(shape) == 3 and min(shape[:2]) > 1
        return Sequential(
            [
                Input(shape),
                *([layers.MaxPooling2D()] if is_pooled else []),
                *flat_layers(rows, self.scaling, _pooled if is_pooled else None),
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


def _pooled(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what MaxPooling2D makes of maps (n, height, width, channels); an odd last line is left out."""
    height, width = (length // 2 * 2 for length in maps.shape[1:3])
    return reduce(np.maximum, (maps[:, row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)))
