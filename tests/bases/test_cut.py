"""Cutting by the names that a user knows: those of a fresh process, or those in a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from featstore.bases.cut import cut, layer_names
from featstore.errors import UsageError


@pytest.fixture
def lazily() -> Iterator[None]:
    """Variables have shapes but no memory, and names are counted from the start, as in a fresh process."""
    keras.backend.clear_session()
    with keras.StatelessScope(initialize_variables=False):
        yield


def named(*names: str) -> Any:
    """Convolutions of these names in a row, for images of 8x8 px."""
    inputs = x = keras.Input((8, 8, 3))
    for name in names:
        x = keras.layers.Conv2D(2, 3, padding="same", name=name)(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("base, side", [("InceptionV3", 75), ("MobileNetV3Small", 32), ("ConvNeXtTiny", 32)])
def test_names_are_those_of_a_fresh_process(lazily: None, base: str, side: int) -> None:
    """The numbers of branches that are built in another order than they stand in stay right, in every later build."""
    build = getattr(keras.applications, base)
    first, second = (build(weights=None, include_top=False, input_shape=(side, side, 3)) for _ in range(2))
    fresh = [layer.name for layer in first.layers]
    assert len(set(fresh)) == len(fresh)
    assert [layer.name for layer in second.layers] != fresh
    assert layer_names(first) == layer_names(second) == fresh


def test_a_layer_is_found_under_its_name_in_every_build(lazily: None) -> None:
    """The last convolution of InceptionV3 is `conv2d_93`, however many convolutions a process has made before."""
    named(*(f"other_{i}" for i in range(3)))
    keras.layers.Conv2D(2, 3)
    for _ in range(2):
        model = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(75, 75, 3))
        convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        newest = max(convolutions, key=lambda layer: int(layer.name.rpartition("_")[2]))
        assert len(convolutions) == 94
        assert cut(model, "conv2d_93", "none").output is newest.output


def test_the_names_in_a_file_are_left_alone() -> None:
    """A saved model is cut by the names it was saved with, even where they look like automatic ones."""
    model = named("conv2d_9", "conv2d_7", "end")
    for name in ("conv2d_9", "conv2d_7"):
        assert cut(model, name, "none", saved=True).output is model.get_layer(name).output
    with pytest.raises(UsageError, match="no layer 'conv2d'"):
        cut(model, "conv2d", "none", saved=True)


def test_a_name_of_another_kind_of_layer_is_no_number() -> None:
    """A layer that somebody called like the convolutions of Keras is not counted among them."""
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.ReLU(name="conv2d_5")(keras.layers.Conv2D(2, 3)(inputs)))
    assert layer_names(model)[1:] == ["conv2d", "conv2d_5"]


def test_a_cut_gives_the_activation_of_the_layer() -> None:
    """The map itself, its mean and its maximum over the space."""
    model = named("first", "second")
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    maps = np.asarray(model.get_layer("first")(images))
    np.testing.assert_allclose(np.asarray(cut(model, "first", "none")(images)), maps, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.asarray(cut(model, "first", "avg")(images)), maps.mean((1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.asarray(cut(model, "first", "max")(images)), maps.max((1, 2)), rtol=1e-5, atol=1e-6)


def test_a_layer_that_is_not_there_is_answered_with_the_nearest_names() -> None:
    """As the user wrote it, and as it may have been meant."""
    with pytest.raises(UsageError, match="no layer 'conv_pw_13_rel'.*did you mean .*conv_pw_13_relu"):
        cut(named("conv_pw_13_relu", "other"), "conv_pw_13_rel", "avg")


def test_what_is_no_map_is_not_pooled() -> None:
    """The message says what to give instead."""
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(UsageError, match="pool='none'"):
        cut(keras.Model(inputs, keras.layers.Flatten()(inputs)), "last", "avg")


def test_several_outputs_are_refused() -> None:
    """Which of them would be the features?"""
    inputs = keras.Input((8, 8, 3))
    inner = keras.Model(inputs, [keras.layers.ReLU()(inputs), keras.layers.ReLU()(inputs)], name="twins")
    model = keras.Model(inputs, keras.layers.Add()(inner(inputs)))
    with pytest.raises(UsageError, match="layer 'twins' has several outputs"):
        cut(model, "twins", "avg")


def test_pooling_is_exact_whatever_a_process_has_set() -> None:
    """Mixed precision of the user's own networks would round the mean to 10 bits."""
    model = named("only")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        pooled = cut(model, "only", "avg")
    finally:
        keras.config.set_dtype_policy("float32")
    assert pooled.output.dtype == "float32"
