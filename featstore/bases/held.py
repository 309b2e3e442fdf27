"""The bases that a process holds in memory, so that its next call does not build them again.

Small bases stay. A large one is dropped before another base is built, so that a grid of large bases holds one at a
time (`benchmarks/run.py memory` has the figures).
"""

from __future__ import annotations

import gc
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from featstore.system.private_copy import FileDigest

MOST_BASES = 4
MOST_BYTES = 128 * 2**20  # of weights in the bases that stay while another is built
MOST_NETWORKS = 4  # of each base: tracing one takes seconds, and a grid uses the same few repeatedly


@dataclass
class HeldBase:
    """A Keras model with the functions compiled from it, which are dropped with it.

    digest: of the weights that were loaded, as in a spec. file: their file; None without one, and if Keras may have
    read another one.
    """

    model: Any
    digest: str
    file: FileDigest | None = None
    networks: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict)

    @property
    def weight_bytes(self) -> int:
        """Size of the weights in bytes, counted as float32."""
        return sum(math.prod(weight.shape) * 4 for weight in self.model.weights)


_held: OrderedDict[Hashable, HeldBase] = OrderedDict()  # least recently used first
_lock = threading.RLock()


def hold_base(identity: Hashable, build: Callable[[], HeldBase]) -> HeldBase:
    """Return the base of this `identity`; `build` makes it unless it is held already."""
    with _lock:
        if identity not in _held:
            _make_room()
            _held[identity] = build()
        _held.move_to_end(identity)
        return _held[identity]


def hold_network(base: HeldBase, identity: Hashable, compile_network: Callable[[], Any]) -> Any:
    """Return the function of this `identity`; `compile_network` compiles it from `base` unless it is held already."""
    with _lock:
        if identity not in base.networks:
            base.networks[identity] = compile_network()
            if len(base.networks) > MOST_NETWORKS:
                base.networks.popitem(last=False)
        base.networks.move_to_end(identity)
        return base.networks[identity]


def release_base(identity: Hashable) -> None:
    """Drop the base of this `identity`, if it is held."""
    with _lock:
        _held.pop(identity, None)


def release_bases() -> None:
    """Drop all bases and their functions."""
    with _lock:
        _held.clear()
        gc.collect()


def _make_room() -> None:
    """Drop the least recently used bases until there is room to build another."""
    before = len(_held)
    while len(_held) >= MOST_BASES or sum(base.weight_bytes for base in _held.values()) > MOST_BYTES:
        _held.popitem(last=False)
    if len(_held) < before:
        # Models refer to themselves, so only a collection frees them, in about a second. It suffices:
        # `keras.backend.clear_session` frees no more, and resets what a program has set, such as its dtype policy.
        gc.collect()
