"""One shard: an HDF5 file that is built in memory, and checked before and while it is parsed.

It has root attributes `format`, `format_version`, `key`, `spec` (canonical JSON) and `versions` (JSON), and two
contiguous, unfiltered data sets, `ids` (rows, 34) uint8 and `features` (rows, ...) float16 or float32. With the default
library version bounds and no time stamps, the bytes are the same on every machine. Or `features` is in chunks that are
compressed with Zstandard; the attribute `features_sha256` is then the digest of the numbers (see `chunks`).
docs/format.md has all that another program needs to know.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featstore.errors import StoreError
from featstore.store.chunks import LEVEL, chunk_shape, is_compressed
from featstore.store.layout import shard_name
from featstore.store.rowid import SIZE, RowId, split_ids
from featstore.store.spec_file import check_version
from featstore.system.imports import variables_set
from featstore.system.pinned import pinned

# Filter plug-ins are code that a file may name. Shards never need one, so HDF5 must load none. The variable works only
# before the library starts; a program that imported h5py earlier keeps its own setting.
with variables_set(HDF5_PLUGIN_PRELOAD="::"):
    import h5py

FORMAT = "featstore-shard"
FORMAT_VERSION = 1
DTYPES = {"float16": "<f2", "float32": "<f4"}
ZSTD = "zstd"


class PluginMissing(StoreError):
    """Rows are compressed, and the package that decompresses them is not installed."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a shard, with all that is needed to read uncompressed features without HDF5."""

    ids: bytes  # rows x 34
    dtype: str  # "float16" or "float32"
    shape: tuple[int, ...]  # of one row
    offset: int | None  # of the features in the file, in bytes; None where they are compressed
    spec: str  # canonical JSON
    versions: str  # JSON
    checked: bool = False  # whether its numbers are known to be finite; compressed ones need a plug-in to be read

    @property
    def rows(self) -> int:
        return len(self.ids) // SIZE


def build_shard(
    key: str,
    spec_json: str,
    versions: Mapping[str, str],
    ids: Sequence[RowId],
    features: NDArray[Any],
    compress: str | None = None,
) -> tuple[str, bytes]:
    """Return (file name, bytes) of a shard with `features` (rows, ...) float16 or float32, all finite.

    compress: None or `zstd`. Raises PluginMissing if that is not installed.
    """
    values = np.ascontiguousarray(features, DTYPES[features.dtype.name])
    layout: dict[str, Any] = {}
    if compress is not None:
        layout = {"chunks": chunk_shape(values.shape, values.itemsize), **_load_zstd().Zstd(clevel=LEVEL)}
    image = BytesIO()
    with h5py.File(image, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["key"] = key
        file.attrs["spec"] = spec_json
        file.attrs["versions"] = json.dumps(dict(versions), sort_keys=True)
        if compress is not None:
            file.attrs["features_sha256"] = _digest(values)
        id_array = np.frombuffer(b"".join(ids), np.uint8).reshape(len(ids), SIZE)
        file.create_dataset("ids", data=id_array, track_times=False)
        file.create_dataset("features", data=values, track_times=False, **layout)
    data = image.getvalue()
    return shard_name(data), data


def parse_shard(name: str, data: bytes, key: str | None) -> Contents:
    """Return the contents of a shard of `key` (None: any key); raises StoreError if `build_shard` did not make it so.

    The digest is compared with the name before HDF5 sees a byte: damaged metadata can hang or end the process.
    """
    check_digest(name, data)
    return parse(name, data, key)


def check_digest(name: str, data: bytes) -> None:
    """Raise StoreError if the bytes do not match the name."""
    if name != shard_name(data):
        raise StoreError(f"{name}: the bytes do not match the name: damaged")


@pinned()  # a warning of h5py does not mean damage
def parse(name: str, data: bytes, key: str | None) -> Contents:
    """Return the contents as `parse_shard` does, for bytes whose digest has been compared."""
    return _read(name, data, key)[0]


def load_shard(name: str, data: bytes, key: str | None) -> tuple[Contents, NDArray[Any]]:
    """Return contents and features (rows, ...); raises PluginMissing, or StoreError as `parse_shard`."""
    check_digest(name, data)
    contents, features = _read(name, data, key)
    if features is None:
        _load_zstd()  # raises PluginMissing
        raise AssertionError("compressed features were not read, though they could be")
    return contents, features


def all_finite(rows: NDArray[Any]) -> bool:
    """Whether `rows`, float16 or float32, have neither NaN nor infinity."""
    if rows.dtype != np.float16 or not rows.size:
        return bool(np.isfinite(rows).all())
    # In both all bits of the exponent are set. On bits this takes a fifth of the time of `isfinite`.
    return bool((rows.view(np.uint16) & 0x7FFF).max() < 0x7C00)


def _read(name: str, data: bytes, key: str | None) -> tuple[Contents, NDArray[Any] | None]:
    """Return contents and features; None for features that are compressed if the plug-in is not installed."""
    try:
        with h5py.File(BytesIO(data), "r") as file:
            contents = _contents(name, file, data, key)
            features = _features(name, file, data, contents)
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        OverflowError,
        MemoryError,
    ) as error:
        raise StoreError(f"{name}: not a shard that HDF5 can read: {' '.join(str(error).split())}") from error
    if features is None:
        return contents, None
    if not all_finite(features):
        wrong = int((~np.isfinite(features).reshape(contents.rows, -1).all(axis=1)).sum())
        raise StoreError(f"{name}: has NaN or infinity in {wrong} of its {contents.rows} rows")
    return replace(contents, checked=True), features


