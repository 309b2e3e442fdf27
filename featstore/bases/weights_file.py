"""What a file of weights holds, told without building a network."""

from __future__ import annotations

import io
import zipfile

from featstore.errors import BaseUnavailable

IMAGENET_CLASSES = 1000


def holds_classifier(path: str) -> bool:
    """Whether the HDF5 or `.keras` file holds the bias of a layer with 1,000 outputs, ImageNet's classifier."""
    import h5py

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                content: str | io.BytesIO = io.BytesIO(archive.read("model.weights.h5"))
        else:
            content = path
        with h5py.File(content, "r") as file:
            found: list[str] = []
            file.visititems(lambda name, item: found.append(name) if _is_bias(item) else None)
            return bool(found)
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise BaseUnavailable(f"{path}: no weights can be read from it: {error}") from error


def _is_bias(item: object) -> bool:
    return getattr(item, "shape", None) == (IMAGENET_CLASSES,)
