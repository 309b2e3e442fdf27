"""Bases: where they come from, how they are built and cut, and that they run as Keras would run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from featstore.bases.build import build, weights_digest
from featstore.bases.cut import cut, layer_names
from featstore.bases.network import Network
from featstore.bases.source import BaseSource, parse_source
from featstore.errors import BaseUnavailable, FeatstoreError, UsageError
from featstore.images.digests import DigestMemory
from featstore.images.variants import NAMED
from featstore.recipe import Recipe, resolve

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest relative L2 difference of a row."""
    found, expected = found.reshape(len(found), -1), expected.reshape(len(expected), -1)
    return float((np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)).max())


@pytest.fixture(scope="module")
def mobilenet() -> Any:
    return build(BaseSource("MobileNet", "random", 0.25, 3), 64, 64)


def test_features_are_those_of_the_model_called_directly(mobilenet: Any) -> None:
    """With preprocess_input in front, in inference mode, for any batch size, order and split into calls."""
    prepared = keras.applications.mobilenet.preprocess_input(IMAGES.astype("float32"))
    expected = np.asarray(mobilenet(prepared, training=False)).mean(axis=(1, 2))
    pooled = cut(mobilenet, "last", "avg")
    for batch in (1, 8, 32, 64):
        network = Network(pooled, NAMED["tf"], batch)
        assert relative(network(IMAGES), expected) < 1e-5
    order = RNG.permutation(40)
    shuffled = Network(pooled, NAMED["tf"])
    assert relative(np.concatenate([shuffled(IMAGES[order][:7]), shuffled(IMAGES[order][7:])]), expected[order]) < 1e-5


def test_float_images_are_taken_as_well(mobilenet: Any) -> None:
    """As the reading keras-compat gives them, with the same result for the same values."""
    network = Network(cut(mobilenet, "last", "max"), NAMED["caffe"])
    assert relative(network(IMAGES.astype(np.float32)), network(IMAGES)) < 1e-6


@pytest.mark.parametrize("variant", NAMED)
def test_preprocessing_in_the_graph_is_the_formula(variant: str) -> None:
    """What the network is fed equals Preprocessing.apply."""
    inputs = keras.Input((8, 8, 3))
    identity = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    images = IMAGES[:5, :8, :8]
    assert Network(identity, NAMED[variant])(images) == pytest.approx(NAMED[variant].apply(images), rel=1e-5, abs=1e-5)


def test_random_weights_repeat_by_seed(mobilenet: Any) -> None:
    """The same seed gives the same digest in another build, another seed another."""
    build.cache_clear()
    again = build(BaseSource("MobileNet", "random", 0.25, 3), 64, 64)
    other = build(BaseSource("MobileNet", "random", 0.25, 4), 64, 64)
    assert weights_digest(again) == weights_digest(mobilenet)
    assert weights_digest(other) != weights_digest(mobilenet)


def test_one_value_changes_the_digest() -> None:
    """By the smallest possible step."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    before = weights_digest(model)
    kernel = np.array(model.weights[0])
    kernel[0, 0] = np.nextafter(kernel[0, 0], 9, dtype=np.float32)
    model.weights[0].assign(kernel)
    assert weights_digest(model) != before


@pytest.mark.parametrize("ending", [".h5", ".weights.h5", ".keras"])
def test_weights_come_from_files(mobilenet: Any, tmp_path: Path, ending: str) -> None:
    """All three formats give the network that was saved."""
    path = tmp_path / f"base{ending}"
    if ending == ".weights.h5":
        mobilenet.save_weights(path)
    elif ending == ".keras":
        mobilenet.save(path)
    else:
        save_legacy(mobilenet, path)
    loaded = build(parse_source("MobileNet", str(path), 0.25, 0), 64, 64)
    assert weights_digest(loaded) == weights_digest(mobilenet)


def save_legacy(model: Any, path: Path) -> None:
    """The layout of the published `.h5` files: a group per layer, weights by name."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{w.name}" for w in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = np.asarray(weight)


