"""Bases with their ImageNet classifier: files of the wrong kind, other sizes, and outputs that are probabilities."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from featstore.bases.build import load_base
from featstore.bases.held import release_bases
from featstore.bases.source import BaseSource, parse_source
from featstore.bases.weights_file import IMAGENET_CLASSES, holds_classifier
from featstore.datasets.digests import DigestMemory
from featstore.engines.tensorflow import load_tensorflow_network
from featstore.errors import BaseUnavailable, UsageError
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve_recipe
from helpers.networks import fresh, save_legacy, save_model, save_weights, shrink_efficientnet

SIDE = 32


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Drop the bases that a test has built."""
    yield
    release_bases()


def mobilenet(weights: str, top: bool) -> BaseSource:
    return parse_source("MobileNet", weights, 0.25, 1, top)


@pytest.fixture(scope="module")
def networks() -> dict[bool, Any]:
    """A MobileNet with alpha 0.25 and random weights, with and without its classifier."""
    return {top: fresh(mobilenet("random", top), SIDE, SIDE) for top in (True, False)}


def test_a_file_with_the_classifier_is_recognised(tmp_path: Path) -> None:
    """It has the bias of 1,000 outputs."""
    for name, width in (("with.h5", 1000), ("without.h5", 256)):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_group("predictions").create_dataset("bias:0", data=np.zeros(width))
    assert holds_classifier(str(tmp_path / "with.h5"))
    assert not holds_classifier(str(tmp_path / "without.h5"))
    (tmp_path / "broken.h5").write_bytes(b"x")
    with pytest.raises(BaseUnavailable, match="is a text that begins with 'x'"):
        holds_classifier(str(tmp_path / "broken.h5"))


@pytest.mark.parametrize("save", [save_legacy, save_weights, save_model])
def test_a_file_without_the_classifier_is_named_as_such(networks: Any, tmp_path: Path, save: Any) -> None:
    """In each format the error says so, without a warning of Keras."""
    path = save(networks[False], tmp_path / "w")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(BaseUnavailable, match="is one without the classifier; expected the file with the") as e:
            fresh(mobilenet(str(path), True), SIDE, SIDE)
    assert str(e.value).startswith(f"{path}: these weights do not fit MobileNet-0.25-top with its ImageNet classifier")
    assert "\n" not in str(e.value)
    assert not [warning for warning in said if warning.category is UserWarning]


@pytest.mark.parametrize("save", [save_legacy, save_weights, save_model])
def test_a_file_with_the_classifier_fills_the_base_alone(networks: Any, tmp_path: Path, save: Any) -> None:
    """All weights of the base are loaded, so the file is accepted."""
    path = save(networks[True], tmp_path / "w")
    loaded = fresh(mobilenet(str(path), False), SIDE, SIDE)
    for found, expected in zip(loaded.weights, networks[True].weights, strict=False):
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_a_top_works_at_other_sizes(networks: Any, tmp_path: Path) -> None:
    """Pooling comes before the classifier, so the same weights give probabilities at any size."""
    path = save_legacy(networks[True], tmp_path / "w")
    source = mobilenet(str(path), True)
    source.check_size(48, 64)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 48, 64, 3)).astype("float32")
    rows = np.asarray(fresh(source, 48, 64)(images))
    assert rows.shape == (2, IMAGENET_CLASSES)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("weights", ["imagenet", "file"])
@pytest.mark.parametrize("name", ["VGG16", "VGG19"])
def test_a_top_that_flattens_has_one_size(tmp_path: Path, name: str, weights: str) -> None:
    """The error comes before TensorFlow loads; without the classifier any size is accepted."""
    (tmp_path / "w.h5").touch()
    given = weights if weights == "imagenet" else str(tmp_path / "w.h5")
    parse_source(name, given, None, 0, True).check_size(224, 224)
    parse_source(name, given, None, 0).check_size(48, 48)
    with pytest.raises(UsageError, match=rf"{name} takes images of 224x224 px only, not 48x48: .* flattens the map"):
        parse_source(name, given, None, 0, True).check_size(48, 48)


def test_the_rows_of_a_base_with_its_top_are_its_probabilities(tmp_path: Path) -> None:
    """A flat output is kept without pooling."""
    recipe = Recipe(model="MobileNet", alpha=0.25, weights="random", size=SIDE, top=True, dtype="float32")
    spec = resolve_recipe(recipe, DigestMemory(tmp_path))
    assert (spec.layer, spec.pool) == ("last", "none")
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    rows = load_tensorflow_network(recipe.source(), [spec], None)(images)[0]
    expected = np.asarray(load_base(recipe.source(), SIDE, SIDE)(spec.preprocessing.apply(images)))
    np.testing.assert_allclose(rows, expected, rtol=1e-4)
    assert spec.weights != resolve_recipe(Recipe(**{**recipe.describe(), "top": False}), DigestMemory(tmp_path)).weights


def test_efficientnet_with_its_top_is_scaled_as_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base from a file has the scaling that Keras adds for weights="imagenet"."""
    shrink_efficientnet(monkeypatch)
    path = save_legacy(fresh(parse_source("EfficientNetB0", "random", None, 1, True), SIDE, SIDE), tmp_path / "w")
    monkeypatch.setattr("keras.src.applications.efficientnet.file_utils.get_file", lambda *_, **__: str(path))
    published = keras.applications.EfficientNetB0(weights="imagenet")  # Keras has its top for 224 px only
    ours = fresh(parse_source("EfficientNetB0", str(path), None, 0, True), 224, 224)
    images = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype("float32")
    # Random weights give all classes much the same probability, so the input of the first convolution is compared.
    fed = [np.asarray(keras.Model(m.input, m.get_layer("stem_conv_pad").input)(images)) for m in (ours, published)]
    np.testing.assert_allclose(fed[0], fed[1], rtol=1e-4, atol=1e-4)


def user_model(path: Path, width: int, activation: str | None) -> BaseSource:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    keras.Model(inputs, keras.layers.Dense(width, activation=activation)(x)).save(path)
    return parse_source(str(path), None, None, 0, True)


def test_a_user_file_may_end_in_imagenets_probabilities(tmp_path: Path) -> None:
    """Then it is its own top."""
    model = fresh(user_model(tmp_path / "b.keras", IMAGENET_CLASSES, "softmax"), 8, 8)
    assert model.output_shape == (None, IMAGENET_CLASSES)


@pytest.mark.parametrize(
    "width, activation, found",
    [
        (IMAGENET_CLASSES, None, r"found values from -.* whose sum is"),
        (IMAGENET_CLASSES, "sigmoid", r"found values from 0\..* whose sum is"),
        (10, "softmax", r"found an output of shape \(None, 10\)"),
    ],
)
def test_a_user_file_without_probabilities_is_refused(
    tmp_path: Path, width: int, activation: str | None, found: str
) -> None:
    """Averaging logits over views would be wrong; without its top the same file is accepted."""
    source = user_model(tmp_path / "b.keras", width, activation)
    with pytest.raises(BaseUnavailable, match=found) as caught:
        fresh(source, 8, 8)
    assert "end the model in a softmax" in str(caught.value)
    fresh(parse_source(source.model, None, None, 0), 8, 8)
