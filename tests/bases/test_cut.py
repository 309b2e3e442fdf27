"""Cutting at a layer by its name in a fresh process, or in a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from featstore.bases.cut import cut_at, layer_names
from featstore.errors import UsageError


@pytest.fixture
def lazily() -> Iterator[None]:
    """Build networks whose variables have shapes but no memory, and count names from the start."""
    keras.backend.clear_session()
    with keras.StatelessScope(initialize_variables=False):
        yield


def named(*names: str) -> Any:
    """Return a chain of convolutions with these names, for images of 8x8 px."""
    inputs = x = keras.Input((8, 8, 3))
    for name in names:
        x = keras.layers.Conv2D(2, 3, padding="same", name=name)(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("base, side", [("InceptionV3", 75), ("MobileNetV3Small", 32), ("ConvNeXtTiny", 32)])
def test_names_are_those_of_a_fresh_process(lazily: None, base: str, side: int) -> None:
    """The numbers are right in every build, also for branches that are not built in the order of the layers."""
    build = getattr(keras.applications, base)
    first, second = (build(weights=None, include_top=False, input_shape=(side, side, 3)) for _ in range(2))
    fresh = [layer.name for layer in first.layers]
    assert len(set(fresh)) == len(fresh)
    assert [layer.name for layer in second.layers] != fresh
    assert layer_names(first) == layer_names(second) == fresh


def test_a_layer_is_found_under_its_name_in_every_build(lazily: None) -> None:
    """The last convolution of InceptionV3 is `conv2d_93`, also if a process has made convolutions before."""
    named(*(f"other_{i}" for i in range(3)))
    keras.layers.Conv2D(2, 3)
    for _ in range(2):
        model = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(75, 75, 3))
        convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        newest = max(convolutions, key=lambda layer: int(layer.name.rpartition("_")[2]))
        assert len(convolutions) == 94
        assert cut_at(model, "conv2d_93", "none").output is newest.output


def test_the_names_in_a_file_are_used_unchanged() -> None:
    """A saved model is cut by the names it was saved with, even if they look like automatic ones."""
    model = named("conv2d_9", "conv2d_7", "end")
    for name in ("conv2d_9", "conv2d_7"):
        assert cut_at(model, name, "none", saved=True).output is model.get_layer(name).output
    with pytest.raises(UsageError, match="no layer 'conv2d'"):
        cut_at(model, "conv2d", "none", saved=True)


def test_an_automatic_name_of_another_kind_of_layer_is_not_counted() -> None:
    """A ReLU that a user called conv2d_5 is not one of the convolutions."""
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.ReLU(name="conv2d_5")(keras.layers.Conv2D(2, 3)(inputs)))
    assert layer_names(model)[1:] == ["conv2d", "conv2d_5"]


def test_a_cut_gives_the_activation_of_the_layer() -> None:
    """The result is the map itself, or its mean or maximum over space."""
    model = named("first", "second")
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    maps = np.asarray(model.get_layer("first")(images))
    np.testing.assert_allclose(np.asarray(cut_at(model, "first", "none")(images)), maps, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        np.asarray(cut_at(model, "first", "avg")(images)), maps.mean((1, 2)), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        np.asarray(cut_at(model, "first", "max")(images)), maps.max((1, 2)), rtol=1e-5, atol=1e-6
    )


def test_an_unknown_layer_is_answered_with_similar_names() -> None:
    """The message has the given name and similar ones."""
    with pytest.raises(UsageError, match="no layer 'conv_pw_13_rel'.*did you mean .*conv_pw_13_relu"):
        cut_at(named("conv_pw_13_relu", "other"), "conv_pw_13_rel", "avg")


def test_an_activation_that_is_not_a_map_is_not_pooled() -> None:
    """The message names the remedy."""
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(UsageError, match="pool='none'"):
        cut_at(keras.Model(inputs, keras.layers.Flatten()(inputs)), "last", "avg")


def test_a_classifier_is_answered_with_the_layer_before_it() -> None:
    """A user's own network mostly ends in one, and its last map is what is wanted."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="body")(inputs)
    x = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    for model in (keras.Model(inputs, x), keras.Sequential(keras.Model(inputs, x).layers, name="row")):
        with pytest.raises(UsageError, match="pool='none', or name a layer with maps, as in layer='body'"):
            cut_at(model, "last", "avg")


def test_the_outputs_of_a_network_with_several_are_named() -> None:
    """By the layers that make them, since each of them can be kept."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="one")(inputs)
    model = keras.Model(inputs, [x, keras.layers.Conv2D(4, 3, name="two")(x)])
    with pytest.raises(UsageError, match="several outputs: name a layer with one, as in layer='one' or layer='two'"):
        cut_at(model, "last", "avg")


def test_several_outputs_are_refused() -> None:
    """Features are one tensor."""
    inputs = keras.Input((8, 8, 3))
    inner = keras.Model(inputs, [keras.layers.ReLU()(inputs), keras.layers.ReLU()(inputs)], name="twins")
    model = keras.Model(inputs, keras.layers.Add()(inner(inputs)))
    with pytest.raises(UsageError, match="layer 'twins' has several outputs"):
        cut_at(model, "twins", "avg")


def test_pooling_is_exact_under_mixed_precision() -> None:
    """A policy of the user's program would round the mean to 10 bits."""
    model = named("only")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        pooled = cut_at(model, "only", "avg")
    finally:
        keras.config.set_dtype_policy("float32")
    assert pooled.output.dtype == "float32"


def test_a_layer_that_is_used_twice_has_no_output_of_its_own() -> None:
    """Keras would return that of the first use."""
    inputs = keras.Input((8, 8, 3))
    twice = keras.layers.Conv2D(3, 3, padding="same", name="twice")
    with pytest.raises(UsageError, match="layer 'twice' is used 2 times"):
        cut_at(keras.Model(inputs, twice(twice(inputs))), "twice", "avg")


def test_a_network_within_a_network_is_a_layer() -> None:
    """Its output is that in the outer network. A sequence of layers can be cut as well."""
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, name="conv"), keras.layers.ReLU()])
    inputs = keras.Input((8, 8, 3))
    outer = keras.Model(inputs, keras.layers.Conv2D(4, 3)(inner(keras.layers.Rescaling(2.0)(inputs))))
    np.testing.assert_allclose(cut_at(outer, inner.name, "none")(images), inner(2 * images), rtol=1e-5, atol=1e-6)
    assert cut_at(inner, "conv", "none").output_shape == (None, 6, 6, 2)
