"""Inspecting a file of weights without its network: its layout, its layers, and whether it has the classifier.

Keras has two layouts. In the older one, which the published files have, layers are numbered, so weights are loaded by
their position; in that of Keras 3 they have the structure of the network.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featstore.bases.file_kinds import ARCHIVE_ENDING
from featstore.bases.hdf5 import open_hdf5
from featstore.errors import BaseUnavailable

IMAGENET_CLASSES = 1000
MOST_LAYERS_OF_TOP = 3  # layers with weights: VGG has the most
_NOT_OF_THE_NETWORK = ("optimizer", "optimizer_weights", "seed_generator")
_NAMES = (
    "layer_names"  # the attribute of the older layout; Keras splits a long one into layer_names0, layer_names1, ...
)


def holds_classifier(path: str) -> bool:
    """Return whether the HDF5 or `.keras` file has the bias of ImageNet's classifier, a layer with 1,000 outputs.

    Raises BaseUnavailable if the file cannot be read.
    """
    return any(shape == (IMAGENET_CLASSES,) for shape in _shapes(path))


def count_numbers(path: str) -> int:
    """Return how many numbers the weights in the file are; raises BaseUnavailable if it cannot be read."""
    return sum(map(math.prod, _shapes(path)))


def is_numbered(path: Path) -> bool:
    """Return whether an HDF5 file has the older layout, whatever its name says; raises BaseUnavailable."""
    if path.suffix == ARCHIVE_ENDING:
        return False
    with open_hdf5(path) as file:
        return bool(_names_in(_weights_in(file)))


def numbered_layers(path: Path) -> list[str]:
    """Return the names of the layers with weights in a file of the older layout; raises BaseUnavailable."""
    with open_hdf5(path) as file:
        group = _weights_in(file)
        return [name for name in _names_in(group) if _has_weights(group[name])]


def drop_layers(path: Path, dropped: list[str]) -> None:
    """Take the layers `dropped` out of the list in a file of the older layout, so that they are not loaded."""
    with open_hdf5(path, mode="r+") as file:
        group = _weights_in(file)
        kept = [name for name in _names_in(group) if name not in dropped]
        for attribute in _name_attributes(group):
            del group.attrs[attribute]
        group.attrs[_NAMES] = [name.encode() for name in kept]


def of_theano(path: Path) -> bool:
    """Return whether the kernels in the file are Theano's, which are mirrored: TensorFlow would compute other maps."""
    if path.suffix == ARCHIVE_ENDING:
        return False
    with open_hdf5(path) as file:
        backend = _text(_weights_in(file).attrs.get("backend", file.attrs.get("backend", "")))
    return backend == "theano" or "th_kernels" in path.name


def _shapes(path: str) -> list[tuple[int, ...]]:
    """Return the shapes of the arrays that belong to the network."""
    with _open_weights(path) as file:
        found: list[tuple[int, ...]] = []

        def visit(name: str, item: Any) -> None:
            if hasattr(item, "shape") and not any(part in _NOT_OF_THE_NETWORK for part in name.split("/")):
                found.append(tuple(item.shape))

        file.visititems(visit)
        return found


@contextmanager
def _open_weights(path: str) -> Iterator[Any]:
    content = None
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                content = io.BytesIO(archive.read("model.weights.h5"))
        except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            raise BaseUnavailable(f"{path}: cannot be read as a file of weights: {error}") from error
    with open_hdf5(path, content) as file:
        yield file


def _weights_in(file: Any) -> Any:
    """Return the group of the weights: a file of the whole network has a group for them."""
    return file["model_weights"] if not _name_attributes(file) and "model_weights" in file else file


def _name_attributes(group: Any) -> list[str]:
    if _NAMES in group.attrs:
        return [_NAMES]
    numbered = (f"{_NAMES}{number}" for number in range(len(group.attrs)))
    return [name for name in numbered if name in group.attrs]


def _names_in(group: Any) -> list[str]:
    return [_text(name) for attribute in _name_attributes(group) for name in group.attrs[attribute]]


def _has_weights(group: Any) -> bool:
    return len(group.attrs.get("weight_names", group.attrs.get("weight_names0", ()))) > 0


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
