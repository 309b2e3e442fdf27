"""The table of bases against the Keras that is installed."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from featstore.bases.catalog import BASES, BaseInfo, last_layer, lookup, weights_file_name
from featstore.errors import UsageError

# One small member of each family that is quick to build; building all 40, as was done for the table, takes two minutes.
BUILT = ["MobileNet", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "DenseNet121", "NASNetMobile", "ResNet50"]

# Of each variant, what is subtracted from a channel and what it is then divided by, for pixels in 0..255.
AFFINE = {
    "caffe": ([103.939, 116.779, 123.68], [1.0, 1.0, 1.0]),  # in the order blue, green, red
    "tf": ([127.5, 127.5, 127.5], [127.5, 127.5, 127.5]),
    "torch": ([0.485 * 255, 0.456 * 255, 0.406 * 255], [0.229 * 255, 0.224 * 255, 0.225 * 255]),
}
Images = npt.NDArray[np.float64]  # (n, rows, cols, 3)


class Asked(Exception):
    """Raised instead of a download; the message is the name of the file."""


class Stub:
    """A replacement for any layer and any tensor (batch, 64, 64, 8), so that a constructor runs in milliseconds."""

    shape = (None, 64, 64, 8)
    made: ClassVar[list[str]] = []  # what has been taken from any stub, in order: the names of the layers

    def __call__(self, *_: object, **__: object) -> Stub:
        return self

    def __getattr__(self, name: str) -> Stub:
        if name.startswith("__"):
            raise AttributeError(name)
        Stub.made.append(name)
        return self

    def __add__(self, _: object) -> Stub:
        return self

    __radd__ = __mul__ = __rmul__ = __add__


def constructor(name: str) -> Any:
    return getattr(importlib.import_module("keras.applications"), name)


def stub_layers(monkeypatch: pytest.MonkeyPatch, module_name: str) -> None:
    """Replace the module's `layers`, and all layers and models that it imports by name, by stubs."""
    import keras

    module = importlib.import_module(module_name)
    for name, value in list(vars(module).items()):
        if name == "layers" or (isinstance(value, type) and issubclass(value, keras.Layer)):
            monkeypatch.setattr(module, name, Stub())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function (base's name, arguments) -> the file that its constructor asks for; nothing is built or downloaded."""
    from keras.src.utils import file_utils

    def get_file(fname: str, *_: object, **__: object) -> str:
        raise Asked(fname)

    def ask(name: str, stubs: bool = True, top: bool = False, **arguments: object) -> str:
        build = constructor(name)
        if stubs:
            stub_layers(monkeypatch, build.__module__)
            stub_layers(monkeypatch, "keras.src.applications.resnet")  # resnet_v2 builds with the layers of resnet
        with warnings.catch_warnings(), pytest.raises(Asked) as caught:
            warnings.simplefilter("ignore")  # "weights for (224, 224) will be loaded": what the test asks about
            build(weights="imagenet", include_top=top, **arguments)
        return str(caught.value)

    Stub.made.clear()
    monkeypatch.setattr(file_utils, "get_file", get_file)
    return ask


@pytest.fixture
def lazily() -> Iterator[None]:
    """Build networks whose variables have shapes but no memory."""
    import keras

    with keras.StatelessScope(initialize_variables=False):
        yield


def prepared(variant: str, images: Images) -> Images:
    """Apply the variant to RGB images (n, rows, cols, 3) in 0..255, independently of the package."""
    if variant == "raw":
        return images
    flipped = images[..., ::-1] if variant == "caffe" else images
    mean, scale = AFFINE[variant]
    return np.asarray((flipped - np.array(mean)) / np.array(scale), np.float64)


def test_every_constructor_of_keras_is_in_the_table_and_no_other() -> None:
    """The table and keras.applications name the same bases."""
    applications = importlib.import_module("keras.applications")
    public = {name for name, value in vars(applications).items() if callable(value) and not name.startswith("_")}
    assert set(BASES) == public


def test_keys_are_the_names() -> None:
    """A base is found under its own name."""
    assert all(name == info.name for name, info in BASES.items())


def test_an_entry_cannot_be_changed() -> None:
    """The table is constant."""
    with pytest.raises(FrozenInstanceError):
        BASES["VGG16"].width = 1  # type: ignore[misc]


def test_no_figure_is_out_of_range() -> None:
    """Sizes and counts are positive, and top-5 is never below top-1."""
    for info in BASES.values():
        assert 32 <= info.min_size <= info.input_size and info.width > 0 and info.parameters > 2_000_000
        assert info.top1 is None or 50 < info.top1 < (info.top5 or 100) <= 100


@pytest.mark.parametrize("name", BASES)
def test_preprocessing_is_that_of_keras(name: str) -> None:
    """The variant in the table gives what the base's own preprocess_input gives."""
    info = BASES[name]
    images = np.random.default_rng(7).uniform(0, 255, (2, 5, 4, 3))
    module = importlib.import_module(f"keras.applications.{info.module}")
    found = module.preprocess_input(images.copy())  # it writes into its argument
    np.testing.assert_allclose(found, prepared(info.preprocessing, images), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", BASES)
def test_the_module_defines_the_constructor(name: str) -> None:
    """So its preprocess_input is that of the base."""
    assert constructor(name).__module__ == f"keras.src.applications.{BASES[name].module}"


@pytest.mark.parametrize("name", BASES)
def test_alpha_is_an_argument_where_the_table_says_so(name: str) -> None:
    """Exactly the bases with an argument alpha are marked."""
    assert ("alpha" in inspect.signature(constructor(name)).parameters) == BASES[name].takes_alpha


@pytest.mark.parametrize("name", BASES)
def test_the_weights_file_is_the_one_that_keras_asks_for(name: str, asked: Any) -> None:
    """The name agrees with Keras at the published size and alpha 1.0."""
    info = BASES[name]
    size = info.input_size
    assert weights_file_name(info, 1.0, size, size) == asked(name, input_shape=(size, size, 3))


@pytest.mark.parametrize("name", BASES)
def test_the_file_with_the_classifier_is_the_one_that_keras_asks_for(name: str, asked: Any) -> None:
    """The name agrees with Keras at the published size, with the top of 1,000 classes."""
    size = BASES[name].input_size
    file = weights_file_name(BASES[name], 1.0, size, size, top=True)
    assert file == asked(name, top=True, input_shape=(size, size, 3))


ALPHAS = [("MobileNet", alpha) for alpha in (0.25, 0.5, 0.75, 1.0)]
ALPHAS += [("MobileNetV2", alpha) for alpha in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)]
ALPHAS += [("MobileNetV3Small", 0.75), ("MobileNetV3Small", 1.0), ("MobileNetV3Large", 0.75)]
SIZES = [(96, 96), (128, 128), (150, 150), (160, 160), (192, 192), (224, 224), (160, 128), (128, 160), (224, 192)]


@pytest.mark.parametrize("name, alpha", ALPHAS)
@pytest.mark.parametrize("rows, cols", SIZES)
def test_the_weights_file_follows_alpha_and_size(name: str, alpha: float, rows: int, cols: int, asked: Any) -> None:
    """The name agrees with Keras for all widths and sizes; sizes without a file use that of 224 px."""
    assert weights_file_name(BASES[name], alpha, rows, cols) == asked(name, alpha=alpha, input_shape=(rows, cols, 3))


@pytest.mark.parametrize("name, alpha", ALPHAS)
def test_the_file_with_the_classifier_follows_alpha(name: str, alpha: float, asked: Any) -> None:
    """The name agrees with Keras for each width with ImageNet weights."""
    file = weights_file_name(BASES[name], alpha, 224, 224, top=True)
    assert file == asked(name, top=True, alpha=alpha, input_shape=(224, 224, 3))


def test_a_few_file_names_by_hand() -> None:
    """Some names written out, so that a change in Keras shows what has changed."""
    v1, v2, vgg = BASES["MobileNet"], BASES["MobileNetV2"], BASES["VGG16"]
    assert weights_file_name(v1, 1, 128, 128) == "mobilenet_1_0_128_tf_no_top.h5"
    assert weights_file_name(v1, 0.25, 150, 150) == "mobilenet_2_5_224_tf_no_top.h5"
    v2_file = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.4_224_no_top.h5"
    assert weights_file_name(v2, 1.4, 192, 160) == v2_file
    assert weights_file_name(vgg, 1.0, 64, 48) == "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small", "ResNet50V2", "EfficientNetV2B0", "ConvNeXtTiny"])
