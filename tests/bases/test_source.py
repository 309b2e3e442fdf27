"""The source of a base as the user named it, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import pytest

from featstore.bases.catalog import TINY
from featstore.bases.source import BaseSource, parse_source
from featstore.errors import BaseUnavailable, UsageError
from helpers.keras_files import CONV, INPUT, model, write


@pytest.fixture
def base(tmp_path: Path) -> str:
    """A `.keras` file whose config is for images of 32x48 px."""
    return str(write(tmp_path / "base.keras", model(INPUT, CONV)))


@pytest.mark.parametrize(
    "name, weights, expected",
    [
        ("tiny", None, BaseSource("tiny", "shipped")),
        ("tiny", "random", BaseSource("tiny", "random", seed=7)),
        ("VGG16", None, BaseSource("VGG16", "imagenet")),
        ("VGG16", "random", BaseSource("VGG16", "random", seed=7)),
        ("MobileNet", "imagenet", BaseSource("MobileNet", "imagenet", 1.0)),
    ],
)
def test_default_weights_are_those_of_the_base(name: str, weights: str | None, expected: BaseSource) -> None:
    """tiny has its own, other bases use ImageNet's; the seed is kept only for random weights."""
    assert parse_source(name, weights, None, 7) == expected


def test_alpha_is_a_float_if_the_base_has_one() -> None:
    """The default is 1.0 and an integer becomes a float, so that equal networks have equal sources."""
    assert parse_source("MobileNet", "random", None, 0) == parse_source("MobileNet", "random", 1, 0)
    assert parse_source("MobileNetV2", "random", 0.35, 0).alpha == 0.35
    assert parse_source("MobileNetV2", "random", 0, 0).alpha == 0.0  # which Keras refuses, and which is not 1


@pytest.mark.parametrize("name", ["VGG16", "tiny", "EfficientNetB0"])
def test_alpha_for_a_base_of_one_width_is_refused(name: str) -> None:
    """The message names the base that has no width multiplier."""
    with pytest.raises(UsageError, match=rf"alpha=0\.5: {name} has no width multiplier"):
        parse_source(name, "random", 0.5, 0)


def test_alpha_for_a_file_is_refused(base: str) -> None:
    """The width of a user's network is fixed."""
    with pytest.raises(UsageError, match="no width multiplier"):
        parse_source(base, None, 0.5, 0)


def test_an_unknown_base_is_answered_with_a_suggestion() -> None:
    """A similar name is suggested."""
    with pytest.raises(UsageError, match="did you mean MobileNetV2"):
        parse_source("mobilenet-v2", None, None, 0)


def test_tiny_has_no_imagenet_weights() -> None:
    """The message names the remedy."""
    with pytest.raises(UsageError, match="leave (it|`weights`) out"):
        parse_source("tiny", "imagenet", None, 0)


def test_a_file_that_is_neither_hdf5_nor_keras_is_refused(tmp_path: Path) -> None:
    """The ending decides, and the message lists the possible ones."""
    (tmp_path / "w.txt").write_bytes(b"x")
    with pytest.raises(
        UsageError, match=r"expected imagenet, random, default, or the path of a \.h5, \.hdf5 or \.keras file"
    ):
        parse_source("VGG16", str(tmp_path / "w.txt"), None, 0)


def test_the_word_of_keras_for_random_weights_is_explained() -> None:
    """It may as well mean the default, so it is not taken."""
    with pytest.raises(UsageError, match="weights='None': expected imagenet, .*; what Keras calls None is random$"):
        parse_source("VGG16", "None", None, 0)


@pytest.mark.parametrize(
    "name, library", [("a.pt", "PyTorch"), ("b.safetensors", "safetensors"), ("c.onnx", "ONNX"), ("d.tflite", "Lite")]
)
def test_a_file_of_another_library_is_named_as_such(name: str, library: str) -> None:
    """As weights and as a network: it is not an unknown base, and Keras has to read it first."""
    with pytest.raises(UsageError, match=rf"weights='{name}': is a file of .*{library}.*Keras"):
        parse_source("VGG16", name, None, 0)
    with pytest.raises(UsageError, match=rf"model='{name}': is a file of .*{library}.*Keras"):
        parse_source(name, None, None, 0)


