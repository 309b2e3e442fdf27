"""Loading the network of a pass with the engine that was asked for."""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featstore.bases.source import BATCH, BaseSource
from featstore.engines.choice import Engine
from featstore.engines.memory import Memory
from featstore.engines.network import Network
from featstore.engines.openvino_loader import graphics_card, is_installed
from featstore.engines.precision import openvino_computes, refusal, tensorflow_computes, tensorflow_has_gpu_for
from featstore.engines.sparing import Sparing
from featstore.errors import BaseUnavailable, param
from featstore.spec import FeatureSpec, Precision
from featstore.system.files import FileStat
from featstore.system.fork_lock import ForkLock
from featstore.system.tensorflow_loader import load_tensorflow

if TYPE_CHECKING:
    from featstore.engines.trial import Trial

FEWEST = 1000  # images for which engines are tried: for fewer, measuring TensorFlow takes a tenth of the time
MOST_HELD = 2  # networks of OpenVINO that stay in memory for the next call

_held: OrderedDict[tuple[str, str, int], Network] = OrderedDict()
_lock = ForkLock()
_process: int | None = None  # that has loaded a network: this one or its parent


def load_network(
    source: BaseSource,
    specs: Sequence[FeatureSpec],
    state: FileStat | None,
    *,
    engine: Engine = "auto",
    folder: Path | None = None,
    images: int = 0,
    tell: Callable[[str], None] = lambda text: None,
) -> Network:
    """Return the base of `source` as a function with an output for each of `specs`.

    specs: differ in layer, pooling and storage only, and pool inside the base alike. state: of the weights file.
    folder: the cache, where what was learned about engines is kept; None to keep nothing. images: how many will be
    computed, so that no more time goes into a choice than it can save. tell: is given a line before what takes seconds.

    Raises:
        BaseUnavailable: The weights of `source` are missing or are not those of the specs, or no engine here computes
            as precisely as they say; or this process was forked from one that has loaded a network.
    """
    _check_process()
    precision = specs[0].precision
    if engine == "openvino" and not is_installed():
        raise BaseUnavailable(
            f"{param('engine', 'openvino')}: OpenVINO is not installed: pip install 'featstore-keras[openvino]'"
        )
    is_better_on_gpu = engine == "auto" and tensorflow_has_gpu_for(precision)
    if engine != "tensorflow" and openvino_computes(precision) and not is_better_on_gpu:
        memory = Memory(folder, source, specs)
        network = _load_openvino_network(source, specs, state, engine, memory, images, tell)
        if network is not None:
            return _loaded_here(network)
    if engine == "openvino" or not tensorflow_computes(precision):
        raise BaseUnavailable(refusal(precision, engine))
    load_tensorflow()
    from featstore.engines.tensorflow import load_tensorflow_network

    return _loaded_here(Sparing(lambda batch: load_tensorflow_network(source, specs, state, batch), BATCH))


def _check_process() -> None:
    """Raise BaseUnavailable in a forked process: it would wait forever for threads that only its parent has."""
    if _process not in (None, os.getpid()):
        raise BaseUnavailable(
            "this process was forked from one that has loaded a base, and an engine cannot compute in both: start it "
            "with multiprocessing.get_context('spawn'), or extract before it starts"
        )


def _loaded_here(network: Network) -> Network:
    global _process
    _process = os.getpid()
    return network


def _load_openvino_network(
    source: BaseSource,
    specs: Sequence[FeatureSpec],
    state: FileStat | None,
    engine: Engine,
    memory: Memory,
    images: int,
    tell: Callable[[str], None],
) -> Network | None:
    """Return the network on OpenVINO if that was asked for, is the fastest, or has lower precision; else None.

    Where the choice and the converted network are in `memory`, TensorFlow does not load.
    """
    precision = specs[0].precision
    asked = engine == "openvino" or precision != "float32"
    choice = memory.choice()
    if choice is not None and choice.device not in ("", "CPU") and choice.device != graphics_card():
        choice = None  # the card is gone
    if choice is None or (engine == "openvino" and choice.batch is None):
        if not asked and (images < FEWEST or not memory.keeps):
            return None
        choice = _trial(source, specs, state, memory, tell).choose(math.inf if asked else images)
    if choice is None or not (asked or choice.engine == "openvino"):
        return None
    if choice.batch is None and engine == "auto":
        return None
    if choice.batch is None:
        raise BaseUnavailable(f"{param('engine', 'openvino')}: {choice.reason}")
    name = memory.choice_name, choice.device, choice.batch
    with _lock:
        if name not in _held:
            model = memory.model()
            if model is None:
                model = _trial(source, specs, state, memory, tell).model()
            _held[name] = Sparing(partial(_compile, model, precision, device=choice.device), choice.batch)
            while len(_held) > MOST_HELD:
                _held.popitem(last=False)
        _held.move_to_end(name)
        return _held[name]


def _trial(
    source: BaseSource,
    specs: Sequence[FeatureSpec],
    state: FileStat | None,
    memory: Memory,
    tell: Callable[[str], None],
) -> Trial:
    load_tensorflow()
    from featstore.engines.trial import Trial

    return Trial(source, specs, state, memory, tell)


def _compile(model: Any, precision: Precision, batch: int, device: str) -> Network:
    from featstore.engines.openvino import OpenVINONetwork

    return OpenVINONetwork(model, precision, batch, device)
