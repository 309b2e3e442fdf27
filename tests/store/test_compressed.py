"""Compressed shards: the same numbers to the bit, one line without the plug-in, and crafted files are refused."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featstore.datasets.digests import DigestMemory
from featstore.errors import StoreError
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe import Recipe
from featstore.store import sandbox
from featstore.store import shard as shards
from featstore.store.chunks import MOST_BYTES, frame_size
from featstore.store.disk_folder import DiskFolder
from featstore.store.index import load_index
from featstore.store.rowid import row_id
from featstore.store.rowstore import RowStore
from featstore.store.shard import PluginMissing, build_shard, load_shard, parse_shard
from featstore.system.files import write_whole
from helpers.children import GB, in_child
from helpers.cli import Cli

SPEC_JSON = '{"a":1}'
KEY = hashlib.sha256(SPEC_JSON.encode()).hexdigest()
PIP = r"need the package hdf5plugin: python -m pip install 'featstore-keras\[zstd\]'"
ROWS = np.maximum(np.random.default_rng(0).normal(size=(3, 1000)), 0).astype(np.float16)
Change = Callable[[h5py.File], object]


def ids(count: int, first: int = 0) -> list[bytes]:
    return [row_id(hashlib.sha256(b"%d" % n).hexdigest()) for n in range(first, first + count)]


def shard(rows: np.ndarray = ROWS, first: int = 0, compress: str | None = "zstd") -> tuple[str, bytes]:
    return build_shard(KEY, SPEC_JSON, {"featstore": "test"}, ids(len(rows), first), rows, compress)


def store_of(folder: Path, *shards: tuple[str, bytes]) -> RowStore:
    for name, data in shards:
        write_whole(folder / name, data)
    return RowStore(folder, KEY, SPEC_JSON, dict)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["float16", "float32"]), st.integers(1, 3), st.lists(st.integers(1, 5), max_size=3), st.data())
def test_numbers_come_back_to_the_bit(dtype: str, count: int, shape: list[int], data: st.DataObject) -> None:
    """Whatever the numbers and the shape are, and in the same dtype."""
    size = count * int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
    rows = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), dtype).reshape(count, *shape)
    rows = np.where(np.isfinite(rows), rows, np.negative(rows.dtype.type(0)))
    name, image = shard(rows)
    contents = parse_shard(name, image, KEY)
    assert (contents.rows, contents.dtype, contents.shape) == (count, dtype, tuple(shape))
    assert contents.ids == b"".join(ids(count))
    assert contents.offset is None
    found = load_shard(name, image, KEY)[1]
    assert (found.dtype, found.shape, found.tobytes()) == (rows.dtype, rows.shape, rows.tobytes())


@pytest.mark.parametrize(
    ("shape", "chunk"), [((700, 1000), 131), ((5, 1000), 5), ((3, 7, 7, 4096), 1), ((300_000,), 131_072)]
)
def test_chunks_are_whole_rows_of_256_kb(shape: tuple[int, ...], chunk: int) -> None:
    """A chunk has as many rows as fit, at least one, and at most all; the last one may be shorter."""
    rows = (np.arange(np.prod(shape)) % 1000).astype(np.float16).reshape(shape)
    name, data = shard(rows)
    with h5py.File(io.BytesIO(data), "r") as file:
        assert file["features"].chunks == (chunk, *shape[1:])
        assert file["ids"].chunks is None
    assert np.array_equal(load_shard(name, data, KEY)[1], rows)


def test_sparse_rows_take_less_room() -> None:
    """What a base with ReLU makes is half zeros."""
    rows = np.maximum(np.random.default_rng(1).normal(size=(100, 1000)), 0).astype(np.float16)
    assert len(shard(rows)[1]) < 0.65 * len(shard(rows, compress=None)[1])


def print_name() -> None:
    print(shard()[0])


def test_bytes_are_reproducible_in_another_process() -> None:
    """This holds for the same versions of HDF5 and hdf5plugin; others write other bytes of the same numbers."""
    assert in_child(print_name, seconds=60, PYTHONHASHSEED="1").strip() == shard()[0]


def test_the_ban_on_plug_ins_does_not_hinder_this_one() -> None:
    """HDF5 loads no filters by itself; hdf5plugin registers its own."""
    code = """
