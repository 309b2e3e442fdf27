"""Where a network can be cut in two: the tensors that every path from the image to the output goes through.

They are found in the graph, not in the list of layers, where the branches of an Inception block interleave.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from featstore.bases.cut import layer_names
from featstore.errors import UsageError, param


class Separator(NamedTuple):
    """A layer whose output all that follows is computed from, and nothing else.

    place: that of the layer in the network's topological order. shape: of the output for one image.
    """

    layer: str
    place: int
    shape: tuple[int | None, ...]
    tensor: Any


class Blocks:
    """The graph of a base from its images to its features, by the names of its layers.

    base: the whole network, which names the layers; as in its file if it is a `saved` one. body: the part of it that
    gives the features.
    """

    def __init__(self, base: Any, body: Any, saved: bool = False) -> None:
        names = [layer.name for layer in base.layers] if saved else layer_names(base)
        self._name_of = {id(layer): name for layer, name in zip(base.layers, names, strict=True)}
        self._nodes = [n for depth in sorted(body._nodes_by_depth, reverse=True) for n in body._nodes_by_depth[depth]]
        self._place = {id(node): place for place, node in enumerate(self._nodes)}
        self.separators = self._find_separators()

    def ends(self, patterns: Sequence[str] | None) -> list[Separator]:
        """The inputs of the blocks that can be unfrozen, from the topmost block down (see `catalog.block_ends`).

        None for a user's network: there a block ends where the map becomes smaller.
        """
        if patterns is None:
            return self._where_maps_shrink()
        matching = [[s for s in self.separators if re.fullmatch(pattern, s.layer)] for pattern in patterns]
        return [some[-1] for some in matching if some and self._trains_after(some[-1].place)]

    def top(self, number: int, patterns: Sequence[str] | None) -> Separator:
        """The input of the topmost `number` blocks; raises UsageError where there are fewer."""
        found = self.ends(patterns)
        if not found:
            raise UsageError(
                f"{param('blocks', number)}: no single tensor leads into the last block; {self._nearest(None)}"
            )
        if not 1 <= number <= len(found):
            raise UsageError(
                f"{param('blocks', number)}: this base has {len(found)} that can be unfrozen; for all of it use "
                f"{param('whole', True)}"
            )
        return found[number - 1]

    def before(self, layer: str) -> Separator:
        """The input of `layer`; raises UsageError, and names the nearest ones, where it does not separate."""
        names = [self._name(node) for node in self._nodes]
        if not layer or layer not in names:
            raise UsageError(f"no layer {layer!r} among those below the features; {self._nearest(None)}")
        place = names.index(layer)
        node = self._nodes[place]
        if not node.parent_nodes:
            raise UsageError(
                f"layer {layer!r}: is the image itself; to train all of the network use {param('whole', True)}"
            )
        parents = {self._place[id(parent)] for parent in node.parent_nodes}
        found = next((s for s in self.separators if parents == {s.place}), None)
        if found is None or not self._trains_after(found.place):
            why = "nothing that can be trained follows" if found else "no single tensor separates it from what is below"
            raise UsageError(f"layer {layer!r}: {why}; {self._nearest(place)}")
        if found.place == 0:
            raise UsageError(f"layer {layer!r}: is the network's first; to train all of it use {param('whole', True)}")
        return found

    def before_prefix(self, prefix: str) -> Separator:
        """The input of the first layer whose name begins with `prefix`, such as block5 or conv5_block3."""
        names = [self._name(node) for node in self._nodes]
        first = next((name for name in names if name and begins(name, prefix)), None)
        if first is None:
            raise UsageError(f"{param('unfreeze', prefix)}: no layer's name begins so; {self._nearest(None)}")
        return self.before(first)

    def layers_between(self, start: int, end: int | None) -> list[Any]:
        """The base's layers after the separator at place `start`, up to the one at `end`, which is among them."""
        nodes = self._nodes[start + 1 : None if end is None else end + 1]
        return list(dict.fromkeys(node.operation for node in nodes if self._name(node)))

    def name(self, layer: Any) -> str:
        """What the base calls `layer`; empty for an operation that is none, and for what was added to the base."""
        return self._name_of.get(id(layer), "")

    def _find_separators(self) -> list[Separator]:
        """In topological order, no edge passes over a separator, and no layer stands on both sides of it."""
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
        """From the top down: the last tensor before the height falls, or the first after it if nothing is learnt."""
        found = []
        padding = keras.layers.ZeroPadding2D
        if any(len(s.shape) == 3 and s.shape[0] is None for s in self.separators):
            raise UsageError(f"{param('blocks')}: this network takes images of any size; {self._nearest(None)}")
        maps = [s for s in self.separators if not isinstance(self._nodes[s.place].operation, padding)]
        for above, below in zip(maps[:0:-1], maps[-2::-1], strict=True):
            if len(above.shape) != 3 or len(below.shape) != 3 or not (above.shape[0] or 0) < (below.shape[0] or 0):
                continue
            plain = not any(self._is_learnt(place) for place in range(below.place + 1, above.place + 1))
            cut = above if plain else below
            if cut.place and self._trains_after(cut.place) and cut not in found:
                found.append(cut)
        return found

    def _is_learnt(self, place: int) -> bool:
        return bool(_weights(self._nodes[place].operation))

    def _trains_after(self, place: int) -> bool:
        return any(_learns(node.operation) for node in self._nodes[place + 1 :])

    def _nearest(self, place: int | None) -> str:
        """What can be unfrozen instead: the layers that follow the separators around `place`, or the topmost one."""
        usable = [s for s in self.separators if s.place and self._trains_after(s.place)]
        if not usable:
            return f"nothing of it can be cut off: to train all of it use {param('whole', True)}"
        below = [s for s in usable if place is None or s.place < place][-1:]
        above = [s for s in usable if place is not None and s.place >= place and self._is_learnt(s.place + 1)][:1]
        layers = dict.fromkeys(self._follower(s) for s in (*below, *above))
        return "the nearest that can be is " + " or ".join(param("unfreeze_from", layer) for layer in layers)

    def _follower(self, separator: Separator) -> str:
        node = next(
            node
            for node in self._nodes[separator.place + 1 :]
            if self._name(node) and {self._place[id(parent)] for parent in node.parent_nodes} == {separator.place}
        )
        return self._name(node)

    def _name(self, node: Any) -> str:
        return self.name(node.operation)


def begins(name: str, prefix: str) -> bool:
    """Whether a layer's name begins with a whole `prefix`: block1 is not the beginning of block12."""
    return bool(prefix) and re.match(re.escape(prefix) + r"(?![0-9])", name) is not None


def _learns(operation: Any) -> bool:
    kinds = (keras.layers.BatchNormalization, keras.layers.Normalization)
    return bool(_weights(operation)) and not isinstance(operation, kinds)


def _weights(operation: Any) -> list[Any]:
    """None for a bare operation, such as an addition that is no layer."""
    return getattr(operation, "weights", [])
