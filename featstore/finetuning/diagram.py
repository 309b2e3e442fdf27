"""What the diagram of a network shows: its frozen and trained parts, their sizes, and where features are cached."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import keras
import numpy as np

from featstore.bases.blocks import Separator
from featstore.bases.keras_internals import all_layers
from featstore.finetuning.network import HEAD_LAYER, Body
from featstore.plots.network import Part


class Diagram(NamedTuple):
    """A network from the image to the probabilities.

    Attributes:
        parts: The blocks of the base and the layers of the head, from the image upwards.
        image: Shape of an image.
        cached: Number of parts before the cache; None if no features are cached.
    """

    parts: list[Part]
    image: tuple[int, ...]
    cached: int | None


def describe_fine_tuning(body: Body, cut: Separator | None, network: Any) -> Diagram:
    """Describe a base whose layers above `cut`, or all of them, are trained together with a head.

    network: what `body.network(cut, head)` returned, after `unfreeze`: its trainable weights count as trained.
    """
    trained = {layer.name: _count(layer.trainable_variables) for layer in network.layers}
    kept = {layer.name for layer in all_layers(network) if _keeps_statistics(layer)}
    below = _blocks(body, 0, cut.place, {}, ()) if cut else []
    above = _blocks(body, cut.place if cut else 0, None, trained, kept)
    parts = [*below, *above, *_pooling(body), *_head(network.get_layer(HEAD_LAYER).layers)]
    return Diagram(parts, body.image, len(below) if cut else None)


def describe_head(body: Body | None, head: Any) -> Diagram:
    """Describe a head on the cached features of a frozen base; None stands for the pixels themselves."""
    below = [*_blocks(body, 0, None, {}, ()), *_pooling(body)] if body else []
    image = body.image if body else tuple(head.input_shape[1:])
    return Diagram([*below, *_head(head.layers)], image, len(below))


def _blocks(body: Body, start: int, end: int | None, trained: Mapping[str, int], kept: Collection[str]) -> list[Part]:
    """Return the blocks of the base between two places; only the layers in `trained` are not frozen."""
    inner = (place for cut in body.block_ends() if start < (place := cut.place) and (end is None or place < end))
    places: list[Any] = [start, *sorted({*inner}), end]
    parts = []
    for first, last in pairwise(places):
        layers = body.blocks.layers_between(first, last)
        names = [body.layer_name(layer) for layer in layers]
        weighted = [name for name, layer in zip(names, layers, strict=True) if layer.count_params()]
        parts.append(
            Part(
                _title(names[names.index(weighted[0]) :] if weighted else names),
                len(layers),
                _shape(layers[-1].output),
                sum(layer.count_params() for layer in layers),
                sum(trained.get(name, 0) for name in names),
                len({*names}.intersection(kept)),
            )
        )
    return parts


def _pooling(body: Body) -> Iterator[Part]:
    """Yield the pooling that the recipe adds to the base, if it does."""
    if body.pool != "none":
        yield Part(f"global {body.pool} pool", 1, tuple(side or 0 for side in body.shape), 0, 0, 0)


def _head(layers: Sequence[Any]) -> Iterator[Part]:
    """Yield a part for each layer of the head, named as in Keras, with what its user chose of it."""
    for layer in layers:
        config = layer.get_config()
        name = type(layer).__name__
        size = config.get("units") or config.get("filters") or config.get("rate")
        yield Part(
            f"{name} {size:g}" if size else name,
            1,
            _shape(layer.output),
            layer.count_params(),
            _count(layer.trainable_variables),
            int(_keeps_statistics(layer)),
            ", ".join(["head", *filter(None, [config.get("activation", "").replace("linear", ""), _kernel(config)])]),
        )


def _kernel(config: Mapping[str, Any]) -> str:
    sides = config.get("kernel_size") or config.get("pool_size") or ()
    return "×".join(map(str, sides))


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(side or 0 for side in tensor.shape[1:])


def _keeps_statistics(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization) and not layer.trainable


def _count(variables: Sequence[Any]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)


def _title(names: Sequence[str]) -> str:
    """Return the common beginning of the names if it holds a number, as in block5; else the first and the last name."""
    words = [name.split("_") for name in names]
    same = next((n for n, column in enumerate(zip(*words, strict=False)) if len(set(column)) > 1), min(map(len, words)))
    common = "_".join(words[0][:same])
    if any(map(str.isdigit, common)):
        return common
    return names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}"
