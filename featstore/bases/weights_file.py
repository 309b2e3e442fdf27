"""Reading from a file of weights, without building a network, whether it has the classifier."""

from __future__ import annotations

import io
import zipfile

from featstore.errors import BaseUnavailable

IMAGENET_CLASSES = 1000


def holds_classifier(path: str) -> bool:
    """Return whether the HDF5 or `.keras` file has the bias of ImageNet's classifier, a layer with 1,000 outputs.

    Raises BaseUnavailable if the file cannot be read.
    """
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
        raise BaseUnavailable(f"{path}: cannot be read as a file of weights: {error}") from error


def _is_bias(item: object) -> bool:
    return getattr(item, "shape", None) == (IMAGENET_CLASSES,)
