"""A network as a function: each row depends only on its image, and the weights are those of the spec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from featstore.bases.build import load_base, weights_digest
from featstore.bases.cut import cut_at, cut_at_all
from featstore.bases.source import BATCH, parse_source
from featstore.datasets.digests import DigestMemory
from featstore.engines.tensorflow import TensorFlowNetwork, load_tensorflow_network
from featstore.errors import BaseUnavailable, UsageError
from featstore.extraction.encoder import make_encoder
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve_recipe
from featstore.images.preprocessing import NAMED, Preprocessing
from helpers.photos import draw

IMAGES = np.stack([np.asarray(draw("discs", number, (32, 32))) for number in range(40)])


def one(model: Any, preprocessing: Preprocessing, batch: int = BATCH) -> Callable[[np.ndarray], np.ndarray]:
    """Return a network with one output as a function to its rows."""
    network = TensorFlowNetwork(model, preprocessing, batch)
    return lambda images: network(images)[0]


@pytest.fixture(scope="module")
def tiny() -> Any:
    return load_base(parse_source("tiny", None, None, 0), 32, 32)


def test_a_row_does_not_depend_on_its_neighbours(tiny: Any) -> None:
    """An image has the same features alone and among others; its place in the batch changes the last bits at most."""
    network = one(tiny, NAMED["tf"])
    together = network(IMAGES)
    assert together.shape == (40, 8, 8, 256)
    assert together.dtype == np.float32
    assert np.array_equal(network(IMAGES[:1])[0], together[0])
    assert np.array_equal(network(np.concatenate([IMAGES[:1], IMAGES[20:30]]))[0], together[0])
    difference = np.linalg.norm((network(IMAGES[::-1])[::-1] - together).reshape(40, -1), axis=1)
    assert (difference < 1e-6 * np.linalg.norm(together.reshape(40, -1), axis=1)).all()


def test_features_are_those_of_the_model_called_directly(tiny: Any) -> None:
    """Features equal those of preprocess_input and the model, for any batch size, order and number of calls."""
    prepared = keras.applications.mobilenet.preprocess_input(IMAGES.astype("float32"))
    expected = np.asarray(tiny(prepared, training=False)).mean(axis=(1, 2))
    pooled = cut_at(tiny, "last", "avg")
    for batch in (1, 8, 64):
        np.testing.assert_allclose(one(pooled, NAMED["tf"], batch)(IMAGES), expected, rtol=1e-4, atol=1e-5)
    order = np.random.default_rng(0).permutation(40)
    network, shuffled = one(pooled, NAMED["tf"]), IMAGES[order]
    found = np.concatenate([network(shuffled[:7]), network(shuffled[7:])])
    np.testing.assert_allclose(found, expected[order], rtol=1e-4, atol=1e-5)


def test_several_layers_are_outputs_of_one_network(tiny: Any) -> None:
    """In the order asked for, each as if it were the only one."""
    cuts = [("last", "avg"), (tiny.layers[3].name, "none"), ("last", "max"), ("last", "none")]
    outputs = TensorFlowNetwork(cut_at_all(tiny, cuts), NAMED["tf"])(IMAGES)
    assert len(outputs) == 4
    for (layer, pool), found in zip(cuts, outputs, strict=True):
        alone = one(cut_at(tiny, layer, pool), NAMED["tf"])(IMAGES)
        np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", NAMED)
def test_preprocessing_in_the_graph_is_the_formula(variant: str) -> None:
    """The input of the network equals Preprocessing.apply, for bytes and for the floats of keras-compat."""
    inputs = keras.Input((8, 8, 3))
    network = one(keras.Model(inputs, keras.layers.Activation("linear")(inputs)), NAMED[variant])
    images = IMAGES[:5, :8, :8]
    for given in (images, images.astype(np.float32) / 2):
        np.testing.assert_allclose(network(given), NAMED[variant].apply(given), rtol=1e-5, atol=1e-5)


def test_running_a_base_leaves_it_as_it_was(tiny: Any) -> None:
    """Its batch statistics are used, and not updated."""
    before = weights_digest(tiny)
    one(tiny, NAMED["tf"])(IMAGES)
    assert weights_digest(tiny) == before


def test_a_base_runs_without_tf32(tmp_path: Path) -> None:
    """Even if the program has turned it on, for whom it stays on."""
    recipe = Recipe(model="tiny")
    encode = make_encoder(recipe.source(), resolve_recipe(recipe, DigestMemory(tmp_path)))
    tf.config.experimental.enable_tensor_float_32_execution(True)
    found: list[bool] = []

    class Asking(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            found.append(tf.config.experimental.tensor_float_32_execution_enabled())
            return x

    inputs = keras.Input((8, 8, 3))
    found.clear()
    one(keras.Model(inputs, Asking()(inputs)), NAMED["raw"])(np.zeros((1, 8, 8, 3), np.float32))
    assert found[-1:] == [False]
    assert encode(IMAGES[:1]).dtype == np.float32
    assert tf.config.experimental.tensor_float_32_execution_enabled()


def test_the_images_are_not_changed() -> None:
    """Preprocessing is part of the graph; the caller's array keeps its values."""
    inputs = keras.Input((8, 8, 3))
    images = np.full((2, 8, 8, 3), 7, np.float32)
    one(keras.Model(inputs, keras.layers.ReLU()(inputs)), NAMED["caffe"])(images)
    assert (images == 7).all()


