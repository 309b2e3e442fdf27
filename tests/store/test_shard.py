"""Shards: reproducible, checked before they are parsed, and nothing but what we write."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featstore.errors import StoreError
from featstore.store.rowid import content_digest, row_id
from featstore.store.shard import build_shard, parse_shard
from featstore.store.spec_file import key_of

KEY = hashlib.sha256(b"{}").hexdigest()
IDS = [row_id(hashlib.sha256(bytes([i])).hexdigest()) for i in range(3)]
ROWS = np.arange(12, dtype=np.float16).reshape(3, 4)
Change = Callable[[h5py.File], object]


def shard(rows: np.ndarray = ROWS) -> tuple[str, bytes]:
    return build_shard(KEY, "{}", {"featstore": "test"}, IDS[: len(rows)], rows)


def named(data: bytes) -> tuple[str, bytes]:
    """Return a file with the right name for its bytes, as an attacker can make it."""
    return f"s-{hashlib.sha256(data).hexdigest()}.h5", data


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**16 - 1))
def test_a_row_id_holds_digest_and_view(digest: bytes, view: int) -> None:
    """34 bytes: the digest, then the view, big-endian."""
    row = row_id(digest.hex(), view)
    assert row == digest + bytes([view // 256, view % 256])
    assert content_digest(row) == digest.hex()
    assert row_id(digest.hex()) == row_id(digest.hex(), 0)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["float16", "float32"]), st.integers(1, 3), st.lists(st.integers(1, 5), max_size=3), st.data())
def test_what_is_built_is_parsed(dtype: str, count: int, shape: list[int], data: st.DataObject) -> None:
    """Ids, dtype, shape and the bytes of the features are returned, for any numbers."""
    limit = float(np.finfo(dtype).max)
    numbers = st.floats(-limit, limit, width=16 if dtype == "float16" else 32)
    size = count * int(np.prod(shape, dtype=int))
    values = data.draw(st.lists(numbers, min_size=size, max_size=size))
    rows = np.array(values, dtype).reshape(count, *shape)
    name, image = shard(rows)
    contents = parse_shard(name, image, KEY)
    assert (contents.ids, contents.dtype, contents.shape) == (b"".join(IDS[:count]), dtype, tuple(shape))
    assert contents.rows == count
    assert image[contents.offset : contents.offset + rows.nbytes] == rows.tobytes()


def test_rows_need_not_lie_in_one_piece() -> None:
    """A view of other memory, as slices and transposes are, is stored by its values."""
    rows = np.arange(24, dtype=np.float32).reshape(4, 6).T[::2]
    name, data = shard(rows)
    offset = parse_shard(name, data, KEY).offset
    assert np.array_equal(np.frombuffer(data, "<f4", rows.size, offset).reshape(rows.shape), rows)


def test_the_name_is_the_digest() -> None:
    """SHA-256 of the whole file, in hex."""
    name, data = shard()
    assert (name, data) == named(data)


def test_bytes_are_reproducible_in_another_process() -> None:
    """Neither the clock, nor the process, nor the hash seed leaves a trace."""
    code = f"""
