"""How fast a network is on each engine of this machine, and how far its values are from TensorFlow's in float32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from featstore.bases.source import BaseSource
from featstore.engines.memory import Memory
from featstore.engines.network import Network
from featstore.engines.openvino_loader import graphics_card
from featstore.engines.precision import openvino_computes, tensorflow_computes
from featstore.engines.sparing import Sparing
from featstore.errors import BaseUnavailable
from featstore.spec import FeatureSpec, Precision
from featstore.system.files import FileStat
from featstore.system.tensorflow_loader import load_tensorflow


@dataclass(frozen=True)
class Speed:
    """What an engine was measured to do.

    Attributes:
        engine: Its name, with the version if it is not TensorFlow, and `gpu` if it ran there.
        precision: Of the factors of products.
        batch: Images in a call.
        rate: Images per second, from memory, on all cores.
        difference: Relative, of the row that differs most from TensorFlow in float32.
    """

    engine: str
    precision: Precision
    batch: int
    rate: float
    difference: float


def measure_engines(
    source: BaseSource, spec: FeatureSpec, state: FileStat | None, precisions: Sequence[Precision]
) -> Iterator[Speed]:
    """Yield the speed of each engine in each precision that it has here; nothing is remembered.

    Raises BaseUnavailable if the base cannot be loaded. A network that OpenVINO cannot convert is measured on
    TensorFlow alone.
    """
    load_tensorflow()
    from featstore.engines.openvino import OpenVINONetwork
    from featstore.engines.trial import BATCHES, Trial, largest_difference, measure_rate, trial_pixels

    pixels = trial_pixels(spec.reading.height, spec.reading.width)
    trials = {
        precision: Trial(source, [replace(spec, precision=precision)], state, Memory(None, source, [spec]))
        for precision in ("float32", *precisions)
    }
    expected = trials["float32"].on_tensorflow()(pixels)

    def speed(network: Network, precision: Precision, place: str = "") -> Speed:
        difference = largest_difference(network(pixels), expected)
        return Speed(network.engine + place, precision, network.batch, measure_rate(network, pixels), difference)

    for precision in precisions:
        if tensorflow_computes(precision):
            yield speed(trials[precision].on_tensorflow(), precision)
    with_openvino = [precision for precision in precisions if openvino_computes(precision)]
    try:
        model = trials["float32"].model() if with_openvino else None
    except BaseUnavailable:
        return
    for precision in with_openvino:
        for device in filter(None, ("CPU", graphics_card())):
            for batch in sorted(BATCHES[device.split(".")[0]]):
                place = "" if device == "CPU" else " gpu"
                network = Sparing(partial(OpenVINONetwork, model, precision, device=device), batch)
                yield speed(network, precision, place)


def precisions_here() -> list[Precision]:
    """Return the precisions that an engine has on this machine, float32 first."""
    every: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
    return [precision for precision in every if openvino_computes(precision) or tensorflow_computes(precision)]
