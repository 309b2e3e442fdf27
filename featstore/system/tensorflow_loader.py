"""The only place that imports TensorFlow: late, and without its messages at start-up."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module

from featstore.errors import BaseUnavailable
from featstore.system.imports import collection_paused, loaded, variables_set
from featstore.system.log_lines import log_lines_dropped
from featstore.system.pinned import pin_loaded

ROUNDING = (
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",  # its older name
    "TF_SET_ONEDNN_FPMATH_MODE",  # the same on ARM
    "NVIDIA_TF32_OVERRIDE",
)
_LOADED_WITH = {
    "KERAS_BACKEND": "tensorflow",
    # On x86 without AVX-512 it is off by default; with it MobileNet and EfficientNet run 1.5 to 2.7 times as fast, and
    # the backward pass of VGG and ResNet in half the time. Values move by less than 1e-5.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "1",  # what it logs later on is hidden only below a warning
}
_LOG_LINE = re.compile(
    rb"WARNING: All log messages before absl|[IWE]\d{4} \d\d:|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: |"
    rb"To enable the following instructions|$"
)
_onednn = ""


def mute_tensorflow() -> None:
    """Drop the warnings of TensorFlow's C++ code too. For programs that own their standard error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def load_tensorflow() -> None:
    """Import TensorFlow and Keras and let them look for devices, unless that has been done.

    Raises BaseUnavailable if Keras runs on another backend, and for variables that make products less precise.
    """
    refuse_rounding()
    refuse_backend()
    with variables_set(**_LOADED_WITH), _refused_settings_told():
        if not loaded("tensorflow"):
            _import_tensorflow()  # which may import Keras
        with collection_paused():
            import_module("keras")
    pin_loaded()


@contextmanager
def _refused_settings_told() -> Iterator[None]:
    """Raise BaseUnavailable where Keras does not accept its settings, which it says with a bare assertion."""
    try:
        yield
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise BaseUnavailable(
            f"Keras does not start ({type(error).__name__}: {error}): its settings are in keras.json in $KERAS_HOME or "
            "~/.keras, and in variables that begin with KERAS_; take out what it does not accept"
        ) from error


def refuse_backend() -> None:
    """Raise BaseUnavailable if Keras runs, or would run, on another backend; what its own file names does not count."""
    keras = loaded("keras")
    backend = keras.backend.backend() if keras else os.environ.get("KERAS_BACKEND", _LOADED_WITH["KERAS_BACKEND"])
    if backend != "tensorflow":
        raise BaseUnavailable(f"Keras runs on {backend} here and featstore on TensorFlow: set KERAS_BACKEND=tensorflow")


def refuse_rounding() -> None:
    """Raise BaseUnavailable where the libraries are told to round the factors of float32 products.

    They read this once, with their first product, so it can neither be taken back here nor be seen any more.
    """
    for name in ROUNDING:
        value = os.environ.get(name, "")
        if value.upper() not in ("", "0", "STRICT"):
            raise BaseUnavailable(
                f"{name}={value}: lets TensorFlow round the factors of float32 products, which makes other features "
                f"than their key says: unset {name} and start again"
            )


def onednn_setting() -> str:
    """Return TF_ENABLE_ONEDNN_OPTS as TensorFlow found it when it was imported."""
    return _onednn or os.environ.get("TF_ENABLE_ONEDNN_OPTS", "by default")


def _log_lines_dropped() -> AbstractContextManager[None]:
    """Drop the log lines of TensorFlow in a block; a user who sets TF_CPP_MIN_LOG_LEVEL to 0 wants to see them."""
    return nullcontext() if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0" else log_lines_dropped(_LOG_LINE)


def _import_tensorflow() -> None:
    global _onednn
    _onednn = os.environ["TF_ENABLE_ONEDNN_OPTS"]
    with collection_paused(), _log_lines_dropped():
        import tensorflow as tf

        tf.config.list_physical_devices()
