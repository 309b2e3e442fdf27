"""Building bases: all ways to name weights, and the messages if they are not available or do not fit."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from featstore.bases.build import load_base, weights_digest
from featstore.bases.catalog import TINY
from featstore.bases.held import release_bases
from featstore.bases.source import BaseSource, parse_source
from featstore.errors import BaseUnavailable
from featstore.system.files import FileStat
from helpers.networks import fresh, save_legacy, save_model, save_weights, shrink_convnext, shrink_efficientnet

SIDE = 32
Saver = Callable[[Any, Path], Path]


def mobilenet(seed: int = 0, weights: str = "random", alpha: float = 0.25) -> BaseSource:
    return parse_source("MobileNet", weights, alpha, seed)


SAVERS = [save_legacy, save_weights, save_model]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[Saver, Path]]:
    """The digest of a MobileNet with alpha 0.25, and its weights in each format."""
    model = fresh(mobilenet(5), SIDE, SIDE)
    path = tmp_path_factory.mktemp("weights") / "w"
    return weights_digest(model), {save: save(model, path) for save in SAVERS}


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Drop the bases that a test has built."""
    yield
    release_bases()


@pytest.fixture
def download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Callable[..., str]], Path]:
    """A function that replaces Keras' download; it returns the folder where Keras would put the file."""
    from keras.src.utils import file_utils

    def replace(get_file: Callable[..., str]) -> Path:
        monkeypatch.setattr(file_utils, "get_file", get_file)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
        (tmp_path / "keras" / "models").mkdir(parents=True)
        return tmp_path / "keras" / "models"

    return replace


def test_random_weights_follow_their_seed_at_every_size(saved: tuple[str, dict[Saver, Path]]) -> None:
    """A convolutional network has the same weights at every size, and so the same digest."""
    assert weights_digest(fresh(mobilenet(5), 64, 48)) == saved[0]
    assert weights_digest(fresh(mobilenet(6), SIDE, SIDE)) != saved[0]


def test_the_digest_is_that_of_the_arrays_in_their_order() -> None:
    """Neither names nor hash seeds change it (`cli/test_app.py` draws random weights in two processes)."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    digest = hashlib.sha256()
    for place, array in enumerate(model.get_weights()):
        digest.update(f"{place}:<f4{array.shape};".encode() + array.tobytes())
    assert weights_digest(model) == digest.hexdigest()


def test_one_value_changes_the_digest() -> None:
    """The smallest possible change suffices."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    before = weights_digest(model)
    kernel = np.array(model.weights[0])
    kernel[0, 0] = np.nextafter(kernel[0, 0], 9, dtype=np.float32)
    model.weights[0].assign(kernel)
    assert weights_digest(model) != before


def test_the_digest_depends_on_the_place_of_a_weight() -> None:
    """Exchanging two weights of one shape makes another network."""
    model = fresh(parse_source("tiny", "random", None, 0), SIDE, SIDE)
    before = weights_digest(model)
    gamma, beta = model.layers[2].weights[:2]  # of the first batch normalization
    one, other = np.array(gamma), np.array(beta)
    gamma.assign(other)
    beta.assign(one)
    assert weights_digest(model) != before


def test_a_base_is_built_once_for_one_state_of_its_file() -> None:
    """A second call returns the same network; another state of the weights file returns another."""
    source = parse_source("tiny", "random", None, 0)
    assert load_base(source, SIDE, SIDE) is load_base(source, SIDE, SIDE)
    assert load_base(source, SIDE, SIDE, state=FileStat(1, 1, 1, 1)) is not load_base(source, SIDE, SIDE)


@pytest.mark.parametrize("save", SAVERS)
def test_weights_come_from_files(saved: tuple[str, dict[Saver, Path]], save: Saver) -> None:
    """All three formats give the network that was saved."""
    assert weights_digest(fresh(mobilenet(weights=str(saved[1][save])), SIDE, SIDE)) == saved[0]


@pytest.mark.parametrize("save, name", [(save_legacy, "w.weights.h5"), (save_legacy, "w.hdf5"), (save_weights, "w.h5")])
def test_the_layout_of_a_file_decides_and_not_its_name(
    saved: tuple[str, dict[Saver, Path]], tmp_path: Path, save: Saver, name: str
) -> None:
    """Keras goes by the ending. A file may have been renamed, and Keras 2 gave both layouts the same one."""
    shutil.copy(saved[1][save], tmp_path / name)
    assert weights_digest(fresh(mobilenet(weights=str(tmp_path / name)), SIDE, SIDE)) == saved[0]


