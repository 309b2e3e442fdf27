"""The parts of a network for its diagram: which are frozen, which are trained, and their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from featstore.bases.blocks import Separator
from featstore.bases.keras_internals import all_layers
from featstore.finetuning.network import HEAD_LAYER, Body
from featstore.plots.network import Part


def describe_parts(body: Body, cut: Separator | None, network: Any) -> list[Part]:
    """Return the blocks of `body`, from the image upwards, and the head.

    network: what `body.network(cut, head)` returned, after `unfreeze`: its trainable weights count as trained.
    """
    trained = {layer.name: _count(layer.trainable_variables) for layer in network.layers}
    kept = {layer.name for layer in all_layers(network) if _keeps_statistics(layer)}
    places = sorted({0, *(end.place for end in body.block_ends()), *([cut.place] if cut else [])})
    parts = []
    for start, end in zip(places, [*places[1:], None], strict=True):
        layers = body.blocks.layers_between(start, end)
        names = [body.layer_name(layer) for layer in layers]
        is_above = cut is None or start >= cut.place
        parts.append(
            Part(
                _title(names),
                len(layers),
                tuple(side or 0 for side in layers[-1].output.shape[1:]),
                sum(layer.count_params() for layer in layers),
                sum(trained.get(name, 0) for name in names) if is_above else 0,
                len(kept & set(names)) if is_above else 0,
            )
        )
    head = network.get_layer(HEAD_LAYER)
    norms = sum(_keeps_statistics(layer) for layer in all_layers(head))
    shape = tuple(head.output_shape[1:])
    return [*parts, Part(HEAD_LAYER, len(head.layers), shape, head.count_params(), trained[HEAD_LAYER], norms)]


def _keeps_statistics(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization) and not layer.trainable


def _count(variables: Sequence[Any]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)


def _title(names: Sequence[str]) -> str:
    """Return the common beginning of the names if it holds a number, as in block5; else the first and the last name."""
    words = [name.split("_") for name in names]
    same = next((n for n, column in enumerate(zip(*words, strict=False)) if len(set(column)) > 1), min(map(len, words)))
    common = "_".join(words[0][:same])
    return common if any(map(str.isdigit, common)) else f"{names[0]} ... {names[-1]}"