import os
import featstore.store.shard
assert "HDF5_PLUGIN_PRELOAD" not in os.environ
import numpy as np
from featstore.store.spec_file import key_of
rows, key = np.arange(300, dtype=np.float16).reshape(3, 100), key_of({})
shard = featstore.store.shard.build_shard(key, "{}", {}, [bytes([n]) * 34 for n in range(3)], rows, "zstd")
assert (featstore.store.shard.load_shard(*shard, key)[1] == rows).all()
"""
    environment = {k: v for k, v in os.environ.items() if k != "HDF5_PLUGIN_PRELOAD"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_a_store_reads_both_kinds_at_once(tmp_path: Path) -> None:
    """Rows are in the order asked for, also for mixed dtypes."""
    plain = shard(ROWS + 1, first=3, compress=None)
    store = store_of(tmp_path, shard(), plain, shard((ROWS + 2).astype(np.float32), first=6))
    wanted = [8, 0, 4, 2, 7, 3]
    found = store.read([ids(1, n)[0] for n in wanted])
    expected = np.concatenate([ROWS, ROWS + 1, ROWS + 2]).astype(np.float32)[wanted]
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)
    assert store.damaged == ()


# Without the plug-in


def check_without_plugin(folder: str) -> None:
    """A store opens and says what it has; plain rows are read, compressed ones are refused, and none are written."""
    sys.modules["hdf5plugin"] = None  # type: ignore[assignment]
    store = RowStore(Path(folder), KEY, SPEC_JSON, dict)
    assert len(store) == 6
    assert all(row in store for row in ids(6))
    assert store.damaged == ()
    assert np.array_equal(store.read(ids(3, 3)), ROWS + 1)
    for action in (lambda: store.read(ids(6)), shard):
        with pytest.raises(PluginMissing, match=PIP) as caught:
            action()
        assert "\n" not in str(caught.value)


def test_a_reader_without_the_plug_in_learns_what_to_install(tmp_path: Path) -> None:
    """The error is one line, and only for compressed rows."""
    store_of(tmp_path, shard(), shard(ROWS + 1, first=3, compress=None))
    in_child(check_without_plugin, tmp_path, seconds=60)


def test_numbers_that_could_not_be_looked_at_are_looked_at_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that was written without the plug-in says so, and another environment does not trust it."""
    wrong = ROWS.copy()
    wrong[1] = np.nan
    sound, bad = shard(), shard(wrong, first=3)

    def missing() -> None:
        raise PluginMissing(PIP)

    with monkeypatch.context() as without:
        without.setattr(shards, "_load_zstd", missing)
        without.setattr(sandbox._inspector, "_start", lambda: False)
        without.setattr(sandbox._inspector, "_child", None)
        without.setattr("featstore.store.inventory.can_decompress", lambda: False)
        store = store_of(tmp_path, sound, bad)
        assert (len(store), store.damaged) == (6, ())
        store.save_index()
        assert (
            len(store_of(tmp_path)),
            [entry.checked for entry in load_index(DiskFolder(tmp_path)).shards.values()],
        ) == (
            6,
            [False, False],
        )
    for _ in range(2):
        store = store_of(tmp_path)
        assert [f"{bad[0]}: has NaN or infinity in 1 of its 3 rows"] == [*store.damaged]
        assert len(store) == 3
        store.save_index()
    assert [entry.checked for entry in load_index(DiskFolder(tmp_path)).shards.values()] == [True]


