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

MOST_BASES = 4
MOST_BYTES = 128 * 2**20  # of their weights, while another base is built
MOST_NETWORKS = 4  # of each base: tracing one takes seconds, and a grid asks for the same few again and again


@dataclass
class HeldBase:
    """A Keras model, and the functions that were compiled from it: they are dropped with it."""

    model: Any
    networks: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict)

    @property
    def weight_bytes(self) -> int:
        return sum(math.prod(weight.shape) * 4 for weight in self.model.weights)


_held: OrderedDict[Hashable, HeldBase] = OrderedDict()  # the one that was used last stands last
_lock = threading.RLock()


def hold_base(identity: Hashable, build: Callable[[], Any]) -> HeldBase:
    """Return the base of this `identity`, built by `build` unless it is held."""
    with _lock:
        if identity not in _held:
            _make_room()
            _held[identity] = HeldBase(build())
        _held.move_to_end(identity)
        return _held[identity]


def hold_network(base: HeldBase, identity: Hashable, compile_network: Callable[[], Any]) -> Any:
    """Return the function of this `identity` that is compiled from `base`, by `compile_network` unless it is held."""
    with _lock:
        if identity not in base.networks:
            base.networks[identity] = compile_network()
            if len(base.networks) > MOST_NETWORKS:
                base.networks.popitem(last=False)
        base.networks.move_to_end(identity)
        return base.networks[identity]


def release_bases() -> None:
    """Drop all bases that are held."""
    with _lock:
        _held.clear()
        gc.collect()


def _make_room() -> None:
    """Drop the bases that were not used for longest, until another one may be built beside the rest."""
    dropped = False
    while len(_held) >= MOST_BASES or sum(base.weight_bytes for base in _held.values()) > MOST_BYTES:
        _held.popitem(last=False)
        dropped = True
    if dropped:
        # Models refer to themselves, so they stay until they are collected. It takes about a second, and is all that
        # is needed: `keras.backend.clear_session` frees no more, and resets what a program has set, such as its policy.
        gc.collect()
