"""The format of the cache: its document tells the truth, files of every version are read, newer ones are refused."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from featstore.datasets.digests import DigestMemory
from featstore.errors import RunError, StoreError
from featstore.extraction import canary, writer
from featstore.images.preprocessing import NAMED
from featstore.images.reading import Reading
from featstore.images.views import Augmentation
from featstore.runs.files import load_run
from featstore.runs.run import FORMAT as RUN_FORMAT
from featstore.runs.run import FORMAT_VERSION as RUN_VERSION
from featstore.spec import FeatureSpec
from featstore.store import chunks, claims, index, index_part, layout, rowid, shard, spec_file
from featstore.store.disk_folder import DiskFolder
from featstore.store.rowid import row_id
from featstore.store.rowstore import RowStore
from featstore.store.shard import build_shard, parse_shard
from featstore.store.spec_file import KeyFile, key_of, read_key_file
from featstore.system.files import FileStat
from featstore.system.stamps import LOCAL_NS
from helpers.keyfolder import put, save
from helpers.paths import ROOT, TESTS

DOCUMENT = (ROOT / "docs" / "format.md").read_text()
PROSE = " ".join(DOCUMENT.split())
KEPT = TESTS / "format"
IDS = [row_id(hashlib.sha256(b"%d" % n).hexdigest(), n % 2) for n in range(6)]
VERSIONS = {"featstore-keras": "0.1.0", "numpy": "2.4.6"}
SPEC = FeatureSpec("tiny", "a" * 64, Reading(8, 8), NAMED["raw"], pool="none")


def new_store(cache: Path) -> RowStore:
    return RowStore(cache / SPEC.folder, SPEC.key, SPEC.to_json(), lambda: VERSIONS)


@pytest.fixture
def store(tmp_path: Path) -> RowStore:
    """A key with one shard of two rows."""
    store = new_store(tmp_path)
    put(store, IDS[:2], np.arange(8, dtype=np.float16).reshape(2, 2, 2))
    return store


def functions() -> dict[str, Any]:
    """What the Python in the document defines."""
    defined: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL):
        exec(compile(block, "docs/format.md", "exec"), defined)
    return defined


def section(title: str) -> str:
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def table(title: str, column: int = 0) -> list[str]:
    """The names in code in one column of the tables of a section."""
    cells = [line.split("|")[1 + column] for line in section(title).splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall("`(.*?)`", cell)]


# The examples


def test_the_example_reads_what_featstore_wrote(store: RowStore) -> None:
    """All rows by their ids."""
    [path] = store.folder.glob("s-*.h5")
    found = functions()["read_shard"](path)
    assert list(found) == IDS[:2]
    assert np.array_equal(np.stack(list(found.values())), store.read(IDS[:2]))


def test_the_example_reads_compressed_rows_as_well(tmp_path: Path) -> None:
    """hdf5plugin is imported, as in building a shard."""
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    name, data = build_shard(SPEC.key, SPEC.to_json(), VERSIONS, IDS[:2], rows, "zstd")
    (tmp_path / name).write_bytes(data)
    assert np.array_equal(np.stack(list(functions()["read_shard"](tmp_path / name).values())), rows)


def test_the_example_refuses_a_damaged_shard(store: RowStore) -> None:
    """The name does not match the bytes, before HDF5 sees them."""
    [path] = store.folder.glob("s-*.h5")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="is damaged"):
        functions()["read_shard"](path)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_the_example_writes_is_served(dtype: str, store: RowStore) -> None:
    """An open store and a new one serve it, and the bytes are those that featstore writes."""
    rows = np.arange(16).astype(dtype).reshape(4, 2, 2) / 8
    functions()["write_shard"](store.folder, dict(zip(IDS[2:], rows, strict=True)))
    for opened in (store, new_store(store.folder.parents[1])):
        opened.refresh()
        found = opened.read(IDS[2:])
        assert (found.dtype, opened.damaged) == (dtype, ())
        assert np.array_equal(found, rows)
    name, data = build_shard(SPEC.key, SPEC.to_json(), {"my-program": "1.0"}, IDS[2:], rows)
    assert (store.folder / name).read_bytes() == data
    assert not list(store.folder.glob(".tmp-*"))


def test_the_document_names_the_id_of_an_image() -> None:
    """`row_id` makes the same id."""
    assert '`hashlib.sha256(open(image, "rb").read()).digest() + bytes(2)`' in PROSE
    assert row_id(hashlib.sha256(b"image").hexdigest()) == hashlib.sha256(b"image").digest() + bytes(2)


# The document and the code


def test_the_document_names_every_field_of_a_spec() -> None:
    """No more and no fewer, with those of a reading and a preprocessing."""
    reading = Reading(8, 8, resize=(9, 9), augmentation=Augmentation())
    spec = FeatureSpec("tiny", "a" * 64, reading, NAMED["raw"]).describe()
    fields = [line.split("|")[1].strip(" `") for line in section("The spec and the key").splitlines() if "| `" in line]
    assert fields == list(spec)
    for name in (*spec["reading"], *spec["preprocessing"]):
        assert f"`{name}`" in section("The spec and the key")
    assert '`json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False)`' in PROSE
    assert key_of(spec) == hashlib.sha256(json.dumps(spec, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def test_the_document_names_every_field_of_spec_json(tmp_path: Path) -> None:
    """The canary is included."""
    kept = {"version": canary.VERSION, "features": {}}
    key_file = KeyFile(key=SPEC.key, spec=SPEC.describe(), versions=VERSIONS, row_shape=(3,), canary=kept)
    assert set(table("spec.json")) == set(json.loads(key_file.to_bytes()))
    assert (spec_file.FORMAT, spec_file.FORMAT_VERSION) == ("featstore-key", 1)
    assert "`featstore-key`" in section("spec.json")
    assert f"`version` {canary.VERSION}; `features`: by name of the {_number(len(canary.NAMES))} images" in PROSE


def test_the_document_names_everything_in_a_shard() -> None:
    """Root attributes, data sets, types and shapes."""
    _, data = build_shard(SPEC.key, SPEC.to_json(), VERSIONS, IDS[:1], np.ones((1, 2), np.float16), "zstd")
    with h5py.File(io.BytesIO(data), "r") as file:
        assert table("Shards") == [*sorted(file.attrs, key=table("Shards").index), "ids", "features"]
        assert all(h5py.check_string_dtype(file.attrs.get_id(n).dtype) for n in set(file.attrs) - {"format_version"})
        assert (file["ids"].dtype, file["ids"].shape) == (np.uint8, (1, 34))
    for text in (f"`{shard.FORMAT}`", "uint8 | (rows, 34)", "float16 or float32, little-endian | (rows, ...)"):
        assert text in section("Shards")


def test_the_figures_in_the_document_are_those_of_the_code() -> None:
    """Versions, sizes, limits and times."""
    for text in (
        f"The format versions are {shard.FORMAT_VERSION} for shards and {spec_file.FORMAT_VERSION} for `spec.json`",
        f"**A row id** is {rowid.SIZE} bytes",
        f"when {writer.SHARD_BYTES >> 20} MiB of float32 have come together, or after ten seconds",
        f"at most {writer.FLOAT16_TOLERANCE:.0e} of its largest one".replace("e-03", "e-3"),
        f"as many as make {chunks.CHUNK_BYTES >> 10} KiB",
        f"number {chunks.FILTER} (Zstandard, level {chunks.LEVEL})",
        f"At most {chunks._MOST_CHUNKS:,} chunks and {chunks.MOST_BYTES >> 20} MiB of numbers",
        f"`version` ({index_part.INDEX_VERSION})",
        f"record of {index_part._RECORD} bytes per row",
        f"touches it every {claims.BEAT_SECONDS:.0f} seconds; after {claims.DEAD_SECONDS:.0f} it is taken for dead",
    ):
        assert text in PROSE
    assert writer.SHARD_SECONDS == 10


def test_the_names_in_the_document_are_those_of_the_code(store: RowStore) -> None:
    """These are all files that a store or a command leaves in its folder."""
    tree = section("What lies where")
    for name in (layout.SPEC, layout.INDEX, layout.USED, f"{layout.CLAIMS}/", f"{layout.QUARANTINE}/", "s-<sha256>.h5"):
        assert f"    {name} " in tree
    with store.writing() as writer:
        assert writer.claims.claim(IDS[5])
        found = {path.name for path in store.folder.iterdir()}
    found |= {path.name for path in store.folder.iterdir()}
    assert {name for name in found if not layout.SHARD_NAME.fullmatch(name)} == {"spec.json", "index", "used", "claims"}
    header = json.loads((store.folder / "index").read_bytes().split(b"\n")[1])
    for field in (*header, *header["shards"][0]):
        assert f"`{field}`" in section("What else lies there") or field == "shards"
    assert SPEC.folder == f"tiny/raw-8-{SPEC.key[:12]}"


def test_the_digest_memory_is_as_the_document_says(tmp_path: Path) -> None:
    """A check sum, then JSON; named by the digest of the folder's path."""
    memory = DigestMemory(tmp_path, clock=lambda: 10**19)
    memory.get("/photos/a.jpg", FileStat(1, 2, 3, 4))
    memory.remember("/photos/a.jpg", FileStat(1, 2, 3, 4), "b" * 64, LOCAL_NS)
    memory.save()
    check, _, text = (tmp_path / f"{hashlib.sha256(b'/photos').hexdigest()[:32]}.json").read_bytes().partition(b"\n")
    assert check.decode() == hashlib.sha256(text).hexdigest()
    assert json.loads(text) == {"format": 3, "folder": "/photos", "files": {"a.jpg": [1, 2, 3, 4, "b" * 64]}}
    assert (
        "then JSON: `format` (3), `folder`, `files`: by name [size, mtime in ns, ctime in ns, inode, digest]" in PROSE
    )


