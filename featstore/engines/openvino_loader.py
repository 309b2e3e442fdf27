"""The only place that imports OpenVINO: late, and without its reports to its makers.

OpenVINO sends a report of each import and each conversion to a server, unless the user has declined, and asks nobody.
It sends none in continuous integration. So the variable that says so is set while OpenVINO looks at it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from featstore.system.imports import collection_paused

_SILENT = "CI"


def is_installed() -> bool:
    """Return whether OpenVINO is installed; nothing is loaded."""
    return find_spec("openvino") is not None


def load_openvino() -> Any:
    """Return the package; raises ImportError."""
    with unreported(), collection_paused():
        return import_module("openvino")


def graphics_card() -> str | None:
    """Return OpenVINO's name of the first graphics card of Intel; None if there is none."""
    devices = load_openvino().Core().available_devices
    return next((name for name in devices if name.split(".")[0] == "GPU"), None)


@contextmanager
def unreported() -> Iterator[None]:
    """Run a block in which OpenVINO sends no reports."""
    before = os.environ.get(_SILENT)
    os.environ[_SILENT] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SILENT]
        else:
            os.environ[_SILENT] = before