@pytest.mark.parametrize("content", [b"", b"not hdf5", None])
def test_weights_that_do_not_fit_are_one_line(mobilenet: Any, tmp_path: Path, content: bytes | None) -> None:
    """Empty, foreign, and of another width multiplier."""
    path = tmp_path / "base.h5"
    if content is None:
        save_legacy(build(BaseSource("MobileNet", "random", 0.5, 3), 64, 64), path)
    else:
        path.write_bytes(content)
    with pytest.raises(BaseUnavailable, match="do not fit") as caught:
        build(parse_source("MobileNet", str(path), 0.25, 0), 64, 64)
    assert "\n" not in str(caught.value)


def test_without_a_network_the_wanted_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And how to give it."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.applications.mobilenet.file_utils.get_file", refuse)
    with pytest.raises(BaseUnavailable, match=r"mobilenet_1_0_224_tf_no_top.h5 .* --weights FILE"):
        build(parse_source("MobileNet", None, None, 0), 64, 64)


def refuse(*arguments: object, **options: object) -> None:
    raise Exception("URL fetch failure")


def test_efficientnet_from_a_file_is_scaled_as_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras adds a scaling for weights="imagenet" only; the same file given by name must give the same features."""
    path = tmp_path / "b0.h5"
    save_legacy(build(BaseSource("EfficientNetB0", "random", None, 1), 64, 64), path)
    monkeypatch.setattr("keras.src.applications.efficientnet.file_utils.get_file", lambda *a, **k: str(path))
    published = keras.applications.EfficientNetB0(include_top=False, weights="imagenet", input_shape=(64, 64, 3))
    ours = build(parse_source("EfficientNetB0", str(path), None, 0), 64, 64)
    batch = IMAGES[:4].astype("float32")
    assert relative(np.asarray(ours(batch, training=False)), np.asarray(published(batch, training=False))) < 1e-5


def test_convnext_is_pooled_before_its_last_normalization() -> None:
    """As Keras does with pooling="avg": pooling the kept map would give other numbers."""
    source = BaseSource("ConvNeXtTiny", "random", None, 1)
    pooled, kept = build(source, 64, 64, "avg"), build(source, 64, 64)
    batch = IMAGES[:2].astype("float32")
    found, by_hand = np.asarray(pooled(batch)), np.asarray(kept(batch)).mean(axis=(1, 2))
    assert found.shape == (2, 768)
    assert weights_digest(pooled) == weights_digest(kept)
    assert kept.output_shape[1:3] == (2, 2)
    assert relative(found, by_hand) > 1e-3


def test_layer_names_are_the_same_in_every_build() -> None:
    """Keras numbers unnamed layers on through a process; here they count from the first of the model."""

    def make() -> Any:
        inputs = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(2, 1)(inputs)
        x = keras.layers.ReLU()(keras.layers.Conv2D(2, 1)(x))
        return keras.Model(inputs, keras.layers.BatchNormalization(name="named")(x))

    first, second = make(), make()
    assert [layer.name for layer in first.layers] != [layer.name for layer in second.layers]
    assert layer_names(first)[1:] == layer_names(second)[1:] == ["conv2d", "conv2d_1", "re_lu", "named"]
    assert cut(second, "conv2d_1", "none").output_shape == (None, 8, 8, 2)


def test_a_layer_that_is_not_there(mobilenet: Any) -> None:
    """The nearest names are offered; pooling what is no map is refused."""
    with pytest.raises(UsageError, match="did you mean .*conv_pw_13_relu"):
        cut(mobilenet, "conv_pw_13_rel", "avg")
    vector = keras.Model(mobilenet.input, keras.layers.Flatten()(mobilenet.output))
    with pytest.raises(UsageError, match="--pool none"):
        cut(vector, "last", "avg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("NoNet", None, None, 0), "unknown base"),
        (("VGG16", None, 0.5, 0), "no width multiplier"),
        (("tiny", "imagenet", None, 0), "not trained on ImageNet"),
        (("VGG16", "weights.txt", None, 0), "ends in"),
        (("VGG16", "gone.h5", None, 0), "no such file"),
        (("gone.keras", None, None, 0), "no such file"),
    ],
)
def test_what_cannot_be_is_said_before_tensorflow_loads(arguments: tuple, message: str) -> None:
    """Unknown bases, options that do not go together, missing files."""
    with pytest.raises(FeatstoreError, match=message):
        parse_source(*arguments)


def test_a_size_below_the_minimum_says_the_minimum() -> None:
    """For each base its own."""
    for model, minimum in (("VGG16", 32), ("Xception", 71), ("InceptionV3", 75)):
        with pytest.raises(UsageError, match=f"at least {minimum} px"):
            parse_source(model, "random", None, 0).check_size(minimum - 1, 224)


class TestUserFiles:
    """A base of the user's own, saved as `.keras`."""

    @staticmethod
    def save(path: Path, *middle: Any, size: int | None = 16) -> str:
        inputs = keras.Input((size, size, 3))
        x = inputs
        for layer in middle or (keras.layers.Conv2D(4, 3, name="conv"),):
            x = layer(x)
        keras.Model(inputs, x).save(path)
        return str(path)

    def test_it_is_known_by_its_bytes(self, tmp_path: Path) -> None:
        """Its size is read from the file, a renamed copy is the same base, and `keras` has to be chosen in numbers."""
        memory = DigestMemory(tmp_path / "digests")
        path = self.save(tmp_path / "a.keras")
        spec = resolve(Recipe(model=path, preprocess="tf"), memory)
        assert (spec.reading.height, spec.reading.width) == (16, 16)
        (tmp_path / "b.keras").write_bytes((tmp_path / "a.keras").read_bytes())
        assert resolve(Recipe(model=str(tmp_path / "b.keras"), preprocess="tf"), memory) == spec
        with pytest.raises(UsageError, match="how its network was trained"):
            resolve(Recipe(model=path), memory)
        with pytest.raises(UsageError, match="takes images of 16x16"):
            resolve(Recipe(model=path, preprocess="tf", size="32"), memory)

    def test_code_in_it_is_refused_with_the_layers_name(self, tmp_path: Path) -> None:
        """A Lambda, and a class that is not Keras' own."""

        @keras.saving.register_keras_serializable("strangers")
        class Custom(keras.layers.Layer):
            def call(self, x: Any) -> Any:
                return x

        for name, layer in (("evil", keras.layers.Lambda(lambda x: x, name="evil")), ("odd", Custom(name="odd"))):
            with pytest.raises(BaseUnavailable, match=f"layer '{name}'"):
                parse_source(self.save(tmp_path / f"{name}.keras", layer), None, None, 0)

    def test_a_size_has_to_be_given_where_it_is_open(self, tmp_path: Path) -> None:
        """The message says how."""
        with pytest.raises(UsageError, match="--size 224"):
            parse_source(self.save(tmp_path / "a.keras", size=None), None, None, 0).default_size()

    def test_other_archives_are_refused(self, tmp_path: Path) -> None:
        """A file that only bears the ending."""
        (tmp_path / "a.keras").write_bytes(b"PK\3\4 no archive")
        with pytest.raises(BaseUnavailable, match="not a .keras file"):
            parse_source(str(tmp_path / "a.keras"), None, None, 0)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("model", "alpha", "file", "module"),
    [
        ("MobileNet", 0.75, "mobilenet_7_5_224_tf_no_top.h5", "mobilenet"),
        ("DenseNet121", None, "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5", "densenet"),
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 1e-3)])
def test_stored_features_equal_the_model_called_directly(
    real_data: Path,
    tmp_path: Path,
    model: str,
    alpha: float | None,
    file: str,
    module: str,
    dtype: str,
    tolerance: float,
) -> None:
    """Real weights, real photos, through the cache: within 1e-5 as float32 and 1e-3 as float16."""
    from PIL import Image

    from featstore import extract, load_features
    from featstore.images.manifest import list_files

    photos = sorted((real_data / "images" / "cats_dogs" / "test" / "cats").iterdir())[:20]
    weights = str(real_data / "weights" / file)
    extraction = extract(
        list_files(photos), model=model, alpha=alpha, weights=weights, dtype=dtype, cache=tmp_path / "cache"
    )
    found = load_features(extraction.manifest, extraction.features[0].spec, cache=tmp_path / "cache").X
    pixels = [np.asarray(Image.open(p).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)) for p in photos]
    prepared = getattr(keras.applications, module).preprocess_input(np.stack(pixels).astype("float32"))
    options = {} if alpha is None else {"alpha": alpha}
    direct = getattr(keras.applications, model)(include_top=False, weights=None, input_shape=(224, 224, 3), **options)
    direct.load_weights(weights)
    expected = np.asarray(direct(prepared, training=False)).mean(axis=(1, 2))
    assert relative(found, expected) < tolerance