def test_kernels_of_theano_are_refused(saved: tuple[str, dict[Saver, Path]], tmp_path: Path) -> None:
    """They are mirrored and have the same shapes, so they would load and give other features."""
    by_attribute, by_name = tmp_path / "w.h5", tmp_path / "mobilenet_tf_dim_ordering_th_kernels.h5"
    for path in (by_attribute, by_name):
        shutil.copy(saved[1][save_legacy], path)
    with h5py.File(by_attribute, "r+") as file:
        file.attrs["backend"] = "theano"
    for path in (by_attribute, by_name):
        with pytest.raises(BaseUnavailable, match="its kernels are Theano's"):
            fresh(mobilenet(weights=str(path)), SIDE, SIDE)


@pytest.mark.parametrize("save", SAVERS)
def test_weights_of_another_width_are_refused(saved: tuple[str, dict[Saver, Path]], save: Saver) -> None:
    """A file for another alpha is an expected error of one line, with the path and what was expected."""
    path = saved[1][save]
    with pytest.raises(BaseUnavailable) as caught:
        fresh(mobilenet(weights=str(path), alpha=0.5), SIDE, SIDE)
    assert str(caught.value).startswith(f"{path}: these weights do not fit MobileNet-0.5 without its ImageNet")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_the_classifier_in_a_file_is_left_out(tmp_path: Path) -> None:
    """Whatever its classes are, the features of the base come out as without it."""
    whole = keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(SIDE, SIDE, 3), classes=7)
    base = fresh(mobilenet(weights=str(save_legacy(whole, tmp_path / "w"))), SIDE, SIDE)
    for found, expected in zip(base.weights, whole.weights, strict=False):
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(
    saved: tuple[str, dict[Saver, Path]], tmp_path: Path, save: Saver, keep: float
) -> None:
    """An incomplete file, as after an interrupted copy, is an expected error."""
    whole = saved[1][save].read_bytes()
    path = tmp_path / saved[1][save].name
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(BaseUnavailable, match=r"is empty \(0 bytes\)" if not keep else "is cut off: [0-9,]+ "):
        fresh(mobilenet(weights=str(path)), SIDE, SIDE)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """The message is one line, and says what the file is."""
    (tmp_path / "w.h5").write_bytes(b"not hdf5")
    with pytest.raises(BaseUnavailable, match=r"w\.h5: is a text that begins with 'not hdf5'") as caught:
        fresh(parse_source("tiny", str(tmp_path / "w.h5"), None, 0), SIDE, SIDE)
    assert "\n" not in str(caught.value)


def test_a_download_that_fails_names_the_file_and_how_to_give_it(download: Any, capfd: Any) -> None:
    """One line names the file, its address, the folder for it, and the option to give it with."""

    def no_network(fname: str, origin: str, **_: object) -> str:
        sys.stdout.write(f"Downloading data from {origin}\n")
        raise Exception(f"URL fetch failure on {origin}: None -- [Errno -3] Temporary failure in name resolution")

    folder = download(no_network)
    with pytest.raises(BaseUnavailable) as caught:
        fresh(parse_source("MobileNet", "imagenet", 0.25, 0), 160, 160)
    text = str(caught.value)
    assert "mobilenet_2_5_160_tf_no_top.h5 on a machine with a network" in text
    assert f"put it into {folder}, or give its path as `weights`" in text
    assert "https://" in text
    assert "\n" not in text
    assert capfd.readouterr().out == ""


def test_a_download_keeps_standard_output_clean(
    download: Any, saved: tuple[str, dict[Saver, Path]], capfd: Any
) -> None:
    """Standard output is for results: Keras' reports go to standard error, its warning about other sizes is hidden.

    Warnings are errors here, so the weights would not come through one.
    """

    def get_file(*_: object, **__: object) -> str:
        sys.stdout.write("Downloading data from https://...\n")
        return str(saved[1][save_legacy])

    download(get_file)
    assert weights_digest(fresh(mobilenet(weights="imagenet"), 48, 40)) == saved[0]
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "Downloading" in captured.err


def test_a_damaged_download_is_named_with_the_remedy(download: Any) -> None:
    """Keras has no hash of MobileNet's files: an incomplete file must not be used, nor fail every time."""
    file: list[Path] = []
    folder = download(lambda *_, **__: str(file[0]))
    file.append(folder / "mobilenet_2_5_224_tf_no_top.h5")
    file[0].write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000))
    with pytest.raises(BaseUnavailable, match=r"no_top\.h5: cannot be loaded into MobileNet.*delete it and try again"):
        fresh(mobilenet(weights="imagenet"), 224, 224)


