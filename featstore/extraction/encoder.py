"""The encoder: the base as a function of images, which loads the network with its first call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from featstore.bases.source import BaseSource
from featstore.extraction.resolve import weights_state
from featstore.spec import FeatureSpec
from featstore.system.tensorflow_loader import load_tensorflow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def make_encoder(source: BaseSource, spec: FeatureSpec) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return a function from RGB images (n, height, width, 3) to features (n, ...) float32.

    TensorFlow and the weights load with its first call; without a network nothing loads. Raises BaseUnavailable then if
    the weights file has changed.
    """
    if source.is_pixels:
        return spec.preprocessing.apply
    networks: list[Callable[[NDArray[Any]], NDArray[np.float32]]] = []

    def encode(images: NDArray[Any]) -> NDArray[np.float32]:
        if not networks:
            networks.append(_load(source, spec))
        return networks[0](images)

    return encode


def check_layer(source: BaseSource, spec: FeatureSpec) -> None:
    """Raise UsageError if the base has no such layer, or none that can be pooled so; this builds the base."""
    if not source.is_pixels:
        _load(source, spec)


def _load(source: BaseSource, spec: FeatureSpec) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    state = weights_state(source, spec.reading.height, spec.reading.width)  # fails at once if they are gone
    load_tensorflow()
    from featstore.bases.network import load_network

    return load_network(source, spec, state)
