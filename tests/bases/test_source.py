"""Where a base comes from, as the user named it: all that can be said without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import pytest

from featstore.bases.catalog import TINY
from featstore.bases.source import BaseSource, parse_source
from featstore.errors import BaseUnavailable, UsageError
from helpers.keras_files import CONV, INPUT, model, write


@pytest.fixture
def base(tmp_path: Path) -> str:
    """A `.keras` file for images of 32x48 px, as far as its config goes."""
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
def test_weights_left_out_are_those_that_a_base_comes_with(
    name: str, weights: str | None, expected: BaseSource
) -> None:
    """tiny brings its own, the others take ImageNet's; a seed counts for random ones only."""
    assert parse_source(name, weights, None, 7) == expected


def test_alpha_is_a_number_where_a_base_has_one() -> None:
    """An alpha left out is 1.0, an integer is a float, so that equal networks have equal sources."""
    assert parse_source("MobileNet", "random", None, 0) == parse_source("MobileNet", "random", 1, 0)
    assert parse_source("MobileNetV2", "random", 0.35, 0).alpha == 0.35


@pytest.mark.parametrize("name", ["VGG16", "tiny", "EfficientNetB0"])
def test_alpha_for_a_base_of_one_width_is_refused(name: str) -> None:
    """The message names the base that has no width multiplier."""
    with pytest.raises(UsageError, match=rf"alpha=0\.5: {name} has no width multiplier"):
        parse_source(name, "random", 0.5, 0)


def test_alpha_for_a_file_is_refused(base: str) -> None:
    """A user's network has the width it has."""
    with pytest.raises(UsageError, match="no width multiplier"):
        parse_source(base, None, 0.5, 0)


def test_an_unknown_base_is_answered_with_a_suggestion() -> None:
    """A name that comes close is corrected."""
    with pytest.raises(UsageError, match="did you mean MobileNetV2"):
        parse_source("mobilenet-v2", None, None, 0)


def test_tiny_has_no_imagenet_weights() -> None:
    """The message says what to give instead."""
    with pytest.raises(UsageError, match="leave (it|`weights`) out"):
        parse_source("tiny", "imagenet", None, 0)


def test_a_file_that_is_neither_hdf5_nor_keras_is_refused(tmp_path: Path) -> None:
    """Weights are known by their ending, and the message lists what there is."""
    (tmp_path / "w.pt").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"expected imagenet, random, or a file that ends in \.h5 or \.keras"):
        parse_source("VGG16", str(tmp_path / "w.pt"), None, 0)


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5", "w.keras"])
def test_weights_may_be_a_file(tmp_path: Path, name: str) -> None:
    """The three formats of Keras are taken by path, and must be there."""
    path = tmp_path / name
    with pytest.raises(BaseUnavailable, match="no such file"):
        parse_source("VGG16", str(path), None, 0)
    path.touch() if name.endswith(".h5") else write(path, model(CONV))
    source = parse_source("VGG16", str(path), None, 7)
    assert (source.weights_file(64, 64), source.seed) == (path, 0)


def test_a_folder_is_no_weights_file(tmp_path: Path) -> None:
    """A folder of that name is said to be no file."""
    (tmp_path / "w.h5").mkdir()
    with pytest.raises(BaseUnavailable, match="no such file"):
        parse_source("VGG16", str(tmp_path / "w.h5"), None, 0)


def test_a_user_file_brings_its_own_weights(base: str) -> None:
    """It is its own weights file, has no entry in the catalogue, and goes by one name wherever it lies."""
    source = parse_source(base, None, None, 7)
    assert source.is_file
    assert source.info is None
    assert source.name == "keras-file"
    assert source.weights_file(32, 48) == Path(base)
    assert source.seed == 0


@pytest.mark.parametrize("weights", ["imagenet", "random", "w.h5"])
def test_weights_for_a_user_file_are_refused(base: str, weights: str) -> None:
    """Two sets of weights would be one too many."""
    with pytest.raises(UsageError, match="brings its own weights"):
        parse_source(base, weights, None, 0)


def test_a_user_file_with_code_is_refused_at_once(tmp_path: Path) -> None:
    """The layer is named before anything is loaded."""
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "twice"}}
    with pytest.raises(BaseUnavailable, match="layer 'twice' is a Lambda"):
        parse_source(str(write(tmp_path / "b.keras", model(layer))), None, None, 0)


def test_the_default_size_is_the_published_one(base: str) -> None:
    """That of the catalogue, or the one a user's file is fixed to."""
    assert parse_source("Xception", "random", None, 0).default_size() == (299, 299)
    assert parse_source(base, None, None, 0).default_size() == (32, 48)