def test_other_weights_than_those_of_the_spec_are_refused(tmp_path: Path) -> None:
    """Rows of a key are never made by a network with other weights."""
    recipe = Recipe(model="tiny", weights="random")
    spec = resolve_recipe(recipe, DigestMemory(tmp_path))
    with pytest.raises(BaseUnavailable, match="the weights of tiny are not those"):
        load_tensorflow_network(recipe.source(), [replace(spec, weights="0" * 64)], None)


def save(path: Path, seed: int) -> Path:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, name="conv2d_4")(inputs)
    keras.Model(inputs, keras.layers.Conv2D(6, 3, name="conv2d_2")(x)).save(path)
    return path


def test_a_user_file_is_cut_by_the_names_in_it(tmp_path: Path) -> None:
    """The layer is the one of that name in the model's summary."""
    recipe = Recipe(model=str(save(tmp_path / "b.keras", 0)), preprocess="raw", layer="conv2d_4", pool="none")
    spec = resolve_recipe(recipe, DigestMemory(tmp_path))
    assert make_encoder(recipe.source(), spec)(IMAGES[:3, :16, :16]).shape == (3, 14, 14, 4)


def test_a_user_file_that_was_replaced_is_refused(tmp_path: Path) -> None:
    """The file may change after its digest was computed for the key; its rows would be wrong."""
    path = save(tmp_path / "b.keras", 0)
    recipe = Recipe(model=str(path), preprocess="raw")
    encode = make_encoder(recipe.source(), resolve_recipe(recipe, DigestMemory(tmp_path)))
    save(path, 1)
    with pytest.raises(BaseUnavailable, match="if the file was changed meanwhile, run the same command again"):
        encode(IMAGES[:1, :16, :16])


def save_for_bytes(path: Path, dtype: str = "uint8") -> str:
    """Save a network that returns the pixels it was given, as fractions of 255."""
    inputs = keras.Input((16, 16, 3), dtype=dtype)
    keras.Model(inputs, keras.layers.Rescaling(1 / 255, name="end")(inputs)).save(path)
    return str(path)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_a_base_of_bytes_gets_whole_numbers(tmp_path: Path, dtype: str, order: str) -> None:
    """They are rounded to the nearest, and kept within 0 to 255 where the dtype ends there: not cut off or wrapped."""
    model = save_for_bytes(tmp_path / "b.keras", dtype)
    recipe = Recipe(model=model, preprocess=f"order={order}", pool="none")
    encode = make_encoder(recipe.source(), resolve_recipe(recipe, DigestMemory(tmp_path)))
    images = IMAGES[:3, :16, :16]
    flipped = images[..., ::-1] if order == "bgr" else images
    assert np.array_equal(np.rint(encode(images) * 255), flipped)
    for offset in (-0.4, 0.4):
        assert np.array_equal(np.rint(encode(images + np.float32(offset)) * 255), flipped)
    if dtype == "uint8":
        outside = np.array([-3.0, 258.0], np.float32).repeat(16 * 16 * 3).reshape(2, 16, 16, 3)
        assert np.rint(encode(outside) * 255)[:, 0, 0, 0].tolist() == [0, 255]


@pytest.mark.parametrize("variant", ["tf", "rescale", "caffe", "scale=2", "mean=0.5"])
def test_a_base_of_bytes_is_given_no_other_numbers(tmp_path: Path, variant: str) -> None:
    """Scaled pixels would become 0 and 1; this is known before anything is loaded."""
    model = save_for_bytes(tmp_path / "b.keras")
    with pytest.raises(UsageError, match=r"takes whole numbers \(uint8\): expected preprocess='raw'"):
        resolve_recipe(Recipe(model=model, preprocess=variant, pool="none"), DigestMemory(tmp_path))


@pytest.mark.parametrize("dtype", ["int8", "bool"])
def test_a_base_that_cannot_be_given_pixels_is_refused(tmp_path: Path, dtype: str) -> None:
    """An int8 ends at 127."""
    recipe = Recipe(model=save_for_bytes(tmp_path / "b.keras", dtype), preprocess="raw", pool="none")
    encode = make_encoder(recipe.source(), resolve_recipe(recipe, DigestMemory(tmp_path)))
    with pytest.raises(BaseUnavailable, match=f"holds pixels from 0 to 255, found {dtype}"):
        encode(IMAGES[:1, :16, :16])
