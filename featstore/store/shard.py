"""One shard: an HDF5 file built in memory, and checked before and while it is parsed.

Inside: root attributes `format`, `format_version`, `key`, `spec` (canonical JSON) and `versions` (JSON), and two
contiguous, unfiltered data sets, `ids` (rows, 34) uint8 and `features` (rows, ...) float16 or float32. With the default
library version bounds and no time stamps the bytes are the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

# Filter plug-ins are code that a file may name. Ours never need one, so HDF5 is told to load none. This works only
# before the library starts; a program that imported h5py earlier keeps its own setting.
os.environ.setdefault("HDF5_PLUGIN_PRELOAD", "::")

import h5py
import numpy as np
from numpy.typing import NDArray

from featstore.errors import StoreError
from featstore.store.rowid import SIZE, RowId

FORMAT = "featstore-shard"
FORMAT_VERSION = 1
DTYPES = {"float16": "<f2", "float32": "<f4"}


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a shard, and where: enough to map the features without HDF5."""

    ids: bytes  # rows x 34
    dtype: str  # "float16" or "float32"
    shape: tuple[int, ...]  # of one row
    offset: int  # of the features in the file, in bytes

    @property
    def rows(self) -> int:
        return len(self.ids) // SIZE


def build_shard(
    key: str, spec_json: str, versions: Mapping[str, str], ids: Sequence[RowId], features: NDArray[Any]
) -> tuple[str, bytes]:
    """(file name, bytes) of a shard with `features` (rows, ...) float16 or float32, all finite."""
    image = BytesIO()
    with h5py.File(image, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["key"] = key
        file.attrs["spec"] = spec_json
        file.attrs["versions"] = json.dumps(dict(versions), sort_keys=True)
        id_array = np.frombuffer(b"".join(ids), np.uint8).reshape(len(ids), SIZE)
        file.create_dataset("ids", data=id_array, track_times=False)
        file.create_dataset("features", data=features.astype(DTYPES[features.dtype.name]), track_times=False)
    data = image.getvalue()
    return f"s-{hashlib.sha256(data).hexdigest()}.h5", data


def parse_shard(name: str, data: bytes, key: str) -> Contents:
    """The contents of a shard whose bytes are `data`; raises StoreError unless all is as `build_shard` makes it.

    The digest is compared with the name before HDF5 sees a byte: damaged metadata can hang or end the process.
    """
    if name != f"s-{hashlib.sha256(data).hexdigest()}.h5":
        raise StoreError(f"{name}: the bytes do not match the name: damaged")
    try:
        with h5py.File(BytesIO(data), "r") as file:
            return _contents(name, file, len(data), key)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise StoreError(f"{name}: not a shard that HDF5 can read: {error}") from error


def _contents(name: str, file: h5py.File, size: int, key: str) -> Contents:
    attributes = file.attrs
    if attributes.get("format") != FORMAT:
        raise StoreError(f"{name}: not a featstore shard")
    if attributes["format_version"] != FORMAT_VERSION:
        raise StoreError(
            f"{name}: format version {attributes['format_version']}, this featstore reads {FORMAT_VERSION}: upgrade it"
        )
    if attributes["key"] != key:
        raise StoreError(f"{name}: belongs to the key {attributes['key']}, not to {key}")
    if sorted(file) != ["features", "ids"]:
        raise StoreError(f"{name}: expected the data sets features and ids, found {', '.join(sorted(file))}")
    ids, features = (_plain_dataset(name, file, which, size) for which in ("ids", "features"))
    dtype = next((kind for kind, code in DTYPES.items() if features.dtype == np.dtype(code)), None)
    if dtype is None or ids.dtype != np.uint8 or ids.shape != (features.shape[0], SIZE) or not len(ids):
        raise StoreError(f"{name}: ids {ids.dtype}{ids.shape} and features {features.dtype}{features.shape} do not fit")
    return Contents(ids[()].tobytes(), dtype, tuple(features.shape[1:]), features.id.get_offset())


def _plain_dataset(name: str, file: h5py.File, which: str, size: int) -> h5py.Dataset:
    """The data set `which` if it is contiguous, unfiltered, inside this file and no larger than it."""
    link = file.get(which, getlink=True)
    if not isinstance(link, h5py.HardLink) or not isinstance(dataset := file[which], h5py.Dataset):
        raise StoreError(f"{name}: {which} is not a data set of this file")
    plain = dataset.chunks is None and not dataset.is_virtual and dataset.external is None
    offset = dataset.id.get_offset()
    if not plain or not dataset.ndim or offset is None or offset + dataset.size * dataset.dtype.itemsize > size:
        raise StoreError(f"{name}: {which} is not stored contiguously inside the file")
    return dataset
