"""The part of a network that fine-tuning trains: from the activation at the cut to the probabilities of the classes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from featstore.bases.blocks import Blocks, Separator, begins
from featstore.bases.build import build, weights_digest
from featstore.bases.catalog import block_ends
from featstore.bases.cut import cut
from featstore.bases.defaults import keras_defaults
from featstore.bases.source import BaseSource
from featstore.errors import BaseUnavailable, UsageError, param
from featstore.spec import LAST_ACTIVATION, FeatureSpec
from featstore.system.files import FileStat

HEAD = "head"  # the name of the head among the layers
POOL = "pool"


class Body:
    """A base up to the features of `spec`, whose top is to be trained. The base is shared; its weights never change.

    Raises BaseUnavailable where its weights are not those of the spec.
    """

    def __init__(self, source: BaseSource, spec: FeatureSpec, state: FileStat | None) -> None:
        pools_inside = source.info is not None and not source.info.map_pools and spec.layer == LAST_ACTIVATION
        pool = spec.pool if pools_inside else "none"
        base = build(source, spec.reading.height, spec.reading.width, pool, state)
        if not source.is_file and weights_digest(base) != spec.weights:
            raise BaseUnavailable(
                f"the weights of {source.model} are not those that the head was trained with; name their "
                f"file with {param('weights')}"
            )
        self._info = source.info
        self._model = cut(base, spec.layer, "none" if pools_inside else spec.pool, saved=source.is_file)
        self.blocks = Blocks(base, self._model, saved=source.is_file)
        if any(self.blocks.name(layer) == HEAD for layer in base.layers):
            raise UsageError(f"{source.model}: one of its layers is called {HEAD!r}, as what is put on it; rename it")

    def find_cut(self, blocks: int | None, prefix: str | None, layer: str | None) -> Separator:
        """The activation below which all stays frozen: that under so many `blocks`, or under what is named."""
        if layer is not None:
            return self.blocks.before(layer)
        if prefix is not None:
            return self.blocks.before_prefix(prefix)
        return self.blocks.top(1 if blocks is None else blocks, block_ends(self._info) if self._info else None)

    def block_ends(self) -> list[Separator]:
        """All cuts that `find_cut` knows by a number, from the top down."""
        return self.blocks.ends(block_ends(self._info) if self._info else None)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Of the features of an image."""
        return tuple(self._model.output_shape[1:])

    def called(self, layer: Any) -> str:
        """The name of a layer of the base in the trained part, where `pool` is the one that we add."""
        name = self.blocks.name(layer)
        return f"{name}_of_base" if name == POOL else name

    def layers_above(self, cut: Separator | None) -> list[Any]:
        """Those of the base that are trained, as far as they learn anything."""
        return self.blocks.layers_between(cut.place if cut else -1, None)

    def network(self, cut: Separator | None, head: Any, policy: str = "float32", seed: int = 0) -> Any:
        """A copy of all above `cut`, or of the whole body, with `head` on it; the base computes under a dtype `policy`.

        Its layers are `called` as in the base, and `pool` and `head`. What they draw comes from `seed`.
        """
        with keras_defaults():
            named = keras.Sequential([keras.Input(head.input_shape[1:]), *head.layers], name=HEAD)
            model = keras.Model(cut.tensor if cut else self._model.inputs[0], named(self._model.outputs[0]))

        def rename(layer: Any) -> dict[str, Any]:
            if name := self.called(layer):
                return {"name": name, "dtype": policy}
            is_pooling = isinstance(layer, keras.layers.GlobalAveragePooling2D | keras.layers.GlobalMaxPooling2D)
            return {"name": POOL} if is_pooling else {}

        seeds = itertools.count(1000 * seed)  # each layer that drops has one of its own
        return _copy(model, lambda layer: {"seed": next(seeds), **rename(layer)})


def in_float32(model: Any) -> Any:
    """A copy of `model` that computes in float32, whatever it was trained in."""
    return _copy(model, lambda layer: {"dtype": "float32"})


def _copy(model: Any, changes: Callable[[Any], dict[str, Any]]) -> Any:
    """`model` with layers and weights of its own; `changes` apply where a layer's configuration has such a key."""

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        return layer.__class__.from_config(config | {k: v for k, v in changes(layer).items() if k in config})

    copied = keras.models.clone_model(model, clone_function=clone, recursive=True)
    copied.set_weights(model.get_weights())
    return copied


def unfreeze(model: Any, train_bn: bool = False, rates: Mapping[str, float] | None = None) -> None:
    """Let every weight of `model` be trained but those of BatchNormalization, which keeps its statistics too.

    `base(x, training=False)` does not protect them in Keras 3 (keras#20285): training passes its flag down. With
    `train_bn` they are trained, and forget what they knew at their momentum. What has a rate of 0 in `rates` stays as
    it is.
    """
    for layer in leaves(model):
        layer.trainable = True  # also what a user saved as frozen
    for layer in leaves(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = train_bn
    for layer in model.layers:
        if _rate_of(layer, 1.0, rates or {}) == 0:
            layer.trainable = False


def leaves(model: Any) -> Iterator[Any]:
    """All layers, in nested models and wrappers as well."""
    yield from model._flatten_layers(include_self=False, recursive=True)


def has_batch_norm(model: Any) -> bool:
    """Whether there are statistics that could be kept."""
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in leaves(model))


def trained_layers(model: Any) -> list[str]:
    """Names of the layers with something to train, from the image upwards; `head` for all of the head."""
    return [layer.name for layer in model.layers if layer.trainable_variables]


def by_rate(model: Any, rate: float, rates: Mapping[str, float]) -> dict[float, list[Any]]:
    """The trainable variables of `model` by their rate, which is that of the longest of the prefixes `rates` that fits.

    A prefix is the beginning of a layer's name, such as block5 or `head`.
    """
    groups: dict[float, list[Any]] = {}
    for layer in model.layers:
        if layer.trainable_variables:
            groups.setdefault(_rate_of(layer, rate, rates), []).extend(layer.trainable_variables)
    return groups


def check_rates(names: Sequence[str], rates: Mapping[str, float]) -> None:
    """Raise UsageError for a prefix that none of the layers `names` that could be trained begins with."""
    unused = [prefix for prefix in rates if not any(begins(name, prefix) for name in names)]
    if unused:
        raise UsageError(
            f"{param('rates', unused[0])}: no layer that is trained has such a name; they are {', '.join(names)}"
        )


def _rate_of(layer: Any, rate: float, rates: Mapping[str, float]) -> float:
    prefix = max((p for p in rates if begins(layer.name, p)), key=len, default=None)
    return rate if prefix is None else rates[prefix]
