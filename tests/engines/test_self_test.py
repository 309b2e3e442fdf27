"""The self-test of a user's network: a row depends on its image alone, or the network is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from featstore import extract
from featstore.bases.catalog import BASES
from featstore.bases.source import BATCH, parse_source
from featstore.datasets.file_lists import list_files
from featstore.engines.self_test import SelfTested
from featstore.engines.tensorflow import TensorFlowNetwork
from featstore.errors import BaseUnavailable
from featstore.features.load import load_features
from featstore.images.preprocessing import NAMED
from helpers.networks import fresh, shrink_convnext
from helpers.passes import FakeNetwork
from helpers.photos import draw

layers = keras.layers
SIDE = 32
IMAGES = np.stack([np.asarray(draw("discs", number, (SIDE, SIDE))) for number in range(40)])


class Stateful:
    """Each call adds a little to what the last one returned."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.calls += 1
        return means(images) + self.calls


def means(images: np.ndarray) -> np.ndarray:
    """Return rows (n, 3) in batches of 32, as networks do: the rest of a batch is black."""
    assert len(images) <= BATCH
    return images.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)


def by_batch(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    def encode(images: np.ndarray) -> np.ndarray:
        batch = np.zeros((BATCH, *images.shape[1:]), images.dtype)
        batch[: len(images)] = images
        return function(means(batch))[: len(images)]

    return encode


MIXING: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda x: x - x.mean(axis=0),
    "slightly": lambda x: x - 1e-3 * x.mean(axis=0),
    "largest": lambda x: x / x.max(axis=0),
    "neighbour": lambda x: x + np.roll(x, 1, axis=0),
    "place": lambda x: x + np.arange(len(x))[:, None],
    "pairs": lambda x: x.reshape(-1, 2, 3)[:, ::-1].reshape(-1, 3),
}


@pytest.mark.parametrize("images", [1, 2, 5, BATCH])
@pytest.mark.parametrize("how", MIXING)
def test_a_network_that_mixes_images_is_refused(how: str, images: int) -> None:
    """It is found in the first call, whether that is for one image or a full batch."""
    with pytest.raises(BaseUnavailable, match=r"m.keras: .* difference of .*: other images of its batch change it"):
        SelfTested(FakeNetwork(by_batch(MIXING[how])), "m.keras")(IMAGES[:images])


@pytest.mark.parametrize("images", [1, 5, BATCH])
def test_a_network_that_changes_from_call_to_call_is_refused(images: int) -> None:
    """Random numbers and a state are told apart from other images of the batch."""
    rng = np.random.default_rng(0)
    for network in (Stateful(), by_batch(lambda x: x * rng.normal(1, 1e-3, x.shape).astype(np.float32))):
        with pytest.raises(BaseUnavailable, match="it changes from call to call"):
            SelfTested(FakeNetwork(network), "m.keras")(IMAGES[:images])


def test_numbers_that_are_not_finite_have_to_stay_where_they_are() -> None:
    """An image may have no features, but not because of another one."""
    SelfTested(FakeNetwork(by_batch(lambda x: np.where(x > 200, np.nan, x))), "m.keras")(IMAGES[:5])
    SelfTested(FakeNetwork(by_batch(lambda x: np.full_like(x, np.nan))), "m.keras")(IMAGES[:5])
    with pytest.raises(BaseUnavailable, match="a difference of inf"):
        SelfTested(FakeNetwork(by_batch(lambda x: x + (np.nan if x.min() == 0 else 0))), "m.keras")(IMAGES[:BATCH])


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_rounding_and_blank_images_are_no_reason_to_refuse(scale: float) -> None:
    """The last bits depend on the place in the batch, and the features of a blank image may consist of nothing else."""

    def rounding(x: np.ndarray) -> np.ndarray:
        return (scale * (x + 1e-6 * np.arange(len(x))[:, None] * x.max())).astype(np.float32)

    blank = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    for images in (IMAGES[:1], IMAGES[:BATCH], blank, np.concatenate([blank, IMAGES[:3]])):
        SelfTested(FakeNetwork(by_batch(rounding)), "m.keras")(images)


@pytest.mark.parametrize("extreme", [0, 255])
@pytest.mark.parametrize("images", [1, BATCH])
def test_the_first_image_may_hide_the_others(extreme: int, images: int) -> None:
    """It may be the brightest of all, which a network divides by; so a grey image is tested too."""
    mixing = {0: lambda x: x - x.min(axis=0), 255: lambda x: x / x.max(axis=0)}[extreme]
    first = np.full((1, SIDE, SIDE, 3), extreme, np.uint8)
    with pytest.raises(BaseUnavailable, match="other images of its batch change it"):
        SelfTested(FakeNetwork(by_batch(mixing)), "m.keras")(np.concatenate([first, IMAGES])[:images])


