"""Saving and loading Keras networks, and compiling them to a function from rows to logits."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from featstore.errors import RunError, StoreError
from featstore.system.files import write_whole
from featstore.system.tensorflow_loader import load_tensorflow


def save_network(model: Any, path: Path) -> None:
    """Save a Keras `model`; raises StoreError, and leaves no partial file, if it cannot be written."""
    try:
        with tempfile.TemporaryDirectory() as folder:  # Keras writes to a path only, and not atomically
            model.save(Path(folder) / path.name)
            data = (Path(folder) / path.name).read_bytes()
    except OSError as error:
        raise StoreError(f"{tempfile.gettempdir()}: cannot be written: {error.strerror}; free some space") from error
    write_whole(path, data)


def read_network(path: Path) -> Any:
    """Return the Keras model in `path`, whose layers the caller has checked; raises RunError."""
    load_tensorflow()
    import keras

    from featstore.bases.defaults import keras_defaults

    try:
        with keras_defaults():
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, h5py and zipfile each raise their own
        raise RunError(f"{path}: Keras cannot load it: {' '.join(str(error).split())[:300]}") from error


def compile_logits(model: Any) -> Callable[[Any], Any]:
    """Return a function from rows to logits (n, classes), or (n, 1) before a sigmoid, in inference mode.

    It has one graph for all batches. `Model.predict` traces one for each network, and warns about their number.
    """
    import tensorflow as tf

    from featstore.bases.keras_internals import logits_of

    signature = [tf.TensorSpec(model.input_shape, tf.float32)]
    logits: Callable[[Any], Any] = tf.function(
        lambda rows: logits_of(model(rows, training=False)), signature, autograph=False
    )
    return logits
