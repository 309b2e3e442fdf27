"""From TensorFlow to OpenVINO: the graph of a network, with its weights in it."""

from __future__ import annotations

from typing import Any

from featstore.engines.openvino_loader import load_openvino, unreported
from featstore.engines.tensorflow import TensorFlowNetwork
from featstore.errors import BaseUnavailable
from featstore.system.pinned import pinned


@pinned()
def convert(network: TensorFlowNetwork, height: int, width: int) -> Any:
    """Return the model of OpenVINO that maps float32 pixels (n, height, width, 3) to what `network` returns.

    Raises BaseUnavailable if OpenVINO does not know how to compute something in it.
    """
    graph = network.graph(height, width)
    ov = load_openvino()
    try:
        with unreported():
            model = ov.convert_model(graph)
        return _only(ov, model, [output.name for output in graph.outputs])
    except Exception as error:
        raise BaseUnavailable(f"OpenVINO cannot convert this network ({summary(error)})") from error


def _only(ov: Any, model: Any, names: list[str]) -> Any:
    """Return `model` with the outputs of these names, in this order.

    The gradients that EfficientNet defines for itself appear as further outputs, and computing them takes as long again
    as the features. Outputs that are the same, such as a map that is stored in two ways, have one result with two
    names; a model with one result twice would end the process.
    """
    by_name = {name: output for output in model.outputs for name in output.get_names()}
    results = [ov.opset8.result(by_name[name].get_node().input_value(0)) for name in names]
    return ov.Model(results, model.get_parameters(), "featstore")


def summary(error: Exception) -> str:
    """Return the kind of an error and the last line of what it says, which with OpenVINO is the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:200]}" if lines else type(error).__name__
