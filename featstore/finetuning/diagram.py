"""A network in a few parts, as a picture shows it: which are frozen, which are trained, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from featstore.bases.blocks import Separator
from featstore.finetuning.network import HEAD, Body, leaves
from featstore.plots.network import Part


def parts_of(body: Body, cut: Separator | None, network: Any) -> list[Part]:
    """The stretches between the ends of the blocks of `body`, and the head; trained is what `network` trains.

    network: what `body.network(cut, head)` gave, unfrozen.
    """
    trained = {layer.name: _count(layer.trainable_variables) for layer in network.layers}
    kept = {layer.name for layer in leaves(network) if _keeps_statistics(layer)}
    places = sorted({0, *(end.place for end in body.block_ends()), *([cut.place] if cut else [])})
    found = []
    for start, end in zip(places, [*places[1:], None], strict=True):
        layers = body.blocks.layers_between(start, end)
        names = [body.called(layer) for layer in layers]
        weights = sum(layer.count_params() for layer in layers)
        is_above = cut is None or start >= cut.place
        found.append(
            Part(
                _title(names),
                len(layers),
                tuple(side or 0 for side in layers[-1].output.shape[1:]),
                weights,
                sum(trained.get(name, 0) for name in names) if is_above else 0,
                len(kept & set(names)) if is_above else 0,
            )
        )
    head = network.get_layer(HEAD)
    norms = sum(_keeps_statistics(layer) for layer in leaves(head))
    shape = tuple(head.output_shape[1:])
    return [*found, Part(HEAD, len(head.layers), shape, head.count_params(), trained[HEAD], norms)]


def _keeps_statistics(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization) and not layer.trainable


def _count(variables: Sequence[Any]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)


def _title(names: Sequence[str]) -> str:
    """The words that all names begin with if they tell the part from others, as in block5; else the first and last."""
    words = [name.split("_") for name in names]
    same = next((n for n, column in enumerate(zip(*words, strict=False)) if len(set(column)) > 1), min(map(len, words)))
    common = "_".join(words[0][:same])
    return common if any(map(str.isdigit, common)) else f"{names[0]} ... {names[-1]}"