def test_the_stubs_do_not_change_what_is_asked_for(name: str, asked: Any, lazily: None) -> None:
    """A real network requests the same file as one of stubs."""
    arguments = {"input_shape": (96, 96, 3)}
    assert asked(name, stubs=False, **arguments) == asked(name, **arguments)


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.9, 1.2, 2.0])
@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large"])
def test_a_width_that_keras_refuses_is_refused(name: str, alpha: float) -> None:
    """No file is named where Keras would refuse to load ImageNet weights of that alpha."""
    with pytest.raises(UsageError, match="alpha"):
        weights_file_name(BASES[name], alpha, 224, 224)
    with pytest.raises(ValueError, match="alpha"):
        constructor(name)(weights="imagenet", include_top=False, alpha=alpha, input_shape=(224, 224, 3))


def test_an_unknown_alpha_is_answered_with_the_list() -> None:
    """The message has the possible widths, the one found and a remedy."""
    with pytest.raises(UsageError) as caught:
        weights_file_name(BASES["MobileNet"], 0.6, 224, 224)
    assert str(caught.value) == (
        "ImageNet weights of MobileNet: expected alpha 0.25, 0.5, 0.75 or 1.0, found 0.6; "
        "choose one of these, or other weights"
    )


def test_alpha_for_a_base_that_has_none_is_refused() -> None:
    """A base of fixed width has alpha 1.0 and no other."""
    with pytest.raises(UsageError) as caught:
        weights_file_name(BASES["VGG16"], 0.5, 224, 224)
    assert str(caught.value) == (
        "ImageNet weights of VGG16: expected alpha 1.0, found 0.5; leave alpha out: the width is fixed"
    )


