"""Out of memory: the batch is halved, and no image is lost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from featstore.engines.network import Outputs
from featstore.engines.sparing import Sparing
from featstore.errors import BaseUnavailable


class ResourceExhaustedError(Exception):
    """As TensorFlow names its own."""


ERRORS = (
    MemoryError(),
    ResourceExhaustedError("OOM when allocating tensor"),
    RuntimeError("Exception from src/inference: std::bad_alloc"),
    RuntimeError("[GPU] CL_OUT_OF_RESOURCES"),
)


class Fake:
    """A network whose memory suffices for `most` images."""

    engine, calls = "fake", 2

    def __init__(self, batch: int, most: int, error: Exception) -> None:
        self.batch, self._most, self._error = batch, most, error

    def __call__(self, images: np.ndarray) -> Outputs:
        if self.batch > self._most:
            raise self._error
        return (images.mean(axis=(1, 2)),)


IMAGES = np.random.default_rng(0).integers(0, 256, (37, 4, 6, 3), np.uint8)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("most", [1, 5, 64])
def test_the_call_goes_on_with_half_the_batch(error: Exception, most: int) -> None:
    """As often as it has to be halved; the smaller one stays."""
    network = Sparing(lambda batch: Fake(batch, most, error), 32)
    for _ in range(2):
        assert np.array_equal(network(IMAGES)[0], IMAGES.mean(axis=(1, 2)))
        assert network.batch == {1: 1, 5: 4, 64: 32}[most]
    assert (network.engine, network.calls) == ("fake", 2)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_one_image_is_the_end(error: Exception) -> None:
    """In one line that says what to do."""
    with pytest.raises(BaseUnavailable, match=r"for a batch of one image of 4x6 px: give a smaller"):
        Sparing(lambda batch: Fake(batch, 0, error), 32)(IMAGES)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory"), KeyboardInterrupt()])
def test_other_errors_are_raised(error: Exception) -> None:
    """They would come again."""
    made: list[int] = []
    with pytest.raises(type(error)):
        Sparing(lambda batch: (made.append(batch), Fake(batch, 0, error))[1], 32)(IMAGES)
    assert made == [32]


def test_calls_at_once_halve_it_together() -> None:
    """Each thread meets the same lack of memory, and the batch is halved once for all."""
    made: list[int] = []
    barrier = threading.Barrier(4)

    class Slow(Fake):
        def __call__(self, images: np.ndarray) -> Outputs:
            if self.batch == 32:
                barrier.wait(10)
            return super().__call__(images)

    network = Sparing(lambda batch: (made.append(batch), Slow(batch, 16, MemoryError()))[1], 32)
    with ThreadPoolExecutor(4) as threads:
        for (rows,) in threads.map(network, [IMAGES] * 4):
            assert np.array_equal(rows, IMAGES.mean(axis=(1, 2)))
    assert made == [32, 16]
