"""Private parts of Keras: they are what they were in the versions that were checked, and their end is one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import featstore
from featstore.bases.blocks import Blocks
from featstore.bases.keras_internals import NEWEST, all_layers, graph_nodes, logits_of
from featstore.errors import BaseUnavailable


@pytest.fixture
def model() -> Any:
    """A branch, a wrapper, and a model in the model."""
    image = keras.Input((8, 8, 3))
    one = keras.layers.Conv2D(4, 3, padding="same", name="one")(image)
    two = keras.layers.Conv2D(4, 3, padding="same", name="two")(one)
    joined = keras.layers.Add(name="joined")([one, two])
    inner = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.BatchNormalization(name="norm")], name="inner")
    wrapped = keras.layers.TimeDistributed(keras.layers.Dense(2, name="dense"), name="wrapped")(inner(joined))
    return keras.Model(image, wrapped)


def test_the_installed_keras_was_checked() -> None:
    """The names hold from 3.9, the least that is required, to NEWEST; the other tests here try a newer one."""
    installed = tuple(map(int, keras.__version__.split(".")[:2]))
    assert installed >= (3, 9)
    if installed > NEWEST:
        pytest.skip(f"Keras {keras.__version__} is newer than {NEWEST}: look the names up, then raise NEWEST")


def test_the_graph_is_in_order(model: Any) -> None:
    """Each call stands after those it takes from, and has its layer and its outputs."""
    nodes = graph_nodes(model)
    assert [node.operation.name for node in nodes][1:] == ["one", "two", "joined", "inner", "wrapped"]
    places = {id(node): place for place, node in enumerate(nodes)}
    assert all(places[id(parent)] < places[id(node)] for node in nodes for parent in node.parent_nodes)
    assert [node.operation.name for node in nodes[3].parent_nodes] == ["one", "two"]
    assert [node.outputs[0].shape[-1] for node in nodes] == [3, 4, 4, 4, 4, 2]


def test_all_layers_are_found(model: Any) -> None:
    """In nested models and wrappers as well, and the model itself is not among them."""
    names = {layer.name for layer in all_layers(model)}
    assert {"one", "two", "joined", "inner", "norm", "wrapped", "dense"} <= names
    assert model.name not in names


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("eager", [False, True])
def test_the_logits_of_an_output_are_found(activation: str, eager: bool) -> None:
    """Within a graph and outside, of a network that is nested in another."""
    dense = keras.layers.Dense(3, activation)
    inner = keras.Sequential([keras.Input((4,)), dense])
    image = keras.Input((4,))
    network = keras.Model(image, inner(keras.layers.ReLU()(image)))
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    found = (lambda X: logits_of(network(X))) if eager else tf.function(lambda X: logits_of(network(X)))
    kernel, bias = dense.get_weights()
    assert np.asarray(found(rows)) == pytest.approx(np.maximum(rows, 0) @ kernel + bias, abs=1e-6)
    with pytest.raises(BaseUnavailable, match="cannot follow"):
        logits_of(rows)


@pytest.mark.parametrize("use", [graph_nodes, all_layers, lambda model: Blocks(model, model)])
def test_a_keras_without_them_is_refused_in_one_line(model: Any, use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the version that is installed, and one that will do."""
    monkeypatch.delattr(model, "_nodes_by_depth")
    monkeypatch.delattr(keras.layers.Layer, "_flatten_layers")
    version = re.escape(keras.__version__)
    with pytest.raises(
        BaseUnavailable, match=rf"^Keras {version} has changed inside .*: install keras 3\.15, or a newer"
    ):
        use(model)


def test_they_are_used_in_one_module() -> None:
    """So that one module changes when Keras does."""
    private = re.compile(r"_nodes_by_depth|_flatten_layers|keras\.src|_keras_history|_keras_logits|_inbound_nodes")
    package = Path(featstore.__file__).parent
    users = {path.name for path in package.rglob("*.py") if private.search(path.read_text())}
    assert users == {"keras_internals.py"}
