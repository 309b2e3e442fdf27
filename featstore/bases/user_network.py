"""A network of the user's, as it is in a file: loaded without its code, and checked to take photos."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from featstore.bases.flat import flatten
from featstore.bases.keras_errors import refuse_locks, summary_of
from featstore.bases.keras_file import saved_by
from featstore.bases.keras_internals import all_layers
from featstore.bases.weights_file import IMAGENET_CLASSES
from featstore.errors import BaseUnavailable


def load_user_network(path: Path) -> Any:
    """Return the network in a file of the user's, flat; raises BaseUnavailable if it is not one of photos."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice to those who write networks
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # h5py, zipfile and Keras each raise their own
        refuse_locks(path, error)
        version = saved_by(path)
        saved = f" (saved by Keras {version}, here is {keras.__version__})" if version else ""
        raise BaseUnavailable(f"{path}: Keras cannot load it in safe mode{saved}: {summary_of(error)}") from error
    shapes = [tuple(tensor.shape) for tensor in _inputs(model)]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] != 3:
        found = ", ".join(map(str, shapes)) or "a model without a fixed input"
        raise BaseUnavailable(f"{path}: expected one input of (height, width, 3), found {found}")
    takes = model.inputs[0].dtype
    if takes in ("int8", "bool") or takes.startswith(("complex", "string")):
        raise BaseUnavailable(f"{path}: expected an input that holds pixels from 0 to 255, found {takes}")
    if layer := next((layer for layer in all_layers(model) if _computes_otherwise(layer)), None):
        raise BaseUnavailable(
            f"{path}: layer {layer.name!r} computes in {layer.dtype_policy.name}: expected float32; save the network "
            "without quantization"
        )
    return flatten(model)


def _computes_otherwise(layer: Any) -> bool:
    """Return whether a layer computes in fewer bits than float32 has."""
    return layer.quantization_mode is not None or layer.compute_dtype in ("float16", "bfloat16")


def check_probabilities(model: Any, path: Path, height: int, width: int) -> None:
    """Raise BaseUnavailable unless the outputs are probabilities: logits have the same shape."""
    found = f"an output of shape {model.output_shape}"
    if model.output_shape == (None, IMAGENET_CLASSES):
        noise = np.random.default_rng(0).uniform(0, 1, (2, height, width, 3)).astype("float32")
        network = keras.Model(model.inputs[0], model.outputs[0])  # Keras warns of an input that is in a list
        rows = np.asarray(network(noise, training=False))
        if (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=1e-3):
            return
        found = f"values from {rows.min():.3g} to {rows.max():.3g} whose sum is {rows[0].sum():.3g}"
    raise BaseUnavailable(
        f"{path}: expected the probabilities of the {IMAGENET_CLASSES} classes of ImageNet, found {found}; end the "
        "model in a softmax over them"
    )


def _inputs(model: Any) -> list[Any]:
    """Return the inputs; none for a Sequential that was never built, and for an object that is not a network."""
    try:
        return list(model.inputs)
    except AttributeError:
        return []
