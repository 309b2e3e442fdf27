"""Cutting a network at a layer, and pooling what comes out."""

from __future__ import annotations

import difflib
import re
from typing import Any

import keras

from featstore.errors import UsageError
from featstore.spec import LAST_ACTIVATION


def cut(model: Any, layer: str, pool: str) -> Any:
    """A model from the input of `model` to the activation of `layer`, pooled over space where `pool` says so."""
    output = model.output if layer == LAST_ACTIVATION else _find(model, layer).output
    if isinstance(output, (list, tuple, dict)):
        raise UsageError(f"layer {layer!r} has several outputs: name a layer with one")
    if pool != "none":
        if len(output.shape) != 4:
            raise UsageError(
                f"layer {layer!r} gives {tuple(output.shape[1:])}, not a map to be pooled: use --pool none"
            )
        pooling = keras.layers.GlobalAveragePooling2D if pool == "avg" else keras.layers.GlobalMaxPooling2D
        output = pooling()(output)
    return keras.Model(model.input, output)


def layer_names(model: Any) -> list[str]:
    """Names of the layers in order, with automatic numbers as in a fresh process.

    Keras numbers unnamed layers (`conv2d_93`) on through a process, so the same layer has another name when the network
    is built again. Here they count from the first such layer of the model.
    """
    count: dict[str, int] = {}
    names = []
    for layer in model.layers:
        automatic = _automatic_prefix(layer)
        if re.fullmatch(rf"{automatic}(_\d+)?", layer.name):
            number = count.get(automatic, 0)
            count[automatic] = number + 1
            names.append(f"{automatic}_{number}" if number else automatic)
        else:
            names.append(layer.name)
    return names


def _automatic_prefix(layer: Any) -> str:
    """The name Keras gives to an unnamed layer of this class: Conv2D -> conv2d, ReLU -> re_lu."""
    words = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", type(layer).__name__))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


def _find(model: Any, layer: str) -> Any:
    names = layer_names(model)
    if layer not in names:
        near = difflib.get_close_matches(layer, names, 3) or names[-3:]
        raise UsageError(f"no layer {layer!r} in {model.name}: did you mean {', '.join(near)}?")
    return model.layers[names.index(layer)]