def test_the_folder_of_a_saved_model_is_named_as_such(tmp_path: Path) -> None:
    """It was the default of Keras 2, and looks like a name that is unknown."""
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(UsageError, match=r"is a SavedModel of TensorFlow: .* save it there as name\.h5"):
        parse_source(str(tmp_path), None, None, 0)


@pytest.mark.parametrize("name", ["w.h5", "w.hdf5", "w.weights.h5", "w.keras"])
def test_weights_may_be_a_file(tmp_path: Path, name: str) -> None:
    """The three formats of Keras are given by path, and must exist."""
    path = tmp_path / name
    with pytest.raises(BaseUnavailable, match="no such file"):
        parse_source("VGG16", str(path), None, 0)
    path.touch() if name.endswith(".h5") else write(path, model(CONV))
    source = parse_source("VGG16", str(path), None, 7)
    assert (source.weights_file(64, 64), source.seed) == (path, 0)


def test_a_folder_is_not_a_weights_file(tmp_path: Path) -> None:
    """A folder with such a name is an expected error."""
    (tmp_path / "w.h5").mkdir()
    with pytest.raises(BaseUnavailable, match="no such file"):
        parse_source("VGG16", str(tmp_path / "w.h5"), None, 0)


def test_a_user_file_has_its_own_weights(base: str) -> None:
    """It is its own weights file, is not in the catalogue, and its name in a spec does not depend on its path."""
    source = parse_source(base, None, None, 7)
    assert source.is_file
    assert source.info is None
    assert source.name == "keras-file"
    assert source.weights_file(32, 48) == Path(base)
    assert source.seed == 0


@pytest.mark.parametrize("weights", ["imagenet", "random", "w.h5"])
def test_weights_for_a_user_file_are_refused(base: str, weights: str) -> None:
    """The file has its own weights."""
    with pytest.raises(UsageError, match="has its own weights"):
        parse_source(base, weights, None, 0)


def test_a_user_file_with_code_is_refused_at_once(tmp_path: Path) -> None:
    """The layer is named before anything is loaded."""
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "twice"}}
    with pytest.raises(BaseUnavailable, match="layer 'twice' is a Lambda"):
        parse_source(str(write(tmp_path / "b.keras", model(layer))), None, None, 0)


def test_the_default_size_is_the_published_one(base: str) -> None:
    """The default is the size in the catalogue, or the one that a user's file is fixed to."""
    assert parse_source("Xception", "random", None, 0).default_size() == (299, 299)
    assert parse_source(base, None, None, 0).default_size() == (32, 48)


def test_a_user_file_of_any_size_needs_a_size(tmp_path: Path) -> None:
    """Without a fixed size, the message asks for --size."""
    layer = {**INPUT, "config": {"batch_shape": [None, None, None, 3]}}
    source = parse_source(str(write(tmp_path / "b.keras", model(layer))), None, None, 0)
    with pytest.raises(UsageError, match="size=224"):
        source.default_size()
    source.check_size(5, 7)


@pytest.mark.parametrize("name, smallest", [("tiny", 32), ("VGG16", 32), ("Xception", 71), ("InceptionV3", 75)])
def test_a_size_below_the_minimum_is_refused_with_the_minimum(name: str, smallest: int) -> None:
    """Both sides must have the minimum."""
    source = parse_source(name, "random", None, 0)
    source.check_size(smallest, smallest)
    for size in ((smallest - 1, 300), (300, smallest - 1)):
        with pytest.raises(UsageError, match=f"too small for {name}: it needs at least {smallest} px") as caught:
            source.check_size(*size)
        assert "\n" not in str(caught.value)


def test_a_user_file_takes_only_its_own_size(base: str) -> None:
    """The message has the size that it is fixed to."""
    source = parse_source(base, None, None, 0)
    source.check_size(32, 48)
    with pytest.raises(UsageError, match="takes images of 32x48 px, not 48x32"):
        source.check_size(48, 32)