import numpy as np
from featstore.store.shard import build_shard
rows = np.arange(12, dtype=np.float16).reshape(3, 4)
print(build_shard({KEY!r}, "{{}}", {{"featstore": "test"}}, {IDS!r}, rows)[0])
"""
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == shard()[0]


def test_bytes_are_the_same_with_every_hdf5() -> None:
    """HDF5 1.14 and 2.0 make this file; who changes the format raises its version and keeps an old shard as a test."""
    assert shard()[0] == "s-265c98aafc3b8622541f5693894d0e2fb14b449b74296715e3f1d8758d19f9c3.h5"


def test_plain_h5py_reads_a_shard(tmp_path: Path) -> None:
    """Without featstore, there are two data sets, and attributes that describe them."""
    path = tmp_path / "plain.h5"
    path.write_bytes(build_shard(key_of({"a": 1}), '{"a":1}', {"b": "2", "a": "1"}, IDS, ROWS)[1])
    with h5py.File(path, "r") as file:
        assert sorted(file) == ["features", "ids"]
        assert dict(file.attrs) == {
            "format": "featstore-shard",
            "format_version": 1,
            "key": key_of({"a": 1}),
            "spec": '{"a":1}',
            "versions": '{"a": "1", "b": "2"}',
        }
        assert file["features"].dtype == "<f2"
        assert np.array_equal(file["features"][()], ROWS)
        assert (file["ids"].dtype, file["ids"].shape) == ("u1", (3, 34))
        assert file["ids"][1].tobytes() == IDS[1]
        assert file["features"].chunks is None
        assert file["features"].compression is None


def test_every_flipped_bit_is_caught_before_hdf5_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit anywhere in the file, or its end cut off, or another file under its name."""
    name, data = shard()
    another = shard(ROWS + 1)[1]

    def parsed(*arguments: object) -> None:
        raise AssertionError("HDF5 was handed bytes that are not those of the name")

    monkeypatch.setattr(h5py, "File", parsed)
    flipped = bytearray(data)
    for bit in range(len(data) * 8):
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StoreError, match="do not match the name: damaged"):
            parse_shard(name, bytes(flipped), KEY)
        flipped[bit // 8] ^= 1 << bit % 8
    for other in (data[:-1], b"", data + b"x", bytes(len(data)), another):
        with pytest.raises(StoreError, match="do not match the name: damaged"):
            parse_shard(name, other, KEY)
    with pytest.raises(AssertionError, match="HDF5 was handed"):  # the check can fail
        parse_shard(name, bytes(flipped), KEY)


def hostile(change: Change) -> tuple[str, bytes]:
    """Return a changed shard under the right name for its bytes."""
    image = io.BytesIO(shard()[1])
    with h5py.File(image, "r+") as file:
        change(file)
    return named(image.getvalue())


def replaced(name: str, **options: Any) -> Change:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **options)

    return change


def linked(name: str, target: object) -> Change:
    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = target

    return change


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 4), "<f2")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "x", (3, 4))
    del file["features"]
    file.create_virtual_dataset("features", layout)


def compact(file: h5py.File) -> None:
    """Features inside the object's header, where they have no offset."""
    options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    options.set_layout(h5py.h5d.COMPACT)
    del file["features"]
    space = h5py.h5s.create_simple((3, 4))
    h5py.h5d.create(file.id, b"features", h5py.h5t.IEEE_F32LE, space, options).write(space, space, ROWS.astype("<f4"))


def attribute(name: str, value: object) -> Change:
    return lambda file: file.attrs.__setitem__(name, value)


def without(what: str) -> Change:
    return lambda file: file.attrs.__delitem__(what) if what in file.attrs else file.__delitem__(what)


