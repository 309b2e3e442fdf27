"""Which versions made a result. They are recorded beside it and are never part of a key."""

from __future__ import annotations

_PACKAGES = ("featstore-keras", "tensorflow", "keras", "numpy", "h5py", "pillow", "scikit-learn")


def versions() -> dict[str, str]:
    """Versions by package, read from their metadata so that none of them has to be imported."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
