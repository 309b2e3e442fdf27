"""A network with its inner networks taken apart, so that each of their layers is a layer of the whole.

A user's own classifier mostly holds its base as one layer. As one layer it can neither be cut nor be unfrozen in part.
"""

from __future__ import annotations

from typing import Any

import keras

from featstore.bases.keras_internals import call_through_graph


def flatten(model: Any) -> Any:
    """Return the same network without inner networks, with the same layers and weights.

    A layer without effect has the name of each inner network, and its output. `model` is returned as it is if it has
    none, and if a name would then stand for two outputs.
    """
    if not any(map(_is_network, model.layers)):
        return model
    graph = _functional(model)
    outputs = call_through_graph(graph, graph.inputs, _taken_apart)
    try:
        return keras.Model(graph.inputs[0], outputs)
    except ValueError:  # Keras wants each name once
        return model


def _taken_apart(operation: Any) -> Any:
    """Return what stands for an operation: for an inner network a function that calls its layers one by one."""
    if not _is_network(operation):
        return operation

    def call(*inputs: Any, **options: Any) -> Any:  # the options are those of the call, such as training=False
        outputs = call_through_graph(_functional(operation), inputs, _taken_apart)
        return keras.layers.Identity(name=operation.name)(outputs)

    return call


def _is_network(operation: Any) -> bool:
    """Return whether it is a network with one input and one output, whose layers are known."""
    return (
        isinstance(operation, (keras.Sequential, keras.Model))
        and bool(getattr(operation, "layers", ()))
        and len(getattr(operation, "inputs", None) or ()) == len(getattr(operation, "outputs", None) or ()) == 1
    )


def _functional(model: Any) -> Any:
    return keras.Model(model.inputs, model.outputs[0]) if isinstance(model, keras.Sequential) else model