def test_so_does_a_command_that_trains_a_head(photos: Path, cli: Cli, tmp_path: Path) -> None:
    """One line on standard error, and exit code 1."""
    cache, hidden = tmp_path / "cache", tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "hdf5plugin.py").write_text("raise ImportError('not here')")
    spec = make_plan(Recipe(model="tiny"), DigestMemory(cache / "digests")).spec
    rows = np.random.default_rng(0).normal(size=(24, 128)).astype(np.float16)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(photos.glob("*/*"))]
    name, data = build_shard(spec.key, spec.to_json(), {}, [row_id(digest) for digest in digests], rows, "zstd")
    write_whole(cache / spec.folder / name, data)
    done = cli("train-head", photos, "--model", "tiny", "--head", "logistic", "--cache", cache, PYTHONPATH=str(hidden))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if "hdf5plugin" in line]
    assert "python -m pip install 'featstore-keras[zstd]'" in line


# Frames


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 2**20) | st.sampled_from([255, 256, 257, 65535, 65536, 65791, 65792]), st.sampled_from([1, 19]))
def test_the_size_that_a_frame_claims_is_read(size: int, level: int) -> None:
    """Zstandard writes it in 1, 2 or 4 bytes."""
    assert frame_size(frame(bytes(size), level)) == size


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b"\x20\x07", 7),  # flags: a single segment, size in 1 byte
        (b"\x60\x07\x01", 256 + 263),
        (b"\x40\x58\x07\x01", 256 + 263),  # with a byte for the window
        (b"\xa0\x07\x01\x00\x00", 263),
        (b"\xe0\x00\x00\x00\x00\x00\x01\x00\x00", 2**40),
        (b"\xc3\x58\x01\x02\x03\x04\x00\x00\x00\x00\x00\x01\x00\x00", 2**40),  # and with a dictionary
        (b"\x21\xff\x07", 7),
        (b"\x22\xff\xff\x07", 7),
        (b"\x24\x07", 7),  # with a check sum at the end
        (b"\x00\x58", None),  # it does not say
        (b"", None),
    ],
)
def test_headers_of_every_kind(header: bytes, size: int | None) -> None:
    """RFC 8878, section 3.1.1.1: where the size is depends on what comes before it."""
    assert frame_size(b"\x28\xb5\x2f\xfd" + header) == size
    assert frame_size(b"\x28\xb5\x2f\xfe" + header) is None
    assert frame_size(b"\x50\x2a\x4d\x18" + header) is None  # a frame to be skipped


@given(st.binary(max_size=40))
def test_bytes_of_any_kind_have_a_size_or_none(data: bytes) -> None:
    """Bytes that are not a frame raise nothing."""
    assert frame_size(data) is None or data.startswith(b"\x28\xb5\x2f\xfd")


# Files from strangers


def frame(content: bytes, level: int = 3) -> bytes:
    """`content` as the filter packs it."""
    with h5py.File(io.BytesIO(), "w") as file:
        options = {"chunks": (len(content),), **hdf5plugin.Zstd(clevel=level)}
        file.create_dataset("x", data=np.frombuffer(content, np.uint8), **options)
        return bytes(file["x"].id.read_direct_chunk((0,))[1])


def named(data: bytes) -> tuple[str, bytes]:
    return f"s-{hashlib.sha256(data).hexdigest()}.h5", data


def hostile(change: Change) -> tuple[str, bytes]:
    """Return a changed compressed shard under the right name for its bytes."""
    image = io.BytesIO(shard()[1])
    with h5py.File(image, "r+") as file:
        change(file)
    return named(image.getvalue())


def repacked(pack: Callable[[bytes], bytes], mask: int = 0) -> Change:
    """Another frame for the only chunk, made of the one that is there."""

    def change(file: h5py.File) -> None:
        features = file["features"].id
        features.write_direct_chunk((0, 0), pack(features.read_direct_chunk((0, 0))[1]), mask)

    return change