def test_a_page_in_place_of_a_download_is_called_so(download: Any) -> None:
    """As a proxy sends one: to try again would not help, so the message says what the file is."""
    file: list[Path] = []
    file.append(download(lambda *_, **__: str(file[0])) / "mobilenet_2_5_224_tf_no_top.h5")
    file[0].write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(BaseUnavailable, match=r"no_top\.h5: is a web page .*; delete it, and Keras downloads it again"):
        fresh(mobilenet(weights="imagenet"), 224, 224)


def test_a_folder_of_keras_that_is_only_read_is_used(
    download: Any, saved: tuple[str, dict[Saver, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras itself would look into /tmp/.keras and download there, or fail where there is no network."""
    folder = download(lambda *_, **__: pytest.fail("a download"))
    shutil.copy(saved[1][save_legacy], folder / "mobilenet_2_5_224_tf_no_top.h5")
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != folder.parent)
    assert weights_digest(fresh(mobilenet(weights="imagenet"), 48, 40)) == saved[0]


class Killed(BaseException):
    """The exception of the command line for SIGTERM: it is not a KeyboardInterrupt, so Keras does not clean up."""


@pytest.mark.parametrize("was_there", [True, False])
def test_an_interrupted_download_leaves_no_partial_file(download: Any, was_there: bool) -> None:
    """A new file is removed; a file that existed before is the user's."""
    file: list[Path] = []

    def get_file(*_: object, **__: object) -> str:
        file[0].write_bytes(b"half")
        raise Killed

    file.append(download(get_file) / "mobilenet_2_5_224_tf_no_top.h5")
    if was_there:
        file[0].write_bytes(b"whole")
    with pytest.raises(Killed):
        fresh(mobilenet(weights="imagenet"), 224, 224)
    assert file[0].exists() == was_there


def test_settings_of_the_process_do_not_change_a_base() -> None:
    """A base does not use the process's mixed precision or channels first, and these settings stay."""
    expected = weights_digest(fresh(mobilenet(), SIDE, SIDE))
    keras.config.set_dtype_policy("mixed_float16")
    keras.config.set_image_data_format("channels_first")
    try:
        model = fresh(mobilenet(), SIDE, SIDE)
        assert keras.config.dtype_policy().name == "mixed_float16"
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_image_data_format("channels_last")
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert model.input_shape == (None, SIDE, SIDE, 3)
    assert weights_digest(model) == expected


def test_tiny_is_as_the_catalogue_says() -> None:
    """It has the width of the catalogue, and maps of a quarter of the input size."""
    for height, width in ((32, 32), (36, 64)):
        model = fresh(parse_source("tiny", None, None, 0), height, width)
        assert model.output_shape == (None, height // 4, width // 4, TINY.width)
    assert model.count_params() == TINY.parameters


def test_tiny_can_have_random_weights() -> None:
    """Random weights depend on their seed and are not the learned ones."""
    learned, zero, one = (
        weights_digest(fresh(parse_source("tiny", weights, None, seed), SIDE, SIDE))
        for weights, seed in ((None, 0), ("random", 0), ("random", 1))
    )
    assert len({learned, zero, one}) == 3


def test_the_learned_weights_of_tiny_are_loaded() -> None:
    """The batch statistics are not those of an untrained network."""
    model = fresh(parse_source("tiny", None, None, 0), SIDE, SIDE)
    assert np.abs(np.array(model.get_layer("stem_bn").moving_mean)).max() > 0


def test_efficientnet_from_a_file_is_scaled_as_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras adds a scaling for weights="imagenet" only; the same file given by path must give the same features."""
    shrink_efficientnet(monkeypatch)
    path = save_legacy(fresh(parse_source("EfficientNetB0", "random", None, 1), SIDE, SIDE), tmp_path / "b0")
    monkeypatch.setattr("keras.src.applications.efficientnet.file_utils.get_file", lambda *_, **__: str(path))
    published = keras.applications.EfficientNetB0(include_top=False, weights="imagenet", input_shape=(SIDE, SIDE, 3))
    ours = fresh(parse_source("EfficientNetB0", str(path), None, 0), SIDE, SIDE)
    images = np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")
    expected = np.asarray(published(images, training=False))
    np.testing.assert_allclose(
        np.asarray(ours(images, training=False)), expected, rtol=1e-4, atol=1e-5 * expected.std()
    )


def test_convnext_is_pooled_before_its_last_normalization(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features are those of Keras with pooling="avg"; pooling the kept map would give other values."""
    shrink_convnext(monkeypatch)
    source = parse_source("ConvNeXtTiny", "random", None, 1)
    pooled, kept = fresh(source, 64, 64, "avg"), fresh(source, 64, 64)
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    found, by_hand = np.asarray(pooled(images)), np.asarray(kept(images)).mean(axis=(1, 2))
    assert kept.output_shape[1:3] == (2, 2)
    assert found.shape == by_hand.shape
    assert weights_digest(pooled) == weights_digest(kept)
    assert np.linalg.norm(found - by_hand) > 1e-3 * np.linalg.norm(by_hand)


def user_file(model: Any, path: Path) -> BaseSource:
    model.save(path)
    return BaseSource(str(path), "shipped")


def test_a_user_file_is_loaded_completely(tmp_path: Path) -> None:
    """The network has the same outputs as before it was saved."""
    inputs = keras.Input((16, 20, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    images = np.random.default_rng(0).uniform(0, 1, (2, 16, 20, 3)).astype("float32")
    loaded = fresh(user_file(model, tmp_path / "b.keras"), 16, 20)
    np.testing.assert_array_equal(np.asarray(loaded(images)), np.asarray(model(images)))


def test_a_user_file_with_two_inputs_is_refused(tmp_path: Path) -> None:
    """The message has the expected shape and those found."""
    a, b = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    source = user_file(keras.Model([a, b], keras.layers.Add()([a, b])), tmp_path / "b.keras")
    with pytest.raises(BaseUnavailable, match=r"one input of \(height, width, 3\), found \(None, 8, 8, 3\), \(None"):
        fresh(source, 8, 8)


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 3), (3, 8, 8)])
def test_a_user_file_for_anything_but_rgb_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """One channel, no map, or channels first: the inputs are not RGB images with channels last."""
    inputs = keras.Input(shape)
    source = user_file(keras.Model(inputs, keras.layers.ReLU()(inputs)), tmp_path / "b.keras")
    with pytest.raises(BaseUnavailable, match="expected one input"):
        fresh(source, 8, 8)


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_a_user_file_that_was_never_built_is_refused(tmp_path: Path) -> None:
    """A Sequential without an input has no graph that could be cut."""
    source = user_file(keras.Sequential([keras.layers.Conv2D(3, 3)]), tmp_path / "b.keras")
    with pytest.raises(BaseUnavailable, match="found a model without a fixed input"):
        fresh(source, 8, 8)


def doubled(x: Any) -> Any:
    return 2 * x


def test_a_user_file_with_a_function_of_its_own_is_refused_by_its_name(tmp_path: Path) -> None:
    """Keras refuses such a file, not the check of its config; its long message is shortened to the reason."""
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, activation=doubled)(inputs))
    with pytest.raises(BaseUnavailable, match="'doubled'") as caught:
        fresh(user_file(model, tmp_path / "b.keras"), 8, 8)
    assert len(str(caught.value)) < 400


@keras.saving.register_keras_serializable("featstore_tests")
class Doubling(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        return 2 * x


@pytest.mark.parametrize("layer", [Doubling(name="twice"), keras.layers.Lambda(doubled, name="twice")])
def test_a_layer_with_code_is_refused_even_if_it_is_registered(tmp_path: Path, layer: Any) -> None:
    """The meaning of a file must not depend on the classes that a process has registered."""
    inputs = keras.Input((8, 8, 3))
    path = tmp_path / "b.keras"
    keras.Model(inputs, layer(inputs)).save(path)
    with pytest.raises(BaseUnavailable, match=f"layer 'twice' is a {type(layer).__name__}"):
        parse_source(str(path), None, None, 0)


def test_a_model_compiled_with_a_custom_loss_is_accepted(tmp_path: Path) -> None:
    """The loss is not loaded."""

    def my_loss(truth: Any, found: Any) -> Any:
        return truth - found

    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs))
    model.compile("adam", my_loss)
    path = tmp_path / "b.keras"
    model.save(path)
    assert fresh(parse_source(str(path), None, None, 0), 8, 8).output_shape == (None, 6, 6, 4)


def test_a_damaged_user_file_is_refused(tmp_path: Path) -> None:
    """A `.keras` file whose weights cannot be read is an expected error of one line."""
    import zipfile

    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs)).save(tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as whole, zipfile.ZipFile(tmp_path / "b.keras", "w") as broken:
        for name in whole.namelist():
            data = whole.read(name)
            broken.writestr(name, data[: len(data) // 2] if name.endswith(".h5") else data)
    with pytest.raises(BaseUnavailable, match=r"b\.keras: Keras cannot load it") as caught:
        fresh(parse_source(str(tmp_path / "b.keras"), None, None, 0), 8, 8)
    assert "\n" not in str(caught.value)
