"""Shards: reproducible, checked before they are parsed, and nothing but what we write."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featstore.errors import StoreError
from featstore.store.rowid import row_id
from featstore.store.shard import build_shard, parse_shard

KEY = "k" * 64
IDS = [row_id(hashlib.sha256(bytes([i])).hexdigest()) for i in range(3)]
ROWS = np.arange(12, dtype=np.float16).reshape(3, 4)


def shard(rows: np.ndarray = ROWS) -> tuple[str, bytes]:
    return build_shard(KEY, "{}", {"featstore": "test"}, IDS[: len(rows)], rows)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(["float16", "float32"]), st.integers(1, 3), st.lists(st.integers(1, 5), max_size=3))
def test_what_is_built_is_parsed(dtype: str, count: int, shape: list[int]) -> None:
    """Ids, dtype, shape and the bytes of the features come back."""
    rows = np.random.default_rng(0).normal(size=(count, *shape)).astype(dtype)
    name, data = shard(rows)
    contents = parse_shard(name, data, KEY)
    assert (contents.ids, contents.dtype, contents.shape) == (b"".join(IDS[:count]), dtype, tuple(shape))
    assert data[contents.offset : contents.offset + rows.nbytes] == rows.tobytes()


def test_bytes_are_reproducible() -> None:
    """The same rows give the same file, here and in every process: its digest is fixed."""
    assert shard() == shard()
    assert shard()[0] == f"s-{hashlib.sha256(shard()[1]).hexdigest()}.h5"


def test_plain_h5py_reads_a_shard() -> None:
    """Without featstore: two data sets, and attributes that say what they are."""
    with h5py.File(io.BytesIO(shard()[1]), "r") as file:
        assert sorted(file) == ["features", "ids"]
        assert file.attrs["format"] == "featstore-shard"
        assert file.attrs["format_version"] == 1
        assert np.array_equal(file["features"][()], ROWS)
        assert file["ids"][1].tobytes() == IDS[1]


def test_every_flipped_bit_is_caught_before_hdf5_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit anywhere in the file."""
    name, data = shard()

    def parsed(*arguments: object) -> None:
        raise AssertionError("HDF5 was handed damaged bytes")

    monkeypatch.setattr(h5py, "File", parsed)
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StoreError, match="damaged"):
            parse_shard(name, bytes(damaged), KEY)


def hostile(change: Callable[[h5py.File], None]) -> tuple[str, bytes]:
    """A shard changed by somebody who knows how it is named."""
    image = io.BytesIO(shard()[1])
    with h5py.File(image, "r+") as file:
        change(file)
    data = image.getvalue()
    return f"s-{hashlib.sha256(data).hexdigest()}.h5", data


def replace(name: str, **options: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **options)

    return change


def link(name: str, target: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = target

    return change


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 4), "<f2")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 4))
    del file["features"]
    file.create_virtual_dataset("features", layout)


CHANGES = {
    "soft link": link("features", h5py.SoftLink("/ids")),
    "external link": link("features", h5py.ExternalLink("/etc/passwd", "/x")),
    "virtual": virtual,
    "external storage": replace(
        "features", shape=(3, 4), dtype="<f2", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    ),
    "chunked": replace("features", data=ROWS, chunks=(1, 4)),
    "compressed": replace("features", data=ROWS, compression="gzip"),
    "never written": replace("features", shape=(3, 4), dtype="<f2"),
    "claims to be huge": replace("features", shape=(3, 2**40), dtype="<f2"),
    "doubles": replace("features", data=ROWS.astype("f8")),
    "text": replace("features", data=["a", "b", "c"]),
    "group": lambda file: (file.__delitem__("features"), file.create_group("features")),
    "fewer rows": replace("features", data=ROWS[:2]),
    "scalar": replace("features", data=np.float16(1)),
    "extra data set": lambda file: file.create_dataset("more", data=1),
    "missing data set": lambda file: file.__delitem__("ids"),
    "foreign key": lambda file: file.attrs.__setitem__("key", "x" * 64),
    "foreign format": lambda file: file.attrs.__setitem__("format", "other"),
    "newer version": lambda file: file.attrs.__setitem__("format_version", 2),
    "no version": lambda file: file.attrs.__delitem__("format_version"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_anything_else_than_we_write_is_refused(what: str) -> None:
    """Also where the digest fits the name."""
    with pytest.raises(StoreError, match="upgrade" if what == "newer version" else None):
        parse_shard(*hostile(CHANGES[what]), KEY)


def test_bytes_that_are_no_hdf5_are_refused() -> None:
    """With a StoreError, not with h5py's own."""
    with pytest.raises(StoreError, match="not a shard"):
        parse_shard(f"s-{hashlib.sha256(b'x').hexdigest()}.h5", b"x", KEY)
