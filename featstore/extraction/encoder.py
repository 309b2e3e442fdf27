"""The base as a function of images, loaded when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.bases.source import BaseSource
from featstore.errors import BaseUnavailable
from featstore.extraction.resolve import weights_state
from featstore.spec import FeatureSpec
from featstore.system.files import file_digest
from featstore.system.tensorflow_loader import load_tensorflow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def make_encoder(source: BaseSource, spec: FeatureSpec) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """The base as a function of images; TensorFlow and the weights load when it is first called, if there are any."""
    if source.is_pixels:
        return spec.preprocessing.apply
    networks: list[Callable[[NDArray[Any]], NDArray[np.float32]]] = []

    def encode(images: NDArray[Any]) -> NDArray[np.float32]:
        if not networks:
            if source.is_file and file_digest(Path(source.model)) != spec.weights:
                raise BaseUnavailable(f"{source.model}: was changed just now; run the same command again")
            load_tensorflow()
            from featstore.bases.network import load_network

            state = weights_state(source, spec.reading.height, spec.reading.width)
            networks.append(load_network(source, spec, state))
        return networks[0](images)

    return encode
