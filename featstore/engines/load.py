"""Loading the network of a pass with the engine that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from featstore.bases.source import BaseSource
from featstore.engines.choice import Engine
from featstore.engines.network import Network
from featstore.errors import BaseUnavailable, param
from featstore.spec import FeatureSpec
from featstore.system.files import FileStat
from featstore.system.tensorflow_loader import load_tensorflow


def load_network(
    source: BaseSource,
    specs: Sequence[FeatureSpec],
    state: FileStat | None,
    *,
    engine: Engine = "auto",
    folder: Path | None = None,
    images: int = 0,
) -> Network:
    """Return the base of `source` as a function with an output for each of `specs`.

    specs: differ in layer, pooling and storage only, and pool inside the base alike. state: of the weights file.
    folder: the cache, where what was learned about engines is kept; None to keep nothing. images: how many will be
    computed, so that no more time goes into a choice than it can save.

    Raises:
        BaseUnavailable: The weights of `source` are missing or are not those of the specs, or no engine here computes
            as precisely as they say.
    """
    if specs[0].precision != "float32":
        raise BaseUnavailable(f"{param('precision', specs[0].precision)}: no engine here computes it; use float32")
    load_tensorflow()
    from featstore.engines.tensorflow import load_tensorflow_network

    return load_tensorflow_network(source, specs, state)
