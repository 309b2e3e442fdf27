"""The only place that imports TensorFlow: late and, for the command line, without its messages at start-up."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from featstore.errors import BaseUnavailable
from featstore.system.imports import collection_paused

_mute = False


def mute_tensorflow() -> None:
    """Drop what TensorFlow's C++ code prints while it starts. For programs that own their standard error."""
    global _mute
    _mute = True
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def load_tensorflow() -> None:
    """Import TensorFlow and let it look for devices, unless that has been done.

    TF32 is switched off for the whole process, even if the program has imported TensorFlow before. Raises
    BaseUnavailable if Keras runs on another backend.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # Keras' own file may say otherwise
    backend = sys.modules["keras"].backend.backend() if "keras" in sys.modules else os.environ["KERAS_BACKEND"]
    if backend != "tensorflow":
        raise BaseUnavailable(f"Keras runs on {backend} here and featstore on TensorFlow: set KERAS_BACKEND=tensorflow")
    if "tensorflow" not in sys.modules:
        _import_tensorflow()
    # From Ampere on, GPUs round the factors of float32 products to 10 bits by default: other features than on a CPU,
    # under a key that says float32.
    sys.modules["tensorflow"].config.experimental.enable_tensor_float_32_execution(False)


def _import_tensorflow() -> None:
    # On x86 without AVX-512 it is off by default; with it MobileNet and EfficientNet run 1.5 to 2.7 times as fast, and
    # the backward pass of VGG and ResNet in half the time. Values move by less than 1e-5.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with collection_paused(), _native_stderr_muted():
        import tensorflow as tf

        tf.config.list_physical_devices()
    # Each network here is a function of its own, traced once; the detector takes many of them for one retraced often.
    logging.getLogger("tensorflow").addFilter(lambda record: "triggered tf.function retracing" not in str(record.msg))


@contextmanager
def _native_stderr_muted() -> Iterator[None]:
    """Mute standard error at the descriptor, since some messages come before any setting of logging holds."""
    if not _mute:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
