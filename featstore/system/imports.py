"""Faster imports of large packages."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause the search for cyclic garbage: the objects of an import stay, so searching them is in vain.

    This takes a fifth off the imports of TensorFlow and Keras (5.5 s to 4.6 s) and of scikit-learn (1.5 s to 1.1 s).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