def replaced(*filters: tuple[int, tuple[int, ...]], write: bool = True, **options: Any) -> Change:
    """Other features, behind these filters (number, values)."""

    def change(file: h5py.File) -> None:
        del file["features"]
        data = options.pop("data", ROWS)
        shape = options.pop("shape", data.shape)
        pipeline = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        pipeline.set_chunk(options.pop("chunks", shape))
        for number, values in filters or [(32015, (3,))]:
            pipeline.set_filter(number, h5py.h5z.FLAG_OPTIONAL, values)
        space = h5py.h5s.create_simple(shape, options.pop("maxshape", shape))
        features = h5py.h5d.create(file.id, b"features", h5py.h5t.IEEE_F16LE, space, pipeline)
        if write:
            features.write(h5py.h5s.ALL, h5py.h5s.ALL, data)

    return change


def float32(**options: Any) -> Change:
    def change(file: h5py.File) -> None:
        del file["features"]
        file.create_dataset("features", data=ROWS.astype("<f4"), chunks=(3, 1000), **options)

    return change


def many_chunks(count: int, rows: int, width: int) -> Change:
    """`count` chunks of zeros, each of so many rows."""

    def change(file: h5py.File) -> None:
        replaced(shape=(count * rows, width), chunks=(rows, width), write=False)(file)
        packed = frame(bytes(2 * rows * width))
        for number in range(count):
            file["features"].id.write_direct_chunk((number * rows, 0), packed)
        del file["ids"]
        all_ids = np.zeros((count * rows, 34), "u1")
        all_ids[:, :8] = np.arange(count * rows, dtype="<u8").view("u1").reshape(-1, 8)
        file.create_dataset("ids", data=all_ids)

    return change


def beyond_the_file(name: str, data: bytes) -> tuple[str, bytes]:
    """The index of the chunks says that the chunk lies where the file has ended."""
    with h5py.File(io.BytesIO(data), "r") as file:
        place = struct.pack("<Q", file["features"].id.get_chunk_info(0).byte_offset)
    assert data.count(place) == 1
    return named(data.replace(place, struct.pack("<Q", len(data) - 20)))


