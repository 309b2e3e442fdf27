"""Compressed features: chunks of whole rows, each one frame of Zstandard (RFC 8878), and how far they are trusted.

The filter allocates what a frame claims to hold, and HDF5 reads a whole chunk from there, even if the frame holds less.
It also ignores errors of Zstandard: a frame that is cut short yields stray memory (hdf5plugin 4.4 and 7.1). So each
frame has to claim the size of its chunk, and `shard` compares the numbers with a digest.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py

FILTER = 32015  # as registered with the HDF Group
LEVEL = 3
CHUNK_BYTES = 2**18
MOST_BYTES = 2**29  # of decompressed features in a shard: a file of a few KB may claim to hold any number
_MOST_CHUNKS = 2**12  # the more there are, the longer HDF5 takes to find each one
_MAGIC = b"\x28\xb5\x2f\xfd"


def can_decompress() -> bool:
    """Whether the package with the filter is installed. It is not imported."""
    return find_spec("hdf5plugin") is not None


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the shape of a chunk of features of `shape` (rows, ...): whole rows up to 256 KB, at least one."""
    row_bytes = max(1, math.prod(shape[1:]) * itemsize)
    return min(shape[0], max(1, CHUNK_BYTES // row_bytes)), *shape[1:]


def is_compressed(features: h5py.Dataset, data: bytes) -> bool:
    """Whether features are in chunks as `build_shard` writes them; `data` is the whole file."""
    shape, chunks = features.shape, features.chunks
    if not chunks or not shape[0] or features.is_virtual or features.maxshape != shape:
        return False
    filters = features.id.get_create_plist()
    count = -(-shape[0] // chunks[0])
    sizes = chunks[0] <= shape[0] and chunks[1:] == shape[1:] and count <= _MOST_CHUNKS
    if not sizes or math.prod(shape) * features.dtype.itemsize > MOST_BYTES:
        return False
    if filters.get_nfilters() != 1 or filters.get_filter(0)[0] != FILTER or features.id.get_num_chunks() != count:
        return False
    size = math.prod(chunks) * features.dtype.itemsize
    return all(_holds(size, features.id.get_chunk_info(number), data) for number in range(count))


def frame_size(frame: bytes) -> int | None:
    """Return how many bytes a frame claims to hold, from its first 18 bytes; None if it has no size."""
    header = frame[:18].ljust(18, b"\0")
    flags = header[4]
    single, kind = flags >> 5 & 1, flags >> 6
    if not header.startswith(_MAGIC) or not (single or kind):
        return None
    start, width = 5 + (not single) + (0, 1, 2, 4)[flags & 3], (1, 2, 4, 8)[kind]
    return int.from_bytes(header[start : start + width], "little") + (256 if width == 2 else 0)


def _holds(size: int, chunk: Any, data: bytes) -> bool:
    """Whether a chunk lies in the file, went through the filter, and claims to hold `size` bytes."""
    inside = chunk.byte_offset is not None and chunk.byte_offset + chunk.size <= len(data)
    return inside and chunk.filter_mask == 0 and frame_size(data[chunk.byte_offset : chunk.byte_offset + 18]) == size