def test_a_user_file_for_any_size_asks_for_one(tmp_path: Path) -> None:
    """Where nothing says a size, the message asks for --size."""
    layer = {**INPUT, "config": {"batch_shape": [None, None, None, 3]}}
    source = parse_source(str(write(tmp_path / "b.keras", model(layer))), None, None, 0)
    with pytest.raises(UsageError, match="size=224"):
        source.default_size()
    source.check_size(5, 7)


@pytest.mark.parametrize("name, smallest", [("tiny", 32), ("VGG16", 32), ("Xception", 71), ("InceptionV3", 75)])
def test_a_size_below_the_minimum_is_refused_with_the_minimum(name: str, smallest: int) -> None:
    """Both sides count; the minimum itself is accepted."""
    source = parse_source(name, "random", None, 0)
    source.check_size(smallest, smallest)
    for size in ((smallest - 1, 300), (300, smallest - 1)):
        with pytest.raises(UsageError, match=f"too small for {name}: it needs at least {smallest} px") as caught:
            source.check_size(*size)
        assert "\n" not in str(caught.value)


def test_a_user_file_takes_no_size_but_its_own(base: str) -> None:
    """The message says which size it is fixed to."""
    source = parse_source(base, None, None, 0)
    source.check_size(32, 48)
    with pytest.raises(UsageError, match="takes images of 32x48 px, not 48x32"):
        source.check_size(48, 32)


def test_imagenet_weights_are_where_keras_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below $KERAS_HOME, or ~/.keras, under the name that Keras gives them."""
    source = parse_source("MobileNet", "imagenet", 0.25, 0)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert source.weights_file(160, 160) == tmp_path / "models" / "mobilenet_2_5_160_tf_no_top.h5"
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert source.weights_file(99, 99) == tmp_path / ".keras" / "models" / "mobilenet_2_5_224_tf_no_top.h5"


def test_imagenet_weights_that_were_never_published_are_refused() -> None:
    """A width without ImageNet weights is answered with those that have them."""
    with pytest.raises(UsageError, match=r"expected alpha 0\.25, 0\.5, 0\.75 or 1\.0, found 0\.6"):
        parse_source("MobileNet", "imagenet", 0.6, 0).weights_file(224, 224)


def test_tiny_ships_its_weights() -> None:
    """The file is in the package and under 1 MB; random weights have none."""
    file = parse_source("tiny", None, None, 0).weights_file(32, 32)
    assert file is not None
    assert file.stat().st_size < 1_000_000
    assert parse_source("tiny", "random", None, 0).weights_file(32, 32) is None


def test_pixels_are_no_network() -> None:
    """The built-in base without weights: any size from one pixel on, and what is customary as `keras`."""
    source = parse_source("pixels", None, None, 7)
    assert source == BaseSource("pixels", "shipped")
    assert (source.weights_file(64, 64), source.identity(), source.default_size()) == (None, "pixels", (64, 64))
    assert source.info is not None
    assert source.info.preprocessing == "rescale"
    source.check_size(1, 1)


@pytest.mark.parametrize("weights, alpha", [("random", None), ("imagenet", None), ("w.h5", None), (None, 0.5)])
def test_pixels_take_neither_weights_nor_a_width(weights: str | None, alpha: float | None) -> None:
    """Whatever they are, they would be of no use."""
    with pytest.raises(UsageError, match="has no weights" if weights else "no width multiplier"):
        parse_source("pixels", weights, alpha, 0)


def test_the_identity_tells_apart_what_one_file_can_become(tmp_path: Path) -> None:
    """Base, width, seed, versions and Keras' own way of loading: each gives other weights from the same place."""
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


def test_the_identity_of_random_weights_holds_the_versions_that_draw_them() -> None:
    """Another Keras or TensorFlow may draw other numbers from the same seed."""
    from importlib.metadata import version

    identity = parse_source("tiny", "random", None, 0).identity()
    assert version("keras") in identity
    assert version("tensorflow") in identity
    assert TINY.name in identity


def test_tops_have_names_and_identities_of_their_own() -> None:
    """So that one is never taken for the other; tiny and pixels have none, other sizes want a file."""
    top, without = (parse_source("MobileNet", "imagenet", None, 0, kind) for kind in (True, False))
    assert top.identity() != without.identity()
    assert top.weights_file(224, 224).name == "mobilenet_1_0_224_tf.h5"  # type: ignore[union-attr]
    top.check_size(224, 224)
    with pytest.raises(UsageError, match="MobileNet is fetched at 224 px only"):
        top.check_size(160, 160)
    for name in ("tiny", "pixels"):
        with pytest.raises(UsageError, match="has no ImageNet classifier"):
            parse_source(name, None, None, 0, True)
