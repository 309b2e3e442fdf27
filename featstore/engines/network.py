"""A network: a base, cut at one or several layers, as a function that an engine computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Outputs = tuple["NDArray[np.float32]", ...]


class Network(Protocol):
    """A function from RGB images (n, height, width, 3) in 0..255 to one array (n, ...) float32 for each output.

    A row does not depend on the other images, nor on their number. Up to `calls` threads may call it at once.

    Attributes:
        engine: What computes it, as shards and runs record it: `tensorflow`, or another with its version.
        batch: Number of images in a call that is as fast as any; other numbers work as well.
        calls: Number of calls at once that keep all cores busy.
    """

    @property
    def engine(self) -> str: ...

    @property
    def batch(self) -> int: ...

    @property
    def calls(self) -> int: ...

    def __call__(self, images: NDArray[Any]) -> Outputs: ...
