"""The packages that are installed, and whether they are those that featstore asks for."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from featstore.diagnosis.topic import Problem, Topic
from featstore.system.environment import versions

_OURS = "featstore-keras"
_OPTIONAL = ("openvino", "simplejpeg", "pillow-heif", "pyarrow", "hdf5plugin")


def find_packages() -> Topic:
    """Return the versions of what is installed. Of all of it only Pillow is imported."""
    found = versions()
    for name in _OPTIONAL:
        if (number := _version(name)) is not None:
            found[name] = number
    if (jpeg := _libjpeg()) is not None:
        found["libjpeg"] = jpeg
    text = ", ".join(f"{name} {number}" for name, number in found.items())
    return Topic("packages", text, {"versions": found}, tuple(_misfits()))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _libjpeg() -> str | None:
    """Return the version of the library with which Pillow decodes JPEG."""
    try:
        from PIL import features
    except ImportError:
        return None
    turbo = features.version("libjpeg_turbo")
    return f"turbo {turbo}" if turbo else features.version("jpg")


def _misfits() -> Iterator[Problem]:
    """Yield a problem for each package that is missing, or older than it may be."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in requires(_OURS) or ()]
    except PackageNotFoundError:  # run from a checkout
        return
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = _version(requirement.name)
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            has = "it is not installed" if found is None else f"found {found}"
            name = f"{requirement.name}{requirement.specifier}"
            yield Problem(f"{name} is needed, {has}: pip install '{name}'", fails=True)
