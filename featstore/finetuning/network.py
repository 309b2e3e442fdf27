"""The trained part of a network: from the activation at the cut to the probabilities of the classes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from featstore.bases.blocks import Blocks, Separator, has_prefix
from featstore.bases.build import load_held
from featstore.bases.catalog import block_ends
from featstore.bases.cut import cut_at
from featstore.bases.defaults import keras_defaults
from featstore.bases.keras_internals import all_layers
from featstore.bases.source import BaseSource
from featstore.errors import UsageError, param
from featstore.spec import FeatureSpec
from featstore.system.files import FileStat

HEAD_LAYER = "head"  # the name of the head, which is one layer of the trained part
POOL_LAYER = "pool"  # the name of the pooling layer between base and head


class Body:
    """A base from the image to the features of `spec`. Other users share it, so its weights never change.

    Raises BaseUnavailable if its weights are not those of the spec, UsageError if one of its layers is called `head`.
    """

    def __init__(self, source: BaseSource, spec: FeatureSpec, state: FileStat | None) -> None:
        pools_maps = source.pools_maps(spec.layer)
        inside = "none" if pools_maps else spec.pool
        base = load_held(source, spec.reading.height, spec.reading.width, inside, state, spec.weights).model
        self._info = source.info
        self.pool = spec.pool if pools_maps else "none"  # added to the base
        self.image = spec.reading.height, spec.reading.width, 3
        self._model = cut_at(base, spec.layer, self.pool, saved=source.is_file)
        self.blocks = Blocks(base, self._model, saved=source.is_file)
        if any(self.blocks.name(layer) == HEAD_LAYER for layer in base.layers):
            raise UsageError(
                f"{source.model}: one of its layers is called {HEAD_LAYER!r}, which is the name of the head; rename it"
            )

    def find_cut(self, blocks: int | None, prefix: str | None, layer: str | None) -> Separator:
        """Return the activation where the trained part begins.

        It is below the topmost `blocks` (default 1), below the first layer whose name begins with `prefix`, or below
        `layer`.
        """
        if layer is not None:
            return self.blocks.before(layer)
        if prefix is not None:
            return self.blocks.before_prefix(prefix)
        return self.blocks.top(1 if blocks is None else blocks, block_ends(self._info) if self._info else None)

    def block_ends(self) -> list[Separator]:
        """Return the cuts that `find_cut` finds by a number of blocks, from the top down."""
        return self.blocks.ends(block_ends(self._info) if self._info else None)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Shape of the features of an image."""
        return tuple(self._model.output_shape[1:])

    def layer_name(self, layer: Any) -> str:
        """Return the name that a layer of the base has in the trained part.

        A layer called `pool` gets another name: `pool` is the pooling layer that is added.
        """
        name = self.blocks.name(layer)
        return f"{name}_of_base" if name == POOL_LAYER else name

    def layers_above(self, cut: Separator | None) -> list[Any]:
        """Return the layers of the base above `cut`, or all; some of them may have no weights."""
        return self.blocks.layers_between(cut.place if cut else -1, None)

    def network(self, cut: Separator | None, head: Any, policy: str = "float32", seed: int = 0) -> Any:
        """Return a copy of the layers above `cut`, or of the whole body, with `head` on top.

        The layers of the base compute under the dtype `policy` and keep their names (see `layer_name`). Dropout draws
        from `seed`.
        """
        with keras_defaults():
            named = keras.Sequential([keras.Input(head.input_shape[1:]), *head.layers], name=HEAD_LAYER)
            model = keras.Model(cut.tensor if cut else self._model.inputs[0], named(self._model.outputs[0]))

        def rename(layer: Any) -> dict[str, Any]:
            if name := self.layer_name(layer):
                return {"name": name, "dtype": policy}
            is_pooling = isinstance(layer, keras.layers.GlobalAveragePooling2D | keras.layers.GlobalMaxPooling2D)
            return {"name": POOL_LAYER} if is_pooling else {}

        seeds = itertools.count(1000 * seed)  # one for each dropout layer
        return _copy(model, lambda layer: {"seed": next(seeds), **rename(layer)})


def copy_in_float32(model: Any) -> Any:
    """Return a copy of `model` that computes in float32."""
    return _copy(model, lambda layer: {"dtype": "float32"})


def _copy(model: Any, changes: Callable[[Any], dict[str, Any]]) -> Any:
    """Copy `model` with its weights; `changes(layer)` replaces the keys that the configuration of a layer has."""

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        return layer.__class__.from_config(config | {k: v for k, v in changes(layer).items() if k in config})

    with keras_defaults():
        copied = keras.models.clone_model(model, clone_function=clone, recursive=True)
    copied.set_weights(model.get_weights())
    return copied


def unfreeze(model: Any, train_bn: bool = False, rates: Mapping[str, float] | None = None) -> None:
    """Make every weight of `model` trainable except those of BatchNormalization, which keeps its statistics too.

    `base(x, training=False)` does not protect the statistics in Keras 3 (keras#20285): training passes its flag down.
    With `train_bn` BatchNormalization is trained as well, and its statistics move at its momentum. Layers with a rate
    of 0 in `rates` stay frozen.
    """
    for layer in all_layers(model):
        layer.trainable = True  # a user may have saved it as frozen
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = train_bn
    for layer in model.layers:
        if _rate_of(layer, 1.0, rates or {}) == 0:
            layer.trainable = False


def has_batch_norm(model: Any) -> bool:
    """Return whether `model` has a BatchNormalization layer."""
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in all_layers(model))


def trained_layers(model: Any) -> list[str]:
    """Return the names of the layers with trainable weights, from the image upwards; the head is one layer."""
    return [layer.name for layer in model.layers if layer.trainable_variables]


def variables_by_rate(model: Any, rate: float, rates: Mapping[str, float]) -> dict[float, list[Any]]:
    """Return the trainable variables of `model` by their learning rate.

    The keys of `rates` are prefixes of layer names, such as `block5` or `head`; the longest that fits a layer decides.
    """
    groups: dict[float, list[Any]] = {}
    for layer in model.layers:
        if layer.trainable_variables:
            groups.setdefault(_rate_of(layer, rate, rates), []).extend(layer.trainable_variables)
    return groups


def check_rates(names: Sequence[str], rates: Mapping[str, float]) -> None:
    """Raise UsageError for a prefix in `rates` that no name of a trainable layer in `names` begins with."""
    unused = [prefix for prefix in rates if not any(has_prefix(name, prefix) for name in names)]
    if unused:
        raise UsageError(
            f"{param('rates', unused[0])}: no trained layer has a name that begins so; they are {', '.join(names)}"
        )


def _rate_of(layer: Any, rate: float, rates: Mapping[str, float]) -> float:
    prefix = max((p for p in rates if has_prefix(layer.name, p)), key=len, default=None)
    return rate if prefix is None else rates[prefix]
