"""The bases of keras.applications as data: everything that must be known without loading TensorFlow.

Widths, parameter counts, minimum sizes and file names are those of Keras 3.15.1, taken from the built networks and
their sources. Top-1 and top-5 are the figures of https://keras.io/api/applications/, None where that page has none.
tests/bases/test_catalog.py compares the table with the Keras that is installed.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass

from featstore.errors import UsageError
from featstore.system.words import plain, spelled_as


@dataclass(frozen=True, slots=True)
class BaseInfo:
    """One constructor of keras.applications.

    The last activation for an image (rows, cols, 3) is (map rows, map cols, width), or (width,) after pooling.
    """

    name: str  # the constructor, e.g. "MobileNet"
    module: str  # the submodule of keras.applications that holds its preprocess_input, e.g. "mobilenet"
    input_size: int  # side in px that it was published for
    width: int  # channels of the last activation without the top, at alpha 1.0
    preprocessing: str  # what it was trained with: "caffe", "tf", "torch", or "raw" (built in: feed 0..255)
    min_size: int  # smallest side in px that the constructor accepts without the top
    parameters: int  # exact count with the top (1000 classes), at alpha 1.0
    top1: float | None  # published, % on ImageNet
    top5: float | None
    weights_file: str  # the ImageNet file without the top; may hold the fields {alpha} and {rows}
    takes_alpha: bool = False  # the constructor has an argument `alpha`, the width multiplier
    map_pools: bool = True  # False: Keras pools before its last layer, so a kept map does not give the pooled feature


_Row = tuple[str, str, int, int, str, int, int, float | None, float | None, str]

_NOTOP = "weights_tf_dim_ordering_tf_kernels_notop.h5"
_INCEPTION_RESNET = f"inception_resnet_v2_{_NOTOP}"
_MOBILENET = "mobilenet_{alpha}_{rows}_tf_no_top.h5"
_MOBILENET_V2 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{rows}_no_top.h5"
_V3_SMALL = "weights_mobilenet_v3_small_224_{alpha}_float_no_top_v2.h5"
_V3_LARGE = "weights_mobilenet_v3_large_224_{alpha}_float_no_top_v2.h5"

# Name, module, input size, width, preprocessing, min. size, parameters, top-1, top-5, weights file
_ROWS: tuple[_Row, ...] = (
    ("VGG16", "vgg16", 224, 512, "caffe", 32, 138_357_544, 71.3, 90.1, f"vgg16_{_NOTOP}"),
    ("VGG19", "vgg19", 224, 512, "caffe", 32, 143_667_240, 71.3, 90.0, f"vgg19_{_NOTOP}"),
    ("ResNet50", "resnet", 224, 2048, "caffe", 32, 25_636_712, 74.9, 92.1, f"resnet50_{_NOTOP}"),
    ("ResNet101", "resnet", 224, 2048, "caffe", 32, 44_707_176, 76.4, 92.8, f"resnet101_{_NOTOP}"),
    ("ResNet152", "resnet", 224, 2048, "caffe", 32, 60_419_944, 76.6, 93.1, f"resnet152_{_NOTOP}"),
    ("ResNet50V2", "resnet_v2", 224, 2048, "tf", 32, 25_613_800, 76.0, 93.0, f"resnet50v2_{_NOTOP}"),
    ("ResNet101V2", "resnet_v2", 224, 2048, "tf", 32, 44_675_560, 77.2, 93.8, f"resnet101v2_{_NOTOP}"),
    ("ResNet152V2", "resnet_v2", 224, 2048, "tf", 32, 60_380_648, 78.0, 94.2, f"resnet152v2_{_NOTOP}"),
    ("Xception", "xception", 299, 2048, "tf", 71, 22_910_480, 79.0, 94.5, f"xception_{_NOTOP}"),
    ("InceptionV3", "inception_v3", 299, 2048, "tf", 75, 23_851_784, 77.9, 93.7, f"inception_v3_{_NOTOP}"),
    ("InceptionResNetV2", "inception_resnet_v2", 299, 1536, "tf", 75, 55_873_736, 80.3, 95.3, _INCEPTION_RESNET),
    ("MobileNet", "mobilenet", 224, 1024, "tf", 32, 4_253_864, 70.4, 89.5, _MOBILENET),
    ("MobileNetV2", "mobilenet_v2", 224, 1280, "tf", 32, 3_538_984, 71.3, 90.1, _MOBILENET_V2),
    ("MobileNetV3Small", "mobilenet_v3", 224, 576, "raw", 32, 2_554_968, None, None, _V3_SMALL),
    ("MobileNetV3Large", "mobilenet_v3", 224, 960, "raw", 32, 5_507_432, None, None, _V3_LARGE),
    ("DenseNet121", "densenet", 224, 1024, "torch", 32, 8_062_504, 75.0, 92.3, f"densenet121_{_NOTOP}"),
    ("DenseNet169", "densenet", 224, 1664, "torch", 32, 14_307_880, 76.2, 93.2, f"densenet169_{_NOTOP}"),
    ("DenseNet201", "densenet", 224, 1920, "torch", 32, 20_242_984, 77.3, 93.6, f"densenet201_{_NOTOP}"),
    ("NASNetMobile", "nasnet", 224, 1056, "tf", 32, 5_326_716, 74.4, 91.9, "nasnet_mobile_no_top.h5"),
    ("NASNetLarge", "nasnet", 331, 4032, "tf", 32, 88_949_818, 82.5, 96.0, "nasnet_large_no_top.h5"),
    ("EfficientNetB0", "efficientnet", 224, 1280, "raw", 32, 5_330_571, 77.1, None, "efficientnetb0_notop.h5"),
    ("EfficientNetB1", "efficientnet", 240, 1280, "raw", 32, 7_856_239, 79.1, None, "efficientnetb1_notop.h5"),
    ("EfficientNetB2", "efficientnet", 260, 1408, "raw", 32, 9_177_569, 80.1, None, "efficientnetb2_notop.h5"),
    ("EfficientNetB3", "efficientnet", 300, 1536, "raw", 32, 12_320_535, 81.6, None, "efficientnetb3_notop.h5"),
    ("EfficientNetB4", "efficientnet", 380, 1792, "raw", 32, 19_466_823, 82.9, None, "efficientnetb4_notop.h5"),
    ("EfficientNetB5", "efficientnet", 456, 2048, "raw", 32, 30_562_527, 83.6, None, "efficientnetb5_notop.h5"),
    ("EfficientNetB6", "efficientnet", 528, 2304, "raw", 32, 43_265_143, 84.0, None, "efficientnetb6_notop.h5"),
    ("EfficientNetB7", "efficientnet", 600, 2560, "raw", 32, 66_658_687, 84.3, None, "efficientnetb7_notop.h5"),
    ("EfficientNetV2B0", "efficientnet_v2", 224, 1280, "raw", 32, 7_200_312, 78.7, None, "efficientnetv2-b0_notop.h5"),
    ("EfficientNetV2B1", "efficientnet_v2", 240, 1280, "raw", 32, 8_212_124, 79.8, None, "efficientnetv2-b1_notop.h5"),
    ("EfficientNetV2B2", "efficientnet_v2", 260, 1408, "raw", 32, 10_178_374, 80.5, None, "efficientnetv2-b2_notop.h5"),
    ("EfficientNetV2B3", "efficientnet_v2", 300, 1536, "raw", 32, 14_467_622, 82.0, None, "efficientnetv2-b3_notop.h5"),
    ("EfficientNetV2S", "efficientnet_v2", 384, 1280, "raw", 32, 21_612_360, 83.9, None, "efficientnetv2-s_notop.h5"),
    ("EfficientNetV2M", "efficientnet_v2", 480, 1280, "raw", 32, 54_431_388, 85.3, None, "efficientnetv2-m_notop.h5"),
    ("EfficientNetV2L", "efficientnet_v2", 480, 1280, "raw", 32, 119_027_848, 85.7, None, "efficientnetv2-l_notop.h5"),
    ("ConvNeXtTiny", "convnext", 224, 768, "raw", 32, 28_589_128, 81.3, None, "convnext_tiny_notop.h5"),
    ("ConvNeXtSmall", "convnext", 224, 768, "raw", 32, 50_223_688, 82.3, None, "convnext_small_notop.h5"),
    ("ConvNeXtBase", "convnext", 224, 1024, "raw", 32, 88_591_464, 85.3, None, "convnext_base_notop.h5"),
    ("ConvNeXtLarge", "convnext", 224, 1536, "raw", 32, 197_767_336, 86.3, None, "convnext_large_notop.h5"),
    ("ConvNeXtXLarge", "convnext", 224, 2048, "raw", 32, 350_196_968, 86.7, None, "convnext_xlarge_notop.h5"),
)
BASES: dict[str, BaseInfo] = {
    row[0]: BaseInfo(*row, takes_alpha="{alpha}" in row[-1], map_pools=row[1] != "convnext") for row in _ROWS
}

# The built-in base: no constructor of Keras, so not in BASES. Its figures are on CIFAR-10, not on ImageNet.
TINY = BaseInfo("tiny", "", 32, 256, "tf", 32, 398_048, None, None, "tiny.h5", takes_alpha=False, map_pools=True)

# The prepared pixels themselves, for networks trained from scratch. No base was trained, so `keras` stands for the
# usual scaling, 0..1.
PIXELS = BaseInfo("pixels", "", 64, 3, "rescale", 1, 0, None, None, "")
BUILT_IN = {info.name: info for info in (TINY, PIXELS)}

# How Keras writes the width multiplier into the name of a file, for each multiplier with ImageNet weights; and the
# sides in px that have files of their own. For any other size, and any that is not square, Keras uses that of 224 px.
_ALPHAS = {
    "MobileNet": {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"},
    "MobileNetV2": {0.35: "0.35", 0.5: "0.5", 0.75: "0.75", 1.0: "1.0", 1.3: "1.3", 1.4: "1.4"},
    "MobileNetV3Small": {0.75: "0.75", 1.0: "1.0"},
    "MobileNetV3Large": {0.75: "0.75", 1.0: "1.0"},
}
_SIZES = {"MobileNet": (128, 160, 192, 224), "MobileNetV2": (96, 128, 160, 192, 224)}

# Patterns for the layers whose output ends a block, from the top down, by constructor or module. The last block follows
# the first of them. The last match of a pattern counts, since deeper networks of a family have more layers. Every path
# goes through these outputs. NASNet has none: each of its cells takes the outputs of two others.
_BLOCK_ENDS: dict[str, tuple[str, ...]] = {
    "vgg16": ("block4_pool", "block3_pool", "block2_pool", "block1_pool"),
    "vgg19": ("block4_pool", "block3_pool", "block2_pool", "block1_pool"),
    "resnet": (r"conv4_block\d+_out", r"conv3_block\d+_out", r"conv2_block\d+_out", "pool1_pool"),
    "resnet_v2": (r"conv4_block\d+_out", r"conv3_block\d+_out", r"conv2_block\d+_out", "pool1_pool"),
    "xception": ("add_10", "add_2"),  # the exit flow, the middle flow
    "inception_v3": tuple(f"mixed{number}" for number in range(9, -1, -1)),
    "inception_resnet_v2": (r"custom_scale_layer_\d+", "mixed_7a", "block17_20_ac", "mixed_6a", "block35_10_ac"),
    "mobilenet": ("conv_pw_11_relu", "conv_pw_5_relu", "conv_pw_3_relu", "conv_pw_1_relu"),
    "mobilenet_v2": ("block_12_add", "block_5_add", "block_2_add"),
    "MobileNetV3Small": ("expanded_conv_7_add", "expanded_conv_2_add"),
    "MobileNetV3Large": ("expanded_conv_11_add", "expanded_conv_5_add", "expanded_conv_2_add"),
    "densenet": ("pool4_pool", "pool3_pool", "pool2_pool", "pool1"),
    "nasnet": (),
    "efficientnet": tuple(rf"block{number}[a-z]_(add|project_bn)" for number in range(6, 0, -1)),
    "efficientnet_v2": tuple(rf"block{number}[a-z]_(add|project_bn)" for number in range(5, 0, -1)),
    "EfficientNetV2M": tuple(rf"block{number}[a-z]_(add|project_bn)" for number in range(6, 0, -1)),
    "EfficientNetV2L": tuple(rf"block{number}[a-z]_(add|project_bn)" for number in range(6, 0, -1)),
    "convnext": tuple(rf"\w+_downsampling_block_{number}" for number in range(2, -1, -1)),
    "tiny": ("block1b_out", "block1a_out", "stem_relu"),
}

# The layer whose output a base returns without its classifier, by constructor or module. Tests compare it with Keras.
_LAST_LAYERS: dict[str, str] = {
    "vgg16": "block5_pool",
    "vgg19": "block5_pool",
    "resnet": "conv5_block3_out",
    "resnet_v2": "post_relu",
    "xception": "block14_sepconv2_act",
    "inception_v3": "mixed10",
    "inception_resnet_v2": "conv_7b_ac",
    "mobilenet": "conv_pw_13_relu",
    "mobilenet_v2": "out_relu",
    "MobileNetV3Small": "activation_17",
    "MobileNetV3Large": "activation_19",
    "densenet": "relu",
    "NASNetMobile": "activation_187",
    "NASNetLarge": "activation_259",
    "efficientnet": "top_activation",
    "efficientnet_v2": "top_activation",
    "convnext": "layer_normalization",
    "tiny": "widen_relu",
}


def last_layer(info: BaseInfo) -> str | None:
    """Return the name of the layer whose output a base returns without its classifier; None for `pixels`."""
    return _LAST_LAYERS.get(info.name) or _LAST_LAYERS.get(info.module)


def block_ends(info: BaseInfo) -> tuple[str, ...]:
    """Return patterns for the layers whose output ends a block of this base, from the top down."""
    return _BLOCK_ENDS.get(info.name) or _BLOCK_ENDS.get(info.module, ())


_ALIASES = {"MobileNetV1": "MobileNet", "ResNet50V1": "ResNet50"}


def settle_model(model: str | os.PathLike[str]) -> str:
    """Return the name of the base that `model` spells, as in mobilenet-v2; anything else as it is, such as a file."""
    text = os.fspath(model)
    name = spelled_as(text, [*BUILT_IN, *BASES, *_ALIASES])
    return text if name is None else _ALIASES.get(name, name)


def lookup(name: str) -> BaseInfo:
    """Return the entry of a base by its exact name; raises UsageError, with similar names, if there is none."""
    if name in BASES:
        return BASES[name]
    raise UsageError(
        f"unknown base {name!r}: expected {' or '.join(BUILT_IN)}, a file .keras or .h5, or one of the {len(BASES)} "
        f"constructors of keras.applications (`featstore models`); {_suggestion(name)}"
    )


def weights_file_name(info: BaseInfo, alpha: float, rows: int, cols: int, top: bool = False) -> str:
    """Return the file that Keras downloads for weights="imagenet", include_top=`top` and an input (rows, cols, 3).

    Raises UsageError if there are no ImageNet weights of that width. Source: keras/src/applications/mobilenet*.py.
    """
    texts = _ALPHAS.get(info.name, {1.0: ""})
    if alpha not in texts:
        raise UsageError(
            f"ImageNet weights of {info.name}: expected alpha {_joined([str(a) for a in texts])}, found {alpha}; "
            + ("choose one of these, or other weights" if info.takes_alpha else "leave alpha out: the width is fixed")
        )
    side = rows if rows == cols and rows in _SIZES.get(info.name, ()) else 224
    name = info.weights_file.format(alpha=texts[alpha], rows=side)
    return re.sub(r"_no_?top(_v2)?\.h5$", ".h5", name) if top else name


def is_published(info: BaseInfo, file_name: str) -> bool:
    """Return whether a file has a name under which weights of this base are published, with or without its classifier.

    Any width and any size count.
    """
    pattern = re.escape(info.weights_file).replace(r"\{alpha\}", r"[\d._]+").replace(r"\{rows\}", r"\d+")
    with_top = re.sub(r"_no_?top(_v2)?\\\.h5$", r"\\.h5", pattern)
    return re.fullmatch(f"{pattern}|{with_top}", file_name) is not None


def _suggestion(name: str) -> str:
    """Return a remedy for an unknown name: similar names, or all of them."""
    by_letters = {plain(known): known for known in (*BUILT_IN, *BASES)}
    close = difflib.get_close_matches(plain(name), by_letters, n=3)
    names = [by_letters[match] for match in close]
    return f"did you mean {_joined(names)}?" if names else f"they are {', '.join(BASES)}"


def _joined(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
