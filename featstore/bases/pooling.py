"""Pooling an activation over its positions: what can be pooled, and how a stored map is.

A network pools what it computes (`cut`), and the functions here pool what is stored. Both refuse the same activations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featstore.errors import UsageError, param

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.spec import Pool

MAP_DIMENSIONS = 3  # height, width, channels
COARSEST = 5e-4  # relative to the largest number of a row: storing it as float16 takes the other half of 1e-3


def check_poolable(layer: str, dimensions: int, last_map: str | None = None) -> None:
    """Raise UsageError unless the outputs of `layer` for an image, of that many dimensions, are maps.

    last_map: the last layer whose outputs are maps, if it is known. It may be meant where a network has a classifier.
    """
    if dimensions != MAP_DIMENSIONS:
        instead = f", or name a layer with maps, as in {param('layer', last_map)}" if last_map else ""
        raise UsageError(
            f"layer {layer!r}: expected maps (height, width, channels) to pool, found outputs with {dimensions} "
            f"dimension{'' if dimensions == 1 else 's'}: use {param('pool', 'none')}{instead}"
        )


def pool_map(stored: NDArray[Any], pool: Pool) -> NDArray[np.float32]:
    """Return the mean (`avg`) or the maximum (`max`) of a stored map (h, w, channels) over its positions."""
    import numpy as np

    pooled = stored.max(axis=(0, 1)) if pool == "max" else stored.mean(axis=(0, 1), dtype=np.float64)
    return np.asarray(pooled, np.float32)


def is_fine_enough(stored: NDArray[Any], pooled: NDArray[np.float32], pool: Pool) -> bool:
    """Return whether `pooled`, from a map `stored` as float16, is surely as exact as a row that is computed.

    A number in float16 is off by at most half the distance to the next one, and a mean by at most the mean of these
    halves. Without negative numbers, as after a ReLU, that is at most 1/2048 of the mean. Where positive and negative
    numbers cancel out, it may be all of it.
    """
    import numpy as np

    if stored.dtype != np.float16:
        return True
    half = np.finfo(np.float16)
    largest = float(np.abs(pooled).max())
    if pool == "max" or stored.view(np.int16).min() >= 0:  # the first bit is the sign: this is a tenth of the work
        error = largest * float(half.eps) / 2 + float(half.smallest_subnormal) / 2
    else:
        with np.errstate(over="ignore"):  # next to the largest number is infinity
            error = float(pool_map(np.spacing(np.abs(stored)), "avg").max()) / 2
    return error <= COARSEST * largest