ZSTD, GZIP, SHUFFLE, FLETCHER, UNKNOWN = 32015, 1, 2, 3, 32763
CLAIM = b"\x28\xb5\x2f\xfd\xe0"
REFUSED_UNSEEN: dict[str, Change] = {  # without a byte having been decompressed
    "claims 6 TB": replaced(shape=(3, 2**40), chunks=(1, 2**30), write=False),
    "claims 2 GB in one chunk": replaced(shape=(3, 2**28), chunks=(1, 2**28), write=False),
    "claims more than half a GB, with every chunk there": many_chunks(MOST_BYTES // 2**21 + 1, 2**10, 2**10),
    "10,000 chunks": many_chunks(10_000, 1, 2),
    "rows without end": replaced(shape=(2**60, 1), chunks=(1, 1), write=False),
    "room for more rows": replaced(maxshape=(h5py.h5s.UNLIMITED, 1000)),
    "room for ten rows": replaced(maxshape=(10, 1000)),
    "parts of rows": replaced(chunks=(3, 500)),
    "chunks longer than the rows": replaced(chunks=(4, 1000), maxshape=(h5py.h5s.UNLIMITED, 1000)),
    "never written": replaced(write=False),
    "shuffled as well": replaced((SHUFFLE, (2,)), (ZSTD, (3,))),
    "checked as well": replaced((ZSTD, (3,)), (FLETCHER, ())),
    "zstd twice": replaced((ZSTD, (3,)), (ZSTD, (3,))),
    "gzip": replaced((GZIP, (4,))),
    "scale and offset": float32(scaleoffset=2),
    "gzip on float32": float32(compression="gzip"),
    "lzf": replaced((32000, ())),
    "blosc": replaced((32001, ())),
    "bitshuffle": replaced((32008, (0, 2))),
    "a filter that nobody knows": replaced((UNKNOWN, ()), write=False),
    "no filter": lambda file: (
        file.__delitem__("features"),
        file.create_dataset("features", data=ROWS, chunks=(3, 1000)),
    ),
    "filter left out": repacked(lambda packed: ROWS.tobytes(), mask=1),
    "frame claims 1 TB": repacked(lambda packed: CLAIM + struct.pack("<Q", 2**40) + packed[7:]),
    "frame claims more than memory has": repacked(lambda packed: CLAIM + b"\xff" * 8 + packed[7:]),
    "frame claims nothing": repacked(lambda packed: b"\x28\xb5\x2f\xfd\x00\x58" + packed[7:]),
    "frame of fewer bytes": repacked(lambda packed: frame(ROWS.tobytes()[:-1])),
    "frame of more bytes": repacked(lambda packed: frame(ROWS.tobytes() + b"x")),
    "bomb": repacked(lambda packed: frame(bytes(2**26))),
    "no frame": repacked(lambda packed: b"x" * 100),
    "one byte": repacked(lambda packed: b"x"),
    "frame to be skipped": repacked(lambda packed: b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + packed),
}
REFUSED_BY_ITS_NUMBERS: dict[str, Change] = {
    "cut short": repacked(lambda packed: packed[:-1]),
    "half of it": repacked(lambda packed: packed[: len(packed) // 2]),
    "only its header": repacked(lambda packed: packed[:7]),
    "a bit flipped": repacked(lambda packed: packed[:1000] + bytes([packed[1000] ^ 1]) + packed[1001:]),
    "other numbers": repacked(lambda packed: frame((ROWS + 1).tobytes())),
    "no digest": lambda file: file.attrs.__delitem__("features_sha256"),
    "a number as digest": lambda file: file.attrs.__setitem__("features_sha256", 7),
    "many digests": lambda file: file.attrs.__setitem__("features_sha256", ["a" * 64] * 2),
}


def check_hostile(folder: str) -> None:
    """Each file is refused, by its structure or by its numbers, and a store serves none of their rows."""
    for what, change in REFUSED_UNSEEN.items():
        name, data = hostile(change)
        with pytest.raises(StoreError, match="contiguously|do not fit|not a shard") as caught:
            parse_shard(name, data, KEY)
            print(f"{what}: was accepted")
        assert "\n" not in str(caught.value), what
        (Path(folder) / name).write_bytes(data)
    name, data = beyond_the_file(*shard())
    with pytest.raises(StoreError, match="contiguously"):
        parse_shard(name, data, KEY)
    store = RowStore(Path(folder), KEY, "{}", dict)
    assert (len(store), len(store.damaged)) == (0, len(os.listdir(folder)))
    for what, change in REFUSED_BY_ITS_NUMBERS.items():
        name, data = hostile(change)
        with pytest.raises(StoreError, match="do not match their SHA-256") as caught:
            load_shard(name, data, KEY)
            print(f"{what}: was accepted")
        assert "\n" not in str(caught.value), what
        store = store_of(Path(folder) / "numbers" / what, (name, data))
        assert (len(store), len(store.damaged)) == (0, 1), what


def test_compressed_shards_from_strangers(tmp_path: Path) -> None:
    """Sizes that are not true, other filters, frames that hold something else: refused in time and in little memory."""
    in_child(check_hostile, tmp_path, seconds=120, memory=3 * GB)


def check_largest(name: str, folder: str) -> None:
    data = (Path(folder) / name).read_bytes()
    assert load_shard(name, data, KEY)[1].nbytes == MOST_BYTES


def test_the_most_that_a_small_file_may_claim_fits_into_memory(tmp_path: Path) -> None:
    """Half a GB of zeros from a file of 200 KB: no error, since they may be true, and no more than it says."""

    def change(file: h5py.File) -> None:
        many_chunks(MOST_BYTES // 2**21, 2**5, 2**15)(file)
        file.attrs["features_sha256"] = hashlib.sha256(bytes(MOST_BYTES)).hexdigest()

    name, data = hostile(change)
    assert len(data) < 2**20
    (tmp_path / name).write_bytes(data)
    in_child(check_largest, name, tmp_path, seconds=60, memory=3 * GB)
