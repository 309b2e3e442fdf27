"""The loader of TensorFlow: float32 is computed as float32, and the program's variables stay its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from featstore.errors import BaseUnavailable
from featstore.system.tensorflow_loader import ROUNDING, load_tensorflow
from helpers.cli import WARNINGS

LOADED = """
import os
names = "KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS"
from featstore.system.tensorflow_loader import load_tensorflow, onednn_setting
from featstore.system.pinned import pinned
tf32 = "tensorflow.config.experimental.tensor_float_32_execution_enabled()"
with pinned():
    load_tensorflow()
    import keras, tensorflow
    print(eval(tf32), keras.config.floatx(), keras.config.epsilon(), onednn_setting())
print(eval(tf32), keras.config.floatx(), keras.config.epsilon(), [os.environ.get(name) for name in names])
"""


@pytest.mark.parametrize("before", ["", "import keras\n"])
def test_what_loads_late_is_pinned_too(before: str, tmp_path: Path) -> None:
    """TensorFlow switches TF32 on, and Keras reads a file of the user's; both get their own state back."""
    (tmp_path / "keras.json").write_text('{"floatx": "float16", "epsilon": 0.01, "backend": "tensorflow"}')
    variables = {k: v for k, v in os.environ.items() if k not in ("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS")}
    done = subprocess.run(
        [sys.executable, *WARNINGS, "-c", before + LOADED],
        env=variables | {"KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    onednn = "by default" if before else "1"
    assert done.stdout.splitlines() == [f"False float32 1e-07 {onednn}", "True float16 0.01 [None, None]"], done.stderr


@pytest.mark.parametrize("name", ROUNDING)
@pytest.mark.parametrize("value, passes", [("", True), ("0", True), ("strict", True), ("1", False), ("BF16", False)])
def test_variables_that_round_products_are_refused(
    name: str, value: str, passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """oneDNN and CUDA read them once, and nothing tells afterwards what they read."""
    monkeypatch.setenv(name, value)
    if passes:
        load_tensorflow()
        return
    with pytest.raises(BaseUnavailable, match=f"^{name}={value}: .*: unset {name} and start again$"):
        load_tensorflow()


NOISY = """
import os, sys
from featstore.system import tensorflow_loader
def noisy():
    for line in (b"I0000 00:00:17.93 18960 port.cc:153] oneDNN custom operations are on.", b"my own words"):
        os.write(2, line + b"\\n")
    print("a warning of mine", file=sys.stderr)
with tensorflow_loader._log_lines_dropped():
    noisy()
"""


@pytest.mark.parametrize(("level", "lines"), [(None, 2), ("0", 3)])
def test_log_lines_are_dropped_and_nothing_else(level: str | None, lines: int) -> None:
    """A notebook is no place for them, while the words of other threads are not ours to drop."""
    variables = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    variables |= {"TF_CPP_MIN_LOG_LEVEL": level} if level else {}
    done = subprocess.run([sys.executable, "-c", NOISY], env=variables, capture_output=True, text=True)
    assert done.stderr.splitlines()[-2:] == ["my own words", "a warning of mine"]
    assert len(done.stderr.splitlines()) == lines


def test_a_script_sees_none_of_them(tmp_path: Path) -> None:
    """As on the command line."""
    script = "from featstore.system.tensorflow_loader import load_tensorflow; load_tensorflow(); print('loaded')"
    variables = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("loaded\n", "")


@pytest.mark.tf
@pytest.mark.parametrize("settings, variables", [('{"epsilon": 1}', {}), ("{}", {"KERAS_MAX_EPOCHS": "all"})])
def test_settings_that_keras_does_not_accept_are_one_line(
    settings: str, variables: dict[str, str], tmp_path: Path
) -> None:
    """Keras ends in an assertion without a word; the line says where its settings are."""
    (tmp_path / "keras.json").write_text(settings)
    done = subprocess.run(
        [sys.executable, "-c", "from featstore.system.tensorflow_loader import load_tensorflow; load_tensorflow()"],
        env={**os.environ, "KERAS_HOME": str(tmp_path), **variables},
        capture_output=True,
        text=True,
    )
    assert "BaseUnavailable: Keras does not start (" in done.stderr.splitlines()[-1]
    assert "keras.json" in done.stderr.splitlines()[-1]
