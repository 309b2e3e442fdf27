"""The environment of a result: time, versions, device and switches. It is recorded with it, not part of a key."""

from __future__ import annotations

import os
import sys

from featstore.system.tensorflow_loader import onednn_setting

_most_threads: int | None = None
_PACKAGES = ("featstore-keras", "tensorflow", "keras", "numpy", "h5py", "pillow", "scikit-learn")


def utc_now() -> str:
    """Return date and time in UTC as in ISO 8601, to the second."""
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return versions by package, read from their metadata so that no package is imported."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def describe_environment() -> dict[str, str]:
    """Return the versions and all else that may change a feature: the JPEG decoder, the device, and oneDNN.

    Nothing is loaded. Pillow and TensorFlow are described only if they are loaded, as they are once a row has been
    computed.
    """
    return {**versions(), **_decoder(), **_device()}


def _decoder() -> dict[str, str]:
    """Return the version of libjpeg: wheels of one Pillow release bring their own, distributions use the system's."""
    if "PIL.Image" not in sys.modules:
        return {}
    from PIL import features

    turbo = features.version("libjpeg_turbo")
    return {"libjpeg": f"turbo {turbo}" if turbo else str(features.version("jpg"))}


def _device() -> dict[str, str]:
    if "tensorflow" not in sys.modules:
        return {}
    config = sys.modules["tensorflow"].config
    gpus = config.get_visible_devices("GPU")
    names = {config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus}
    # Without the variable it depends on the processor, and no public function reports it.
    return {
        "device": ", ".join(sorted(names)) or "cpu",
        "onednn": onednn_setting(),
    }


def limit_threads(most: int) -> None:
    """Let this process use no more than `most` cores, where others of ours work on the rest."""
    global _most_threads
    _most_threads = most


def default_threads() -> int:
    """Return the number of cores that this process may use."""
    return _most_threads or _cores()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
