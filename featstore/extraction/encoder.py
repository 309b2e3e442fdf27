"""The encoder: the base as a function of images, which is loaded when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.bases.source import BATCH, BaseSource
from featstore.engines.choice import Engine
from featstore.engines.load import load_network
from featstore.engines.network import Network, Outputs
from featstore.extraction.resolve import weights_state
from featstore.images.preprocessing import Preprocessing
from featstore.spec import FeatureSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Pixels:
    """No network: the features are the prepared pixels. See `engines.network.Network`."""

    engine = "none"
    batch = BATCH
    calls = 1

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing

    def __call__(self, images: NDArray[Any]) -> Outputs:
        return (self._preprocessing.apply(images),)


def load_encoder(
    source: BaseSource,
    specs: Sequence[FeatureSpec],
    images: int = 0,
    *,
    engine: Engine = "auto",
    folder: Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Network:
    """Return the base as a function with an output for each of `specs`; without a network nothing loads.

    Arguments and errors are those of `engines.load.load_network`. Raises BaseUnavailable also if the weights file has
    changed.
    """
    spec = specs[0]
    if source.is_pixels:
        return Pixels(spec.preprocessing)
    state = weights_state(source, spec.reading.height, spec.reading.width)  # fails at once if they are gone
    return load_network(source, specs, state, engine=engine, folder=folder, images=images, tell=tell)


def make_encoder(
    source: BaseSource, spec: FeatureSpec, *, engine: Engine = "auto", folder: Path | None = None
) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return a function from RGB images (n, height, width, 3) to features (n, ...) float32.

    The network loads with its first call, as `load_encoder` says.
    """
    networks: list[Network] = []

    def encode(images: NDArray[Any]) -> NDArray[np.float32]:
        if not networks:
            networks.append(load_encoder(source, [spec], engine=engine, folder=folder))
        return networks[0](images)[0]

    return encode


def check_layer(source: BaseSource, spec: FeatureSpec) -> None:
    """Raise UsageError if the base has no such layer, or none that can be pooled so; this builds the base."""
    load_encoder(source, [replace(spec, precision="float32")], engine="tensorflow")
