"""Places where a network can be cut in two: the tensors that every path from the image to the output goes through.

They are found in the graph. The list of layers would not do: there the branches of an Inception block interleave.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from featstore.bases.cut import layer_names
from featstore.bases.keras_internals import Node, graph_nodes
from featstore.errors import UsageError, param


class Separator(NamedTuple):
    """A layer whose output alone determines everything that follows.

    place: index of the layer in the network's topological order.
    shape: shape of its output for one image.
    tensor: its symbolic output.
    """

    layer: str
    place: int
    shape: tuple[int | None, ...]
    tensor: Any


class Blocks:
    """The graph of a base from its images to its features, by the names of its layers.

    base: the whole network, which names the layers.
    body: the part of it that computes the features.
    saved: whether `base` comes from a file. Its layers then have the names in the file.
    """

    def __init__(self, base: Any, body: Any, saved: bool = False) -> None:
        names = [layer.name for layer in base.layers] if saved else layer_names(base)
        self._name_of = {id(layer): name for layer, name in zip(base.layers, names, strict=True)}
        self._nodes = graph_nodes(body)
        self._place = {id(node): place for place, node in enumerate(self._nodes)}
        self.separators = self._find_separators()

    def ends(self, patterns: Sequence[str] | None) -> list[Separator]:
        """Return the inputs of the blocks that can be unfrozen, from the topmost block down.

        patterns: those of `catalog.block_ends`; None for a user's network, whose blocks end where the map shrinks.
        """
        if patterns is None:
            return self._where_maps_shrink()
        matching = [[s for s in self.separators if re.fullmatch(pattern, s.layer)] for pattern in patterns]
        return [found[-1] for found in matching if found and self._trains_after(found[-1].place)]

    def top(self, number: int, patterns: Sequence[str] | None) -> Separator:
        """Return the input of the topmost `number` blocks; raises UsageError if there are fewer."""
        found = self.ends(patterns)
        if not found:
            raise UsageError(
                f"{param('blocks', number)}: no single tensor leads into the last block; {self._nearest(None)}"
            )
        if not 1 <= number <= len(found):
            raise UsageError(
                f"{param('blocks', number)}: this base has {len(found)} blocks that can be unfrozen; to train the "
                f"whole network use {param('whole', True)}"
            )
        return found[number - 1]

    def before(self, layer: str) -> Separator:
        """Return the input of `layer`; raises UsageError with the nearest possible layers if no cut is possible."""
        names = [self._name(node) for node in self._nodes]
        if not layer or layer not in names:
            raise UsageError(f"no layer {layer!r} below the features; {self._nearest(None)}")
        place = names.index(layer)
        node = self._nodes[place]
        if not node.parent_nodes:
            raise UsageError(
                f"layer {layer!r}: is the input image; to train the whole network use {param('whole', True)}"
            )
        parents = {self._place[id(parent)] for parent in node.parent_nodes}
        found = next((s for s in self.separators if parents == {s.place}), None)
        if found is None or not self._trains_after(found.place):
            why = "no layer after it can be trained" if found else "no single tensor separates it from the layers below"
            raise UsageError(f"layer {layer!r}: {why}; {self._nearest(place)}")
        if found.place == 0:
            raise UsageError(
                f"layer {layer!r}: is the first layer; to train the whole network use {param('whole', True)}"
            )
        return found

    def before_prefix(self, prefix: str) -> Separator:
        """Return the input of the first layer whose name begins with `prefix`, such as block5 or conv5_block3."""
        names = [self._name(node) for node in self._nodes]
        first = next((name for name in names if name and has_prefix(name, prefix)), None)
        if first is None:
            raise UsageError(f"{param('unfreeze', prefix)}: no layer has a name that begins so; {self._nearest(None)}")
        return self.before(first)

    def layers_between(self, start: int, end: int | None) -> list[Any]:
        """Return the base's layers after the separator at place `start`, up to and including the one at `end`."""
        nodes = self._nodes[start + 1 : None if end is None else end + 1]
        return list(dict.fromkeys(node.operation for node in nodes if self._name(node)))

    def name(self, layer: Any) -> str:
        """Return the name of `layer` in the base; empty for a bare operation and for a layer added to the base."""
        return self._name_of.get(id(layer), "")

    def _find_separators(self) -> list[Separator]:
        """Return the places that no edge passes over and no shared layer spans, in topological order."""
        reach = list(range(len(self._nodes)))
        uses: dict[int, tuple[int, int]] = {}
        for place, node in enumerate(self._nodes):
            for parent in node.parent_nodes:
                if id(parent) in self._place:
                    reach[self._place[id(parent)]] = place
            first, _ = uses.get(id(node.operation), (place, place))
            uses[id(node.operation)] = first, place
        for first, last in uses.values():
            reach[first] = max(reach[first], last + 1) if last > first else reach[first]
        found, furthest = [], -1
        for place, node in enumerate(self._nodes):
            name = self._name(node)
            if furthest <= place and name and len(node.outputs) == 1:
                found.append(Separator(name, place, tuple(node.outputs[0].shape[1:]), node.outputs[0]))
            furthest = max(furthest, reach[place])
        return found

    def _where_maps_shrink(self) -> list[Separator]:
        """Return the cuts at which the map height falls, from the top down.

        It is the last tensor before the height falls, or the first one after it if no layer between has weights.
        """
        found = []
        padding = keras.layers.ZeroPadding2D
        if any(len(s.shape) == 3 and s.shape[0] is None for s in self.separators):
            raise UsageError(f"{param('blocks')}: this network takes images of any size; {self._nearest(None)}")
        maps = [s for s in self.separators if not isinstance(self._nodes[s.place].operation, padding)]
        for above, below in zip(maps[:0:-1], maps[-2::-1], strict=True):
            if len(above.shape) != 3 or len(below.shape) != 3 or not (above.shape[0] or 0) < (below.shape[0] or 0):
                continue
            weights_between = any(self._has_weights(place) for place in range(below.place + 1, above.place + 1))
            cut = below if weights_between else above
            if cut.place and self._trains_after(cut.place) and cut not in found:
                found.append(cut)
        return found

    def _has_weights(self, place: int) -> bool:
        return bool(_weights(self._nodes[place].operation))

    def _trains_after(self, place: int) -> bool:
        return any(_is_trainable(node.operation) for node in self._nodes[place + 1 :])

    def _nearest(self, place: int | None) -> str:
        """Return the text that offers other layers: those after the separators around `place`, or the topmost one."""
        usable = [s for s in self.separators if s.place and self._trains_after(s.place)]
        if not usable:
            return f"it cannot be cut anywhere: to train the whole network use {param('whole', True)}"
        below = [s for s in usable if place is None or s.place < place][-1:]
        above = [s for s in usable if place is not None and s.place >= place and self._has_weights(s.place + 1)][:1]
        layers = dict.fromkeys(self._layer_after(s) for s in (*below, *above))
        return "the nearest possible is " + " or ".join(param("unfreeze_from", layer) for layer in layers)

    def _layer_after(self, separator: Separator) -> str:
        node = next(
            node
            for node in self._nodes[separator.place + 1 :]
            if self._name(node) and {self._place[id(parent)] for parent in node.parent_nodes} == {separator.place}
        )
        return self._name(node)

    def _name(self, node: Node) -> str:
        return self.name(node.operation)


def has_prefix(name: str, prefix: str) -> bool:
    """Return whether a layer's name begins with `prefix` as a whole: block1 is not a prefix of block12."""
    return bool(prefix) and re.match(re.escape(prefix) + r"(?![0-9])", name) is not None


def _is_trainable(operation: Any) -> bool:
    """Return whether fine-tuning trains `operation`: normalizations stay frozen."""
    normalizations = (keras.layers.BatchNormalization, keras.layers.Normalization)
    return bool(_weights(operation)) and not isinstance(operation, normalizations)


def _weights(operation: Any) -> list[Any]:
    """Return the weights of a layer; a bare operation, such as an addition, has none."""
    return getattr(operation, "weights", [])
