"""The recorded environment, and that recording it loads nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, features

from featstore.system.environment import describe_environment, versions


def test_describing_loads_nothing() -> None:
    """Libraries that are not loaded had no influence, so the environment is then only the versions."""
    code = (
        "import json, sys; from featstore.system.environment import describe_environment, versions\n"
        "loaded = sorted({'tensorflow', 'PIL', 'numpy'} & set(sys.modules))\n"
        "print(json.dumps([describe_environment() == versions(), loaded]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, []]


def test_decoder_device_and_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are recorded with the versions, all as text."""
    assert Image.__name__ == "PIL.Image" and np.__name__  # loaded
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    found = describe_environment()
    assert found.items() > versions().items()
    assert found["libjpeg"] == f"turbo {features.version('libjpeg_turbo')}"
    assert found["onednn"] == "0"
    assert (found["device"] == "cpu") == (not tf.config.list_physical_devices("GPU"))
    assert all(isinstance(value, str) for value in found.values())
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    assert describe_environment()["onednn"] == "by default"


def test_a_gpu_goes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another kind of GPU is another environment; another number of the same kind is not."""
    gpus = [tf.config.PhysicalDevice(f"/physical_device:GPU:{number}", "GPU") for number in range(2)]
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"device_name": "Some GPU"})
    assert describe_environment()["device"] == "Some GPU"
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {})
    assert describe_environment()["device"] == "/physical_device:GPU:0, /physical_device:GPU:1"


def test_another_library_for_jpeg_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow may be built with the original libjpeg."""
    monkeypatch.setattr(features, "version", {"libjpeg_turbo": None, "jpg": "9.6"}.get)
    assert describe_environment()["libjpeg"] == "9.6"
