"""What featstore uses of Keras beyond its public interface, here and nowhere else.

A cut needs the graph of a network, inner networks are taken apart by calling it again, fine-tuning needs all layers,
those of inner networks included, and losses need the logits that a network has put through a softmax. Keras shows none
of them in public. The names below are in the sources of Keras 3.9.0, 3.10.0, 3.11.0, 3.12.0, 3.13.0, 3.14.0 and 3.15.1.
A Keras that lacks one is refused with a line that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import keras

from featstore.errors import BaseUnavailable

NEWEST = (3, 15)  # the newest release whose sources were checked


class Node(Protocol):
    """One call of a layer in the graph of a network."""

    @property
    def operation(self) -> Any:
        """The layer, or an operation that is not a layer, such as an addition."""

    @property
    def parent_nodes(self) -> Sequence[Node]:
        """The calls whose outputs this one takes."""

    @property
    def outputs(self) -> Sequence[Any]:
        """The symbolic tensors that it returns."""


def graph_nodes(model: Any) -> list[Node]:
    """Return the nodes of the graph of a functional `model` in topological order, from the input to the output."""
    with _refused_if_missing():
        by_depth = model._nodes_by_depth
        nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
        for node in nodes:
            _ = node.operation, node.parent_nodes, node.outputs
        return nodes


def call_through_graph(model: Any, inputs: Any, replaced: Callable[[Any], Any]) -> Any:
    """Call each operation of a functional `model` on `inputs`, or what `replaced` returns for it, in their order."""
    with _refused_if_missing():
        run = model._run_through_graph
    return run(list(inputs), operation_fn=replaced)


def all_layers(model: Any) -> list[Any]:
    """Return all layers of `model`, those in nested models and in wrappers as well, without `model` itself."""
    with _refused_if_missing():
        return list(model._flatten_layers(include_self=False, recursive=True))


def logits_of(output: Any) -> Any:
    """Return the logits whose softmax or sigmoid is the `output` of a network, as Keras' own losses find them."""
    with _refused_if_missing():
        return output._keras_logits


@contextmanager
def _refused_if_missing() -> Iterator[None]:
    try:
        yield
    except (AttributeError, TypeError) as error:
        raise BaseUnavailable(
            f"Keras {keras.__version__} has changed inside in a way that featstore cannot follow ({error}): "
            f"install keras {NEWEST[0]}.{NEWEST[1]}, or a newer featstore"
        ) from error
