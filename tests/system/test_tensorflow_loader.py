"""The loader of TensorFlow: float32 is computed as float32."""

from __future__ import annotations

import subprocess
import sys

import pytest
import tensorflow as tf

from featstore.system.tensorflow_loader import load_tensorflow
from helpers.cli import WARNINGS

_TF32 = "tensorflow.config.experimental.tensor_float_32_execution_enabled()"


@pytest.mark.parametrize("before", ["", "import tensorflow"])
def test_tf32_is_off(before: str) -> None:
    """Products of rounded numbers are other features, even if the program imported TensorFlow first."""
    load = "from featstore.system.tensorflow_loader import load_tensorflow; load_tensorflow()"
    code = f"{before}\n{load}\nimport tensorflow\n"
    done = subprocess.run([sys.executable, *WARNINGS, "-c", f"{code}print({_TF32})"], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_tf32_that_was_switched_on_again_is_off() -> None:
    """Every network calls the loader, so the loader has the last word."""
    tf.config.experimental.enable_tensor_float_32_execution(True)
    load_tensorflow()
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