def _number(count: int) -> str:
    return ("no", "one", "two", "three", "four", "five")[count]


# Files of each version


def kept_rows(kind: str) -> np.ndarray:
    """What is in the kept shards: extremes of the dtype, a negative zero, and plain numbers, in rows (2, 3, 2, 2)."""
    dtype = np.dtype("float32" if kind == "float32" else "float16")
    limits = np.finfo(dtype)
    rows = (np.arange(24).reshape(2, 3, 2, 2) / 8).astype(dtype)
    rows[0].flat[:5] = limits.max, limits.min, limits.smallest_subnormal, -0.0, limits.eps
    return -rows if kind == "zstd" else rows


KINDS = ("float16", "float32", "zstd")


def kept_ids(kind: str) -> list[bytes]:
    return IDS[KINDS.index(kind) * 2 :][:2]


def kept_folders() -> list[Path]:
    return sorted(KEPT.glob("version-*/*/*"))


def test_a_folder_is_kept_of_each_version() -> None:
    """There is one for each version of shards and of spec.json; a new version adds one and changes none."""
    found: dict[str, set[int]] = {"spec": set(), "shard": set()}
    for folder in kept_folders():
        found["spec"].add(json.loads((folder / "spec.json").read_text())["format_version"])
        for path in folder.glob("s-*.h5"):
            with h5py.File(path, "r") as file:
                found["shard"].add(int(file.attrs["format_version"]))
    assert found["spec"] == set(range(1, spec_file.FORMAT_VERSION + 1))
    assert found["shard"] == set(range(1, shard.FORMAT_VERSION + 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("folder", kept_folders(), ids=lambda folder: folder.parents[1].name)
def test_kept_files_are_read_to_the_bit(folder: Path, kind: str, tmp_path: Path) -> None:
    """The store reads them under the key of the stored spec, and passes nothing over."""
    copy = shutil.copytree(folder, tmp_path / folder.parent.name / folder.name)
    content = read_key_file(DiskFolder(copy))
    spec = FeatureSpec.from_json(content.spec_json)
    assert (spec.key, spec.folder) == (content.key, f"{folder.parent.name}/{folder.name}")
    store = RowStore(copy, spec.key, spec.to_json(), dict)
    assert (len(store), store.damaged) == (6, ())
    found, expected = store.read(kept_ids(kind)), kept_rows(kind)
    assert (found.dtype, found.tobytes()) == (expected.dtype, expected.tobytes())
    assert store.key_file is not None
    assert store.key_file.versions == VERSIONS
    assert canary._parse(store.key_file.canary or {}, copy).keys() == set(canary.NAMES)


def test_kept_files_are_never_made_again() -> None:
    """README.md in their folder lists them with their digests."""
    listed = dict(re.findall(r"^    (\w{64})  (\S+)$", (KEPT / "README.md").read_text(), re.MULTILINE))
    files = [path for path in KEPT.rglob("*") if path.is_file() and path.name != "README.md"]
    found = {hashlib.sha256(path.read_bytes()).hexdigest(): path.relative_to(KEPT).as_posix() for path in files}
    assert found == listed


# Newer versions


def newer(data: bytes) -> tuple[str, bytes]:
    """A shard of version 2, from the featstore of tomorrow."""
    image = io.BytesIO(data)
    with h5py.File(image, "r+") as file:
        file.attrs["format_version"] = np.int64(shard.FORMAT_VERSION + 1)
        file.attrs["versions"] = json.dumps({"featstore-keras": "7.1"})
        del file["features"]  # it may look quite different
    return f"s-{hashlib.sha256(image.getvalue()).hexdigest()}.h5", image.getvalue()


REFUSAL = "format version {}, this featstore reads {}: it was written by featstore-keras 7.1: install that release or a"


def refusal(known: int) -> str:
    return re.escape(REFUSAL.format(known + 1, known))


def test_a_newer_shard_is_refused(store: RowStore) -> None:
    """One line names the release that wrote it; the other shards of the key are served."""
    [path] = store.folder.glob("s-*.h5")
    name, data = newer(path.read_bytes())
    with pytest.raises(StoreError, match=refusal(shard.FORMAT_VERSION)) as caught:
        parse_shard(name, data, SPEC.key)
    assert "\n" not in str(caught.value)
    (store.folder / name).write_bytes(data)
    again = new_store(store.folder.parents[1])
    assert len(again) == 2
    assert again.damaged == (str(caught.value),)


def test_a_newer_spec_json_is_refused(store: RowStore) -> None:
    """What it means is not known, so neither is whether its rows are those that are asked for."""
    path = store.folder / "spec.json"
    content = json.loads(path.read_text())
    content |= {"format_version": spec_file.FORMAT_VERSION + 1, "versions": {"featstore-keras": "7.1"}}
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=refusal(spec_file.FORMAT_VERSION)) as caught:
        new_store(store.folder.parents[1])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_newer_run_is_refused(tmp_path: Path) -> None:
    """The words are the same."""
    content = {"format": RUN_FORMAT, "format_version": RUN_VERSION + 1, "versions": {"featstore-keras": "7.1"}}
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=refusal(RUN_VERSION)) as caught:
        load_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_newer_index_is_made_again(store: RowStore) -> None:
    """Since all that is in it is in the shards."""
    save(store)
    path = store.folder / "index"
    body = path.read_bytes()[65:].replace(f'"version": {index_part.INDEX_VERSION}'.encode(), b'"version": 99')
    path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    assert len(index.load_index(DiskFolder(store.folder))) == 0
    again = new_store(store.folder.parents[1])
    assert len(again) == 2
    save(again)
    assert len(index.load_index(DiskFolder(store.folder))) == 2


def test_a_newer_digest_memory_is_made_again(tmp_path: Path) -> None:
    """It costs the time to read the images."""
    memory = DigestMemory(tmp_path, clock=lambda: 10**19)
    memory.get("/photos/a.jpg", FileStat(1, 2, 3, 4))
    memory.remember("/photos/a.jpg", FileStat(1, 2, 3, 4), "b" * 64, LOCAL_NS)
    memory.save()
    [path] = tmp_path.iterdir()
    text = path.read_bytes()[65:].replace(b'"format": 3', b'"format": 4')
    path.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    assert DigestMemory(tmp_path).get("/photos/a.jpg", FileStat(1, 2, 3, 4)) is None


def test_a_newer_canary_is_refused(tmp_path: Path) -> None:
    """Before it is compared with anything."""
    with pytest.raises(StoreError, match=f"canary of version {canary.VERSION + 1}, this featstore reads") as caught:
        canary._parse({"version": canary.VERSION + 1, "features": {}}, tmp_path)
    assert "\n" not in str(caught.value)
