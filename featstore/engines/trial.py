"""The trial: which engine is the fastest here that gives the same values, and with which batch.

OpenVINO may only stand in for TensorFlow if it computes the same. So the first thing that is measured is the
difference, row by row, and a user's network is tested on TensorFlow before (`self_test`).

In lower precision two engines differ from each other as much as each does from float32. So there speed does not choose:
OpenVINO computes it wherever it is installed, and the rows of a key come from one engine. It is the more exact one too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.bases.source import BATCH, BaseSource
from featstore.engines.conversion import convert, summary
from featstore.engines.memory import Choice, Memory
from featstore.engines.network import Network, Outputs
from featstore.engines.openvino import OpenVINONetwork
from featstore.engines.openvino_loader import graphics_card
from featstore.engines.precision import TOLERANCES
from featstore.engines.self_test import SelfTested
from featstore.engines.sparing import Sparing, is_out_of_memory
from featstore.engines.tensorflow import TensorFlowNetwork, load_tensorflow_network
from featstore.errors import BaseUnavailable
from featstore.spec import FeatureSpec
from featstore.system.files import FileStat

BATCHES = {"CPU": (4, 1, 8), "GPU": (32, 8, 64)}  # of OpenVINO; the first one is the best most often
SECONDS = 0.7  # for which an engine is measured
COSTS = 4.0  # seconds: half of what conversion, compiling and measuring take, since the choice serves later runs too
SAVES = 0.3  # share of TensorFlow's time that another engine may save
CLEARLY = 1.05  # by how much another engine has to be faster than TensorFlow


@dataclass(frozen=True)
class Trial:
    """The networks of one subject on both engines. `tell` is given a line before what takes seconds."""

    source: BaseSource
    specs: Sequence[FeatureSpec]
    state: FileStat | None
    memory: Memory
    tell: Callable[[str], None] = lambda text: None

    def model(self) -> Any:
        """Return the converted network, which is kept from now on; raises BaseUnavailable if it cannot be converted."""
        reading = self.specs[0].reading
        size = f"{reading.height}x{reading.width} px"
        self.tell(f"trying OpenVINO for {self.source.model} at {size}: this takes some seconds, once")
        network = load_tensorflow_network(self.source, self._exact_specs, self.state)
        tested = network.tested if isinstance(network, SelfTested) else network
        assert isinstance(tested, TensorFlowNetwork)
        model = convert(tested, reading.height, reading.width)
        self.memory.keep(model)
        return model

    def on_tensorflow(self, *, exactly: bool = False) -> Network:
        """Return the network on TensorFlow, if `exactly` in float32."""
        specs = self._exact_specs if exactly else self.specs
        return Sparing(lambda batch: load_tensorflow_network(self.source, specs, self.state, batch), BATCH)

    @property
    def _exact_specs(self) -> list[FeatureSpec]:
        return [replace(spec, precision="float32") for spec in self.specs]

    def choose(self, images: float) -> Choice | None:
        """Measure the engines, remember the best and return it; None if `images` to compute are not worth it.

        In lower precision nothing is measured: OpenVINO is the choice if it can be used.
        """
        spec = self.specs[0]
        pixels = trial_pixels(spec.reading.height, spec.reading.width)
        if spec.reading.name == "keras-compat":
            pixels = pixels.astype(np.float32)
        rates = {}
        expected = self.on_tensorflow(exactly=True)(pixels)
        if spec.precision == "float32":
            rates["tensorflow"] = measure_rate(self.on_tensorflow(), pixels)
            if images / rates["tensorflow"] * SAVES < COSTS:
                return None
        try:
            choice = self._try_openvino(pixels, expected, rates)
        except (BaseUnavailable, ImportError, OSError, RuntimeError, MemoryError) as error:
            reason = str(error) if isinstance(error, BaseUnavailable) else f"OpenVINO: {summary(error)}"
            choice = Choice("tensorflow", None, "", None, rates, reason)
            if _may_pass(error):
                return choice
        self.memory.remember(choice)
        return choice

    def _try_openvino(self, pixels: NDArray[Any], expected: Outputs, rates: dict[str, float]) -> Choice:
        """Compare OpenVINO with what is `expected`, and its speed with the `rates` of TensorFlow, if there are any."""
        to_beat = CLEARLY * rates.get("tensorflow", 0.0)
        found = list(self._measure_openvino(pixels, expected, to_beat))
        best = max(found, key=lambda one: one.rate)
        if "tensorflow" in rates and best.rate > to_beat:  # other programs may have slowed it down the first time
            rates["tensorflow"] = max(rates["tensorflow"], measure_rate(self.on_tensorflow(), pixels))
            to_beat = CLEARLY * rates["tensorflow"]
        engine = "openvino" if best.rate > to_beat else "tensorflow"
        return Choice(engine, best.batch, best.device, best.difference, {**rates, "openvino": best.rate})

    def _measure_openvino(self, pixels: NDArray[Any], expected: Outputs, to_beat: float) -> Iterator[_Measured]:
        """Yield what is measured on each device, batch by batch until a larger one is slower or all are clearly slower.

        Raises BaseUnavailable if the network cannot be converted, or differs from what is `expected`.
        """
        precision = self.specs[0].precision
        model = self.model()
        for device in filter(None, ("CPU", graphics_card())):
            fastest = 0.0
            batches = BATCHES[device.split(".")[0]]
            for batch in batches if to_beat else batches[:1]:
                network = Sparing(partial(OpenVINONetwork, model, precision, device=device), batch)
                difference = largest_difference(network(pixels), expected)
                if not difference <= TOLERANCES[precision]:
                    raise BaseUnavailable(
                        f"OpenVINO differs from TensorFlow by {difference:.0e} here, where {TOLERANCES[precision]:.0e} "
                        "is allowed"
                    )
                rate = measure_rate(network, pixels)
                yield _Measured(device, network.batch, difference, rate)
                if rate < 0.9 * fastest or rate < 0.7 * to_beat:
                    break
                fastest = max(rate, fastest)


def _may_pass(error: Exception) -> bool:
    """Return whether the next trial may do without this error: memory or the disk did not suffice."""
    cause = error.__cause__ or error
    return isinstance(cause, OSError) or (isinstance(cause, Exception) and is_out_of_memory(cause))


class _Measured(NamedTuple):
    device: str
    batch: int
    difference: float
    rate: float


def measure_rate(network: Network, pixels: NDArray[Any], seconds: float = SECONDS) -> float:
    """Return the images per second of `network` in as many calls at once as an extraction makes, after a first one."""
    images = np.resize(pixels, (network.batch, *pixels.shape[1:]))
    network(images)
    batches = [images] * 2 * network.calls
    with ThreadPoolExecutor(network.calls) as threads:
        done, start = 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds:
            list(threads.map(network, batches))
            done += len(images) * len(batches)
    return done / passed


def largest_difference(found: Outputs, expected: Outputs) -> float:
    """Return the largest relative L2 difference of a row; infinity where the numbers are not finite."""
    largest = 0.0
    for mine, theirs in zip(found, expected, strict=True):
        flat, exact = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (mine, theirs))
        if not (np.isfinite(flat).all() and np.isfinite(exact).all()):
            return float("inf")
        lengths = np.linalg.norm(exact, axis=1)
        largest = max(largest, float((np.linalg.norm(flat - exact, axis=1) / np.maximum(lengths, 1e-30)).max()))
    return largest


def trial_pixels(height: int, width: int, images: int = BATCH) -> NDArray[np.uint8]:
    """Return images, half of them smooth as photos are and half of them noise."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (images, height, width, 3), np.uint8)
    side = 8
    rows, columns = np.arange(height) * side // height, np.arange(width) * side // width
    coarse = random.integers(0, 256, (images // 2, side, side, 3))
    noise[::2] = (coarse[:, rows][:, :, columns] * 7 + noise[::2]) // 8
    return noise
