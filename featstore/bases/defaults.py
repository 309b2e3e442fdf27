"""Building networks: in Keras' default state, and with random numbers from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import keras

from featstore.system.fork_lock import ForkLock
from featstore.system.pinned import pinned

_lock = ForkLock()


@contextmanager
def keras_defaults(seed: int = 0) -> Iterator[None]:
    """Build networks in float32 with channels last, whatever the program has set, and from `seed` alone.

    Keras draws the seed of each initializer and of each dropout layer from Python's `random`. Its state is given back,
    so the program's own draws go on as if nothing had been built. One thread builds at a time.
    """
    with pinned(), _lock:
        policy, state = keras.config.dtype_policy(), random.getstate()
        keras.config.set_dtype_policy("float32")
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)
            keras.config.set_dtype_policy(policy)
