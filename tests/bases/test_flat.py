"""Networks within networks: each layer of theirs can be named, kept and unfrozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from featstore.bases.blocks import Blocks
from featstore.bases.build import build_new
from featstore.bases.cut import cut_at
from featstore.bases.flat import flatten
from featstore.bases.source import parse_source

SIDE = 32
IMAGES = np.random.default_rng(0).uniform(0, 1, (2, SIDE, SIDE, 3)).astype("float32")


def base(name: str = "base") -> Any:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 3, strides=2, name=f"{name}_conv1")(inputs)
    x = layers.Add(name=f"{name}_add")([x, layers.Conv2D(4, 3, padding="same", name=f"{name}_conv2")(x)])
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.Model(inputs, layers.Conv2D(8, 3, strides=2, name=f"{name}_conv3")(x), name=name)


def functional(inner: Any) -> Any:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = inner(layers.Rescaling(2.0, name="scaled")(inputs), training=False)
    return keras.Model(inputs, layers.Dense(2, name="scores")(layers.GlobalAveragePooling2D(name="pooled")(x)))


def sequential(inner: Any) -> Any:
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), inner, layers.Flatten(), layers.Dense(2)])


def deep(inner: Any) -> Any:
    middle = keras.Sequential([keras.Input((SIDE, SIDE, 3)), inner, layers.ReLU(name="relu")], name="middle")
    return functional(middle)


@pytest.mark.parametrize("make", [functional, sequential, deep])
def test_the_network_stays_the_same(make: Any, tmp_path: Path) -> None:
    """Its output, and that of the inner network under its name, are those of before; inner layers have outputs too."""
    inner = base()
    whole = make(inner)
    whole.save(tmp_path / "m.keras")
    flat = build_new(parse_source(str(tmp_path / "m.keras"), None, None, 0), SIDE, SIDE).model
    assert not [layer for layer in flat.layers if isinstance(layer, keras.Model)]
    np.testing.assert_allclose(flat(IMAGES), whole(IMAGES), rtol=1e-6)
    given = IMAGES if make is sequential else 2 * IMAGES
    np.testing.assert_allclose(cut_at(flat, "base", "none", saved=True)(IMAGES), inner(given), rtol=1e-6)
    first = keras.Model(inner.inputs[0], inner.get_layer("base_conv1").output)
    np.testing.assert_allclose(cut_at(flat, "base_conv1", "none", saved=True)(IMAGES), first(given), rtol=1e-6)


def test_an_inner_network_can_be_unfrozen_in_part() -> None:
    """Its blocks are found as those of a base of the catalogue, which is also what a wrong name is answered with."""
    flat = flatten(functional(base()))
    body = cut_at(flat, "base", "avg", saved=True)
    blocks = Blocks(flat, body, saved=True)
    assert blocks.before("base_conv3").layer == "base_bn"
    assert [block.layer for block in blocks.ends(None)] == ["base_bn", "scaled"]


def test_networks_with_layers_of_the_same_name_stay_as_they_are() -> None:
    """A layer has to be named by its name alone; the inner networks can be named as before."""
    inputs = keras.Input((SIDE, SIDE, 3))
    one = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Conv2D(3, 1, name="conv")], name="one")
    two = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Conv2D(3, 1, name="conv")], name="two")
    whole = keras.Model(inputs, two(one(inputs)))
    assert flatten(whole) is whole
    np.testing.assert_array_equal(cut_at(whole, "one", "none", saved=True)(IMAGES), one(IMAGES))


def test_a_network_without_inner_ones_stays_as_it_is() -> None:
    """So no base of the catalogue, and no other network of a user's, is built anew."""
    plain = base()
    assert flatten(plain) is plain


def test_a_network_that_is_used_twice_stays_as_it_is() -> None:
    """A layer with two outputs has none of its own."""
    inputs = keras.Input((SIDE, SIDE, 3))
    inner = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Conv2D(3, 1, name="conv")], name="inner")
    whole = keras.Model(inputs, inner(inner(inputs)))
    assert flatten(whole) is whole