def _features(name: str, file: h5py.File, data: bytes, contents: Contents) -> NDArray[Any] | None:
    """Return the features (rows, ...); None if they are compressed and the plug-in is not installed."""
    shape = contents.rows, *contents.shape
    if contents.offset is not None:
        return np.frombuffer(data, DTYPES[contents.dtype], math.prod(shape), contents.offset).reshape(shape)
    try:
        _load_zstd()
    except PluginMissing:
        return None
    try:
        features: NDArray[Any] = file["features"][()]
        digest = str(file.attrs.get("features_sha256"))
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{name}: cannot be decompressed: {' '.join(str(error).split())}") from error
    if digest != _digest(features):
        raise StoreError(f"{name}: the features, decompressed, do not match their SHA-256: damaged when it was made")
    return features


def _digest(features: NDArray[Any]) -> str:
    return hashlib.sha256(features.data).hexdigest()


def _load_zstd() -> Any:
    try:
        import hdf5plugin
    except ImportError as error:
        raise PluginMissing(
            "features compressed with zstd need the package hdf5plugin: python -m pip install 'featstore-keras[zstd]'"
        ) from error
    return hdf5plugin


def _contents(name: str, file: h5py.File, data: bytes, key: str | None) -> Contents:
    attributes = file.attrs
    if attributes.get("format") != FORMAT:
        raise StoreError(f"{name}: not a featstore shard")
    versions = str(attributes["versions"])
    version = attributes["format_version"]
    number = int(version) if isinstance(version, np.integer) else repr(version)
    check_version(name, number, FORMAT_VERSION, json.loads(versions))
    if key not in (None, attributes["key"]):
        raise StoreError(f"{name}: belongs to the key {attributes['key']}, not to {key}")
    if sorted(file) != ["features", "ids"]:
        raise StoreError(f"{name}: expected the data sets features and ids, found {', '.join(sorted(file))}")
    ids, features = (_dataset(name, file, which) for which in ("ids", "features"))
    offset = None if is_compressed(features, data) else _offset(name, features, "features", len(data))
    _offset(name, ids, "ids", len(data))
    dtype = next((kind for kind, code in DTYPES.items() if features.dtype == np.dtype(code)), None)
    if dtype is None or ids.dtype != np.uint8 or ids.shape != (features.shape[0], SIZE) or not len(ids):
        raise StoreError(f"{name}: ids {ids.dtype}{ids.shape} and features {features.dtype}{features.shape} do not fit")
    spec, packed = str(attributes["spec"]), ids[()].tobytes()
    if (found := hashlib.sha256(spec.encode()).hexdigest()) != attributes["key"]:
        raise StoreError(f"{name}: its spec hashes to {found[:12]}, not to its key {str(attributes['key'])[:12]}")
    if json.loads(spec).get("dtype") == "float32" != dtype:
        raise StoreError(f"{name}: rows are {dtype}, the spec says float32")
    if len({*split_ids(packed)}) < len(ids):
        raise StoreError(f"{name}: holds an id twice")
    return Contents(packed, dtype, tuple(features.shape[1:]), offset, spec, versions)


def _dataset(name: str, file: h5py.File, which: str) -> h5py.Dataset:
    """Return the data set `which`; raises StoreError if it is not in this file."""
    link = file.get(which, getlink=True)
    if not isinstance(link, h5py.HardLink) or not isinstance(dataset := file[which], h5py.Dataset):
        raise StoreError(f"{name}: {which} is not a data set of this file")
    return dataset


def _offset(name: str, dataset: h5py.Dataset, which: str, size: int) -> int:
    """Return where the numbers of a data set begin in a file of `size` bytes.

    Raises StoreError if they are not contiguous, unfiltered, and inside the file.
    """
    plain = dataset.chunks is None and not dataset.is_virtual and dataset.external is None
    offset = dataset.id.get_offset()
    count = math.prod(dataset.shape or ())  # `dataset.size` is 64 bits wide and wraps around
    if not plain or not dataset.ndim or offset is None or offset + count * dataset.dtype.itemsize > size:
        raise StoreError(f"{name}: {which} is not stored contiguously inside the file")
    return int(offset)
