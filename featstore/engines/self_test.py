"""The self-test of a network that a user brings: its output for an image has to depend on that image alone.

A row is stored for good. But a saved network may look at the other images of its batch, keep a state from call to call,
or draw random numbers, and then a row would depend on which images came together, and when. Keras' own bases do none of
this, so they are not tested in each process. Dropout and BatchNormalization do neither, as networks run with
training=False, which counts also where they were called with training=True.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.bases.source import BATCH
from featstore.engines.network import Network, Outputs
from featstore.errors import BaseUnavailable

# Relative to the largest row, in L2. The place in a batch changes the last bits at most: nothing at all on CPUs with
# AVX-512, 5e-6 where other threads or oneDNN share the work differently. Numbers that are dropped at random make 1e-2.
TOLERANCE = 1e-4

_MIXES = "other images of its batch change it; save the network without the layer that looks across the batch"
_CHANGES = "it changes from call to call; save the network without the layer that keeps a state or draws numbers"


class SelfTested:
    """A network whose first call is repeated for one image, in other company and in another place as well.

    This costs two batches once, as networks are held by the process. `name` is for the messages. `tested` is the
    network itself.
    """

    def __init__(self, network: Network, name: str) -> None:
        self.tested, self._name = network, name
        self._passed = False

    @property
    def engine(self) -> str:
        return self.tested.engine

    @property
    def batch(self) -> int:
        return self.tested.batch

    @property
    def calls(self) -> int:
        return self.tested.calls

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """Return the features of `images`, as the network does.

        Raises BaseUnavailable if those of the first image depend on anything else.
        """
        outputs = self.tested(images)
        if not self._passed:
            self._test(images, outputs)
            self._passed = True
        return outputs

    def _test(self, images: NDArray[Any], outputs: Outputs) -> None:
        """Compute the row of the first image once more, in its place and in the last one, and that of a grey image.

        The grey one comes among copies of itself, and then with many black ones, a white one and noise: whatever is
        taken over a batch, such as its mean, its median or an extreme, is another one then. The first image may be the
        extreme itself.
        """
        random = np.random.default_rng(0)
        shape = BATCH, *images.shape[1:]
        grey = np.broadcast_to(random.integers(64, 192, shape[1:]).astype(images.dtype), shape)
        company = np.zeros(shape, images.dtype)
        company[2], company[3] = 255, random.integers(0, 256, shape[1:])
        company[1] = company[-2] = grey[0]
        company[0] = company[-1] = images[0]
        alone, again = self.tested(grey), self.tested(company)
        for number, (mine, of_grey, of_company) in enumerate(zip(outputs, alone, again, strict=True)):
            largest = max(_length(row) for row in (*mine, *of_grey, *of_company))
            pairs = (
                (mine[0], of_company[0]),
                (mine[0], of_company[-1]),
                (of_grey[0], of_company[1]),
                (of_grey[-1], of_company[-2]),
            )
            difference = max(_difference(row, other, largest) for row, other in pairs)
            if difference > TOLERANCE:
                repeats = _difference(of_company[0], self.tested(company)[number][0], largest) <= TOLERANCE
                raise BaseUnavailable(
                    f"{self._name}: expected the same output for the same image, found a difference of "
                    f"{difference:.1e}: {_MIXES if repeats else _CHANGES}"
                )


def _difference(row: NDArray[np.float32], other: NDArray[np.float32], largest: float) -> float:
    """Return the length of the difference relative to `largest`; infinity if other numbers are NaN or infinite."""
    if not np.array_equal(np.isfinite(row), np.isfinite(other)):
        return math.inf
    with np.errstate(invalid="ignore"):
        return _length(row - other) / (largest or 1.0)


def _length(row: NDArray[np.float32]) -> float:
    """Return the L2 norm of the finite numbers."""
    return float(np.linalg.norm(np.nan_to_num(row.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)))
