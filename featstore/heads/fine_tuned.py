"""The classifier of a fine-tuned run: the trained top of a base with its head, from the activation at the cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.bases.keras_file import refuse_code
from featstore.errors import BaseUnavailable, RunError
from featstore.heads.logits import probabilities_of
from featstore.heads.saving import compile_logits, read_network, save_network

FILE = "trained.keras"
PREDICT_BATCH = 64  # activations are large; always the same, since another size rounds differently


class FineTunedNetwork:
    """A `Classifier` whose features are the activations at the cut; `classes` is the number of classes."""

    def __init__(self, classes: int, network: Any = None) -> None:
        self._classes = classes
        self._network: Any = None
        if network is not None:
            self._set_network(network)

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return probabilities (n, classes) for activations X (n, ...) float16 or float32."""
        starts = range(0, len(X), PREDICT_BATCH)
        parts = [np.asarray(self._forward(X[i : i + PREDICT_BATCH].astype(np.float32, copy=False))) for i in starts]
        return probabilities_of(np.concatenate(parts))

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of the activations of an image at the cut."""
        return tuple(self._network.input_shape[1:])

    def network(self, shape: tuple[int, ...]) -> Any:
        """Return the Keras model itself; `shape` is not used."""
        return self._network

    def save(self, folder: Path) -> str:
        """Write the network into `folder`; return the name of the file."""
        save_network(self._network, folder / FILE)
        return FILE

    def load(self, file: Path) -> None:
        """Load a file with Keras' own layers only, in safe mode; raises RunError for any other.

        Like a `.keras` base it must come from people you trust.
        """
        try:
            refuse_code(file)
        except BaseUnavailable as error:
            raise RunError(f"{error}; do not trust it") from error
        self._set_network(read_network(file))

    def _set_network(self, network: Any) -> None:
        shape = tuple(network.output_shape)
        if shape != (None, self._classes) and (shape, self._classes) != ((None, 1), 2):
            raise RunError(f"the network has outputs {shape[1:]}, not the probabilities of {self._classes} classes")
        self._network, self._forward = network, compile_logits(network)
