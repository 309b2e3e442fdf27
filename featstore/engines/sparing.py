"""Out of memory: the batch is halved and the call goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from featstore.engines.network import Network, Outputs
from featstore.errors import BaseUnavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORDS = (
    "out of memory",
    "bad_alloc",
    "not enough memory",
    "failed to allocate",
    "cannot allocate",
    "out_of_resources",
)


class Sparing:
    """A network that halves its batch when memory does not suffice, down to one image.

    make: returns the network for a batch of that many images.
    """

    def __init__(self, make: Callable[[int], Network], batch: int) -> None:
        self._make = make
        self._network = make(batch)
        self._lock = threading.Lock()

    @property
    def engine(self) -> str:
        return self._network.engine

    @property
    def batch(self) -> int:
        return self._network.batch

    @property
    def calls(self) -> int:
        return self._network.calls

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """Return what the network returns; raises BaseUnavailable if there is no memory for a single image."""
        while True:
            network = self._network
            try:
                return network(images)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._spare(network, images.shape[1:3], error)

    def _spare(self, network: Network, size: tuple[int, ...], error: Exception) -> None:
        """Halve the batch, unless another thread has done so since `network` was called."""
        with self._lock:
            if network is not self._network:
                return
            if network.batch == 1:
                height, width = size
                raise BaseUnavailable(
                    f"the memory does not suffice for a batch of one image of {height}x{width} px: give a smaller "
                    "size, or end other programs"
                ) from error
            self._network = self._make(network.batch // 2)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether `error` says that memory could not be had: each library has an error of its own for that."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)