def test_imagenet_weights_are_where_keras_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are below $KERAS_HOME, or ~/.keras, under the name that Keras gives them."""
    source = parse_source("MobileNet", "imagenet", 0.25, 0)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert source.weights_file(160, 160) == tmp_path / "models" / "mobilenet_2_5_160_tf_no_top.h5"
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert source.weights_file(99, 99) == tmp_path / ".keras" / "models" / "mobilenet_2_5_224_tf_no_top.h5"


def test_imagenet_weights_that_were_never_published_are_refused() -> None:
    """The message lists the widths that have ImageNet weights."""
    with pytest.raises(UsageError, match=r"expected alpha 0\.25, 0\.5, 0\.75 or 1\.0, found 0\.6"):
        parse_source("MobileNet", "imagenet", 0.6, 0).weights_file(224, 224)


def test_tiny_ships_its_weights() -> None:
    """The file is in the package and under 1 MB; random weights have none."""
    file = parse_source("tiny", None, None, 0).weights_file(32, 32)
    assert file is not None
    assert file.stat().st_size < 1_000_000
    assert parse_source("tiny", "random", None, 0).weights_file(32, 32) is None


def test_pixels_are_not_a_network() -> None:
    """The base has no weights, takes any size from one pixel, and `keras` stands for the usual scaling."""
    source = parse_source("pixels", None, None, 7)
    assert source == BaseSource("pixels", "shipped")
    assert (source.weights_file(64, 64), source.identity(), source.default_size()) == (None, "pixels", (64, 64))
    assert source.info is not None
    assert source.info.preprocessing == "rescale"
    source.check_size(1, 1)


@pytest.mark.parametrize("weights, alpha", [("random", None), ("imagenet", None), ("w.h5", None), (None, 0.5)])
def test_pixels_take_neither_weights_nor_a_width(weights: str | None, alpha: float | None) -> None:
    """They would have no effect."""
    with pytest.raises(UsageError, match="has no weights" if weights else "no width multiplier"):
        parse_source("pixels", weights, alpha, 0)


def test_the_identity_differs_where_the_weights_differ(tmp_path: Path) -> None:
    """Base, width, seed, versions and Keras' own loading each give other weights from the same file."""
    file = tmp_path / "w.h5"
    file.touch()
    given = [
        ("EfficientNetB0", "imagenet", None, 0),
        ("EfficientNetB0", str(file), None, 0),
        ("EfficientNetB1", str(file), None, 0),
        ("MobileNet", str(file), 0.25, 0),
        ("MobileNet", str(file), 0.5, 0),
        ("MobileNet", "random", 0.5, 0),
        ("MobileNet", "random", 0.5, 1),
    ]
    identities = [parse_source(*arguments).identity() for arguments in given]
    assert len(set(identities)) == len(given)


def test_the_identity_of_random_weights_has_the_versions_that_draw_them() -> None:
    """Another Keras or TensorFlow may draw other numbers from the same seed."""
    from importlib.metadata import version

    identity = parse_source("tiny", "random", None, 0).identity()
    assert version("keras") in identity
    assert version("tensorflow") in identity
    assert TINY.name in identity


def test_tops_have_names_and_identities_of_their_own() -> None:
    """A base with its top differs from the base without; tiny and pixels have none, and other sizes need a file."""
    top, without = (parse_source("MobileNet", "imagenet", None, 0, kind) for kind in (True, False))
    assert top.identity() != without.identity()
    assert top.weights_file(224, 224).name == "mobilenet_1_0_224_tf.h5"  # type: ignore[union-attr]
    top.check_size(224, 224)
    with pytest.raises(UsageError, match="MobileNet is downloaded for 224 px only"):
        top.check_size(160, 160)
    for name in ("tiny", "pixels"):
        with pytest.raises(UsageError, match="has no ImageNet classifier"):
            parse_source(name, None, None, 0, True)