@pytest.mark.parametrize("name", BASES)
def test_a_map_pools_unless_keras_ends_on_another_layer(name: str, asked: Any) -> None:
    """With pooling="avg" the last layer is the pooling, except for the bases marked otherwise."""
    asked(name, pooling="avg", input_shape=(224, 224, 3))
    assert Stub.made[-1] == ("GlobalAveragePooling2D" if BASES[name].map_pools else "LayerNormalization")


@pytest.mark.parametrize("name", BUILT)
def test_figures_with_the_top_are_those_of_the_network(name: str, lazily: None) -> None:
    """The parameter count is exact, and the size is the constructor's default where it has one."""
    model = constructor(name)(weights=None)
    assert model.count_params() == BASES[name].parameters
    assert model.input_shape[1:3] in ((BASES[name].input_size,) * 2, (None, None))  # MobileNetV3 has no default


@pytest.mark.parametrize("name", [*BUILT, "Xception", "InceptionV3", "ConvNeXtTiny"])
def test_width_and_minimum_size_are_those_of_the_network(name: str, lazily: None) -> None:
    """The minimum size is accepted and gives maps of the table's width; one pixel less is refused."""
    info, side = BASES[name], BASES[name].min_size
    build = constructor(name)
    assert build(weights=None, include_top=False, input_shape=(side, side, 3)).output_shape[-1] == info.width
    for shape in [(side - 1, side, 3), (side, side - 1, 3)]:
        with pytest.raises(ValueError, match="at least"):
            build(weights=None, include_top=False, input_shape=shape)


ONE_OF_EACH_END = list({last_layer(info) or "": name for name, info in reversed(BASES.items())}.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_OF_EACH_END)
def test_the_last_layer_is_that_of_the_network(name: str, lazily: None) -> None:
    """Its output is what the network returns, so that its name is another word for `last`."""
    from featstore.bases.cut import cut_at

    side = BASES[name].min_size
    model = constructor(name)(weights=None, include_top=False, input_shape=(side, side, 3))
    assert cut_at(model, last_layer(BASES[name]) or "", "none").output is model.output


@pytest.mark.parametrize("name", BASES)
def test_the_minimum_size_is_the_limit_of_every_constructor(name: str, asked: Any) -> None:
    """Each constructor requests its weights at the minimum size, and refuses one pixel less."""
    side = BASES[name].min_size
    asked(name, input_shape=(side, side, 3))
    with pytest.raises(ValueError, match="at least"):
        constructor(name)(weights=None, include_top=False, input_shape=(side - 1, side - 1, 3))


def test_a_known_name_is_found() -> None:
    """lookup returns the entry itself."""
    assert lookup("EfficientNetV2B0") is BASES["EfficientNetV2B0"]


@pytest.mark.parametrize(
    "name, remedy",
    [
        ("resnet5", "did you mean ResNet50"),
        ("mobilenet_w2", "did you mean MobileNet"),
        ("VGG61", "did you mean VGG19 or VGG16?"),
        ("qqqq", "they are VGG16, VGG19, ResNet50"),
        ("", "they are VGG16, VGG19, ResNet50"),
    ],
)
def test_an_unknown_name_is_answered_with_similar_names(name: str, remedy: str) -> None:
    """The message has the expected names, the one found and a remedy."""
    with pytest.raises(UsageError) as caught:
        lookup(name)
    assert str(caught.value).startswith(
        f"unknown base {name!r}: expected tiny or pixels, a file .keras or .h5, or one of the"
    )
    assert remedy in str(caught.value)


def test_the_catalog_loads_nothing_heavy() -> None:
    """Importing the table imports neither TensorFlow nor Keras nor numpy nor scikit-learn."""
    heavy = {"tensorflow", "keras", "numpy", "sklearn"}
    code = f"import sys, featstore.bases.catalog; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_fields_are_those_that_the_package_reads() -> None:
    """The fields come in the order of the table, the optional ones last."""
    required = ["name", "module", "input_size", "width", "preprocessing", "min_size", "parameters", "top1", "top5"]
    assert [field.name for field in fields(BaseInfo)] == [*required, "weights_file", "takes_alpha", "map_pools"]
