"""The built-in base: a small residual network trained on CIFAR-10, shipped with the package.

It needs no download, so the quickstart and the default tests use learned features. `examples/train_tiny.py` makes the
weights. They are stored as float16 and converted to float32 when the network is built.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import layers

from featstore.bases.hdf5 import open_hdf5

TINY_WEIGHTS = Path(__file__).with_name("tiny.h5")


def build_tiny(input_shape: tuple[int | None, int | None, int] = (None, None, 3)) -> Any:
    """Return the network without its weights: (h, w, 3) in the `tf` scaling ([-1, 1]) to a map (h / 4, w / 4, 256).

    Post-activation residual units (He et al. 2015, section 3.3), then a 1x1 convolution; fully convolutional.
    """
    inputs = keras.Input(input_shape)
    x = _conv_bn(inputs, 32, "stem")
    x = layers.ReLU(name="stem_relu")(x)
    x = _residual_unit(x, 64, 2, "block1a")
    x = _residual_unit(x, 64, 1, "block1b")
    x = _residual_unit(x, 128, 2, "block2a")
    x = _conv_bn(x, 256, "widen", kernel=1)
    x = layers.ReLU(name="widen_relu")(x)
    return keras.Model(inputs, x, name="tiny")


def load_tiny_weights(model: Any, path: Path = TINY_WEIGHTS) -> None:
    """Fill `model` from the HDF5 file at `path`, in which each variable is a data set under the variable's path."""
    with open_hdf5(path) as file:
        for variable in model.weights:
            variable.assign(file[variable.path][()].astype("float32"))


def _conv_bn(x: Any, width: int, name: str, stride: int = 1, kernel: int = 3) -> Any:
    x = layers.Conv2D(width, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return layers.BatchNormalization(name=f"{name}_bn", momentum=0.9)(x)


def _residual_unit(x: Any, width: int, stride: int, name: str) -> Any:
    shortcut = x
    if stride != 1 or x.shape[-1] != width:
        shortcut = _conv_bn(x, width, f"{name}_shortcut", stride, kernel=1)
    x = _conv_bn(x, width, f"{name}_1", stride)
    x = layers.ReLU(name=f"{name}_1_relu")(x)
    x = _conv_bn(x, width, f"{name}_2")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_out")(x)
