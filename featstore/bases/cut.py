"""Cutting a network at a layer, and pooling the activation there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

import keras

from featstore.bases.defaults import keras_defaults
from featstore.bases.keras_internals import Node, graph_nodes
from featstore.bases.pooling import check_poolable
from featstore.errors import UsageError, param
from featstore.spec import LAST_ACTIVATION


def cut_at(model: Any, layer: str, pool: str, saved: bool = False) -> Any:
    """Return a model from the input of `model` to the activation of `layer`, pooled over space unless `pool` is none.

    The layers of a `saved` model have the names in its file, those of any other model the names of `layer_names`.
    Raises UsageError if the layer does not exist, or if its output is not one map to pool.
    """
    names = [layer.name for layer in model.layers] if saved else layer_names(model)
    output = _output(model, layer, names)
    if isinstance(output, list):
        ends = " or ".join(param("layer", name) for name in _makers(model, output, names))
        raise UsageError(f"layer {layer!r} has several outputs: name a layer with one{ends and f', as in {ends}'}")
    if pool != "none":
        check_poolable(layer, len(output.shape) - 1, _last_map(model, names))
        pooling = keras.layers.GlobalAveragePooling2D if pool == "avg" else keras.layers.GlobalMaxPooling2D
        with keras_defaults():
            output = pooling()(output)
    return keras.Model(model.inputs[0], output)


def cut_at_all(model: Any, cuts: Sequence[tuple[str, str]], saved: bool = False) -> Any:
    """Return a model with an output for each (layer, pool) of `cuts`; arguments and errors are those of `cut_at`."""
    bodies = [cut_at(model, layer, pool, saved) for layer, pool in cuts]
    return bodies[0] if len(bodies) == 1 else keras.Model(bodies[0].inputs[0], [body.outputs[0] for body in bodies])


def _last_map(model: Any, names: Sequence[str]) -> str | None:
    """Return the name of the last layer after the input whose only output is a map; None if there is none."""
    nodes = [node for node in _nodes(model) if node.parent_nodes and len(node.outputs) == 1]
    maps = [node for node in nodes if len(node.outputs[0].shape) == 4]
    found = [name for node in maps for name in _names_of(node.operation, model, names)]
    return found[-1] if found else None


def _makers(model: Any, outputs: Sequence[Any], names: Sequence[str]) -> list[str]:
    """Return the names of the layers that have one of `outputs` as their only one."""
    wanted = {id(output) for output in outputs}
    nodes = [node for node in _nodes(model) if len(node.outputs) == 1 and id(node.outputs[0]) in wanted]
    return [name for node in nodes for name in _names_of(node.operation, model, names)]


def _names_of(operation: Any, model: Any, names: Sequence[str]) -> list[str]:
    return [name for layer, name in zip(model.layers, names, strict=True) if layer is operation]


def _nodes(model: Any) -> Sequence[Node]:
    return graph_nodes(keras.Model(model.inputs, model.outputs) if isinstance(model, keras.Sequential) else model)


def layer_names(model: Any) -> list[str]:
    """Return the names of the layers in order, with automatic numbers as in a fresh process.

    Keras numbers unnamed layers (`conv2d_93`) through the whole process, so a layer has another name when the network
    is built again. Numbers follow the order of building, which is not that of `model.layers`. So they are not counted
    again here: the number of the first such layer is subtracted.
    """
    numbered = [_automatic_number(layer) for layer in model.layers]
    first: dict[str, int] = {}
    for kind, number in filter(None, numbered):
        first[kind] = min(number, first.get(kind, number))
    names = []
    for layer, automatic in zip(model.layers, numbered, strict=True):
        kind, number = automatic or (layer.name, 0)
        number -= first[kind] if automatic else 0
        names.append(f"{kind}_{number}" if number else kind)
    return names


def _automatic_number(layer: Any) -> tuple[str, int] | None:
    """Return (prefix, number) of an automatic name, as in Conv2D -> conv2d_93, ReLU -> re_lu; None for any other."""
    words = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", type(layer).__name__))
    prefix = re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
    found = re.fullmatch(rf"{prefix}(?:_(\d+))?", layer.name)
    return (prefix, int(found[1] or 0)) if found else None


def _output(model: Any, layer: str, names: Sequence[str]) -> Any:
    """Return the output of `layer`, or that of the model; several outputs as a list."""
    if layer == LAST_ACTIVATION:
        outputs = model.outputs
    else:
        found = _find(model, layer, names)
        uses = [node for node in _nodes(model) if node.operation is found]
        if len(uses) != 1:
            raise UsageError(f"layer {layer!r} is used {len(uses)} times: name a layer with one output")
        outputs = uses[0].outputs  # not `layer.output`, which is that of the first use, in a graph of its own if nested
    return outputs[0] if len(outputs) == 1 else list(outputs)


def _find(model: Any, layer: str, names: Sequence[str]) -> Any:
    if layer not in names:
        near = difflib.get_close_matches(layer, names, 3) or names[-3:]
        raise UsageError(f"no layer {layer!r} in {model.name}: did you mean {', '.join(near)}?")
    return model.layers[names.index(layer)]