ID_ROWS = np.frombuffer(b"".join(IDS), np.uint8).reshape(3, 34)
CHANGES: dict[str, tuple[Change, str]] = {  # what is done to a shard, and what the message says of it
    "soft link": (linked("features", h5py.SoftLink("/ids")), "not a data set of this file"),
    "dangling soft link": (linked("features", h5py.SoftLink("/nowhere")), "not a data set of this file"),
    "external link": (linked("features", h5py.ExternalLink("elsewhere.h5", "/x")), "not a data set of this file"),
    "group": (lambda file: (without("features")(file), file.create_group("features")), "not a data set of this file"),
    "named type": (linked("features", np.dtype("<f2")), "not a data set of this file"),
    "virtual": (virtual, "contiguously"),
    "external storage": (
        replaced("features", shape=(3, 4), dtype="<f2", external=[("elsewhere", 0, h5py.h5f.UNLIMITED)]),
        "contiguously",
    ),
    "compact": (compact, "contiguously"),
    "chunked": (replaced("features", data=ROWS, chunks=(1, 4)), "contiguously"),
    "compressed": (replaced("features", data=ROWS, compression="gzip"), "contiguously"),
    "chunked ids": (replaced("ids", data=ID_ROWS, chunks=(1, 34)), "contiguously"),
    "never written": (replaced("features", shape=(3, 4), dtype="<f2"), "contiguously"),
    "claims to be huge": (replaced("features", shape=(3, 2**40), dtype="<f2"), "contiguously"),
    "scalar": (replaced("features", data=np.float16(1)), "contiguously"),
    "no rows": (
        lambda file: (replaced("ids", data=ID_ROWS[:0])(file), replaced("features", data=ROWS[:0])(file)),
        "contiguously",
    ),
    "rows of nothing": (replaced("features", data=np.zeros((3, 0), "<f2")), "contiguously"),
    "doubles": (replaced("features", data=ROWS.astype("<f8")), "do not fit"),
    "whole numbers": (replaced("features", data=ROWS.astype("<i2")), "do not fit"),
    "big-endian": (replaced("features", data=ROWS.astype(">f2")), "do not fit"),
    "text": (replaced("features", data=["a", "b", "c"]), "do not fit"),
    "references": (replaced("features", shape=(3,), dtype=h5py.ref_dtype, data=[h5py.Reference()] * 3), "do not fit"),
    "signed ids": (replaced("ids", data=ID_ROWS.astype("i1")), "do not fit"),
    "short ids": (replaced("ids", data=ID_ROWS[:, :33]), "do not fit"),
    "fewer rows": (replaced("features", data=ROWS[:2]), "do not fit"),
    "fewer ids": (replaced("ids", data=ID_ROWS[:2]), "do not fit"),
    "extra data set": (lambda file: file.create_dataset("more", data=1), "found features, ids, more"),
    "extra group": (lambda file: file.create_group("more"), "found features, ids, more"),
    "no ids": (without("ids"), "found features"),
    "foreign key": (attribute("key", "x" * 64), "belongs to the key"),
    "no key": (without("key"), "not a shard"),
    "foreign format": (attribute("format", "other"), "not a featstore shard"),
    "format in bytes": (attribute("format", np.bytes_("other")), "not a featstore shard"),
    "many formats": (attribute("format", ["featstore-shard"] * 2), "not a shard"),
    "no format": (without("format"), "not a featstore shard"),
    "newer version": (attribute("format_version", 2), "format version 2, this featstore reads 1: upgrade it"),
    "empty version": (attribute("format_version", h5py.Empty("i4")), "upgrade it"),
    "no version": (without("format_version"), "not a shard"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_anything_else_than_we_write_is_refused(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest may match the name; the message is one line with the reason."""
    monkeypatch.chdir(tmp_path)  # where a shard that points elsewhere would lead
    change, reason = CHANGES[what]
    with pytest.raises(StoreError, match=reason) as caught:
        parse_shard(*hostile(change), KEY)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_hdf5_are_refused(data: bytes) -> None:
    """The error is a StoreError, not one of h5py."""
    with pytest.raises(StoreError, match="not a shard"):
        parse_shard(*named(data), KEY)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, len(shard()[1]) - 1))
def test_a_shard_cut_short_is_refused_although_its_name_fits(length: int) -> None:
    """Whatever part of the file is left."""
    with pytest.raises(StoreError):
        parse_shard(*named(shard()[1][:length]), KEY)


def test_features_that_reach_beyond_the_file_are_refused() -> None:
    """The end of the file in its metadata was changed too; mapped, the features would be foreign memory."""
    data = bytearray(shard()[1][:-2])
    struct.pack_into("<Q", data, 40, len(data))  # end of file address, in version 0 of the superblock
    with pytest.raises(StoreError):
        parse_shard(*named(bytes(data)), KEY)


def test_features_lie_where_the_offset_says_behind_a_user_block(tmp_path: Path) -> None:
    """HDF5 allows bytes of another format in front, which move all addresses."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", userblock_size=1024) as file, h5py.File(io.BytesIO(shard()[1]), "r") as plain:
        file.attrs.update(plain.attrs)
        for name in plain:
            file.create_dataset(name, data=plain[name])
    data = path.read_bytes()
    assert data[parse_shard(*named(data), KEY).offset :].startswith(ROWS.tobytes())


def test_hdf5_loads_no_plug_ins() -> None:
    """A filter plug-in is code that a file may name; the setting must precede the start of HDF5."""
    code = """
import os, sys
class Watch:
    def find_spec(self, name, *rest):
        if name == "h5py":
            print(os.environ.get("HDF5_PLUGIN_PRELOAD"))
sys.meta_path.insert(0, Watch())
import featstore.store.shard
"""
    environment = {k: v for k, v in os.environ.items() if k != "HDF5_PLUGIN_PRELOAD"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "::"


def test_a_warning_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may turn warnings into errors, and h5py or numpy may deprecate something; the shard is right."""
    opened = h5py.File

    def deprecated(*arguments: object) -> h5py.File:
        warnings.warn("deprecated", DeprecationWarning, stacklevel=1)
        return opened(*arguments)

    name, data = shard()
    monkeypatch.setattr(h5py, "File", deprecated)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("error")
        assert parse_shard(name, data, KEY).rows == len(ROWS)
    assert len(shown) == 1