def test_it_costs_two_batches_once() -> None:
    """Later calls are those of the network."""
    calls: list[int] = []
    tested = SelfTested(FakeNetwork(lambda images: (calls.append(len(images)), means(images))[1]), "m.keras")
    for number in (5, BATCH, 1):
        assert np.array_equal(tested(IMAGES[:number])[0], means(IMAGES[:number]))
    assert calls == [5, BATCH, BATCH, BATCH, 1]


# Networks of Keras, saved and loaded


def save(path: Path, middle: Callable[[Any], Any]) -> str:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 3, strides=2)(layers.Rescaling(1 / 255)(inputs))
    keras.Model(inputs, layers.Conv2D(6, 3)(middle(x))).save(path)
    return str(path)


REFUSED: dict[str, Callable[[Any], Any]] = {
    "mean of the batch": lambda x: x - keras.ops.mean(x, axis=0, keepdims=True),
    "softmax over the batch": layers.Softmax(axis=0),
    "attention between images": lambda x: keras.ops.reshape(
        layers.Attention()([keras.ops.reshape(x, (1, -1, 4))] * 2), (-1, 15, 15, 4)
    ),
}


@pytest.mark.parametrize("middle", REFUSED)
def test_a_saved_network_of_that_kind_stores_nothing(middle: str, photos: Path, tmp_path: Path) -> None:
    """Neither for a folder nor for one image, which is refused again when it is tried again."""
    model = save(tmp_path / "m.keras", REFUSED[middle])
    for data in (photos, photos, list_files([next(photos.glob("*/*.png"))])):
        with pytest.raises(BaseUnavailable, match=r"m.keras: expected the same output for the same image"):
            extract(data, model=model, preprocess="raw", cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*/*/s-*.h5"))


def test_a_network_that_keeps_a_state_is_refused(photos: Path, tmp_path: Path) -> None:
    """An LSTM over the halves of an image that goes on where the last image of its place ended."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(batch_shape=(BATCH, SIDE, SIDE, 3))
    halves = layers.Reshape((2, 3 * SIDE * SIDE // 2))(layers.Rescaling(1 / 255)(inputs))
    keras.Model(inputs, layers.LSTM(4, stateful=True)(halves)).save(tmp_path / "m.keras")
    with pytest.raises(BaseUnavailable, match="it changes from call to call"):
        extract(photos, model=str(tmp_path / "m.keras"), preprocess="raw", pool="none", cache=tmp_path / "cache")


ACCEPTED: dict[str, Callable[[Any], Any]] = {
    "normalization": lambda x: layers.LayerNormalization()(layers.BatchNormalization()(x)),
    "attention within an image": lambda x: layers.Reshape((15, 15, 4))(
        layers.MultiHeadAttention(2, 2)(*[layers.Reshape((225, 4))(x)] * 2)
    ),
    "less the mean of the image": lambda x: x - keras.ops.mean(x, axis=(1, 2), keepdims=True),
}


TRAINING: dict[str, Callable[..., Any]] = {
    "dropout": layers.Dropout(0.5),
    "noise": layers.GaussianNoise(1.0),
    "statistics of the batch": layers.BatchNormalization(),
    "random views": layers.RandomTranslation(0.2, 0.2),
}


@pytest.mark.parametrize("middle", TRAINING)
def test_layers_that_were_called_for_training_run_as_for_inference(middle: str, photos: Path, tmp_path: Path) -> None:
    """They do not change from call to call: the network says for all layers that it is not training."""
    found = []
    for training in (True, False):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((SIDE, SIDE, 3))
        x = layers.Conv2D(4, 3, strides=2)(layers.Rescaling(1 / 255)(inputs))
        keras.Model(inputs, TRAINING[middle](x, training=training)).save(tmp_path / "m.keras")
        extraction = extract(photos, model=str(tmp_path / "m.keras"), preprocess="raw", cache=tmp_path / "cache")
        found.append(load_features(extraction.manifest, extraction.features[0].spec, cache=tmp_path / "cache").X)
    assert np.allclose(*found, rtol=1e-3)


@pytest.mark.parametrize("middle", ACCEPTED)
def test_what_depends_on_the_image_alone_is_accepted(middle: str, photos: Path, tmp_path: Path) -> None:
    """Layers may mix the positions of an image."""
    model = save(tmp_path / "m.keras", ACCEPTED[middle])
    found = extract(photos, model=model, preprocess="raw", cache=tmp_path / "cache")
    assert found.features[0].computed == 24


FAMILIES = ["VGG16", "ResNet50V2", "MobileNetV2", "MobileNetV3Small", "DenseNet121", "EfficientNetB0", "ConvNeXtTiny"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_bases_of_keras_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So they are not tested in each process."""
    shrink_convnext(monkeypatch)
    source = parse_source(name, "random", None, 0)
    side = BASES[name].min_size
    tested = SelfTested(TensorFlowNetwork(fresh(source, side, side), NAMED["raw"]), name)
    for images in (IMAGES[:1], IMAGES[:BATCH]):
        tested._passed = False
        tested(np.tile(images, (1, -(-side // SIDE), -(-side // SIDE), 1))[:, :side, :side])
