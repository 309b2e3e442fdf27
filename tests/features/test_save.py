"""Features as tables: every number as it is in the cache, in the tools that people open them with."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featstore
from featstore import Manifest, UsageError
from featstore.errors import StoreError
from featstore.features import save
from featstore.features.table_files import FeatureTable, write_table
from featstore.spec import FeatureSpec
from featstore.system.progress import Silent
from helpers.cli import call
from helpers.photos import write_photos
from helpers.specs import SPEC

WIDTH = 4 * 4 * 3


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photos of two classes with splits, their features of 48 numbers, and a table with groups."""
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos" / "train", 2)
    write_photos(folder / "photos" / "test", 1, first=2)
    rows = ["path,label,group", "photos/train/discs/000.png,=disc(1),g1", "photos/train/discs/001.png,,"]
    (folder / "list.csv").write_text("\n".join(rows))
    return folder


def extract(work: Path, data: str = "photos") -> tuple[Manifest, FeatureSpec]:
    found = featstore.extract(work / data, model="pixels", size=4, preprocess="tf", cache=work / "cache")
    return found.manifest, found.features[0].spec


def saved(work: Path, target: Path, data: str = "photos", **options: Any) -> tuple[Path, Manifest, np.ndarray]:
    """Save the features, and return the file with the manifest and the vectors that it should hold."""
    manifest, spec = extract(work, data)
    X = featstore.load_features(manifest, spec, cache=work / "cache", **options).X
    path = featstore.save_features(manifest, spec, target, cache=work / "cache", **options)
    return path, manifest, X.reshape(len(X), -1)


@pytest.fixture(params=[1, 2, 100])
def rows_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one row, of two, of all."""
    monkeypatch.setattr(save, "BLOCK_BYTES", 4 * WIDTH * request.param)


def test_parquet_opens_in_arrow(work: Path, tmp_path: Path, rows_at_once: None) -> None:
    """The types, the numbers, and what they are the features of."""
    parquet = pytest.importorskip("pyarrow.parquet")
    path, manifest, X = saved(work, tmp_path / "a.parquet")
    table = parquet.read_table(path)
    assert [f"{field.name} {field.type}" for field in table.schema] == [
        *("path string", "label string", "split string", "digest string"),
        f"vector fixed_size_list<element: float>[{WIDTH}]",
    ]
    assert np.array_equal(np.stack(table["vector"].to_pylist()), X)
    assert table["path"].to_pylist() == [p.path for p in manifest.pictures]
    assert table["digest"].to_pylist() == [p.digest for p in manifest.pictures]
    assert set(table["split"].to_pylist()) == {"train", "test"}
    facts = {name.decode(): fact.decode() for name, fact in table.schema.metadata.items()}
    spec = FeatureSpec.from_json(facts["featstore.spec"])
    assert (spec.key, spec) == (facts["featstore.key"], extract(work)[1])
    assert json.loads(facts["featstore.shape"]) == [4, 4, 3]
    assert json.loads(facts["featstore.versions"])["featstore-keras"] == featstore.__version__


def test_parquet_opens_in_pandas_polars_and_duckdb(work: Path, tmp_path: Path) -> None:
    """Embedding Atlas reads it by pandas and stacks the column that `--vector` names, as here."""
    pytest.importorskip("pyarrow")
    path, _, X = saved(work, tmp_path / "a.parquet")
    pandas, polars, duckdb = (pytest.importorskip(name) for name in ("pandas", "polars", "duckdb"))
    assert np.array_equal(np.stack(pandas.read_parquet(path)["vector"]), X)
    assert np.array_equal(polars.read_parquet(path)["vector"].to_numpy(), X)
    frame = duckdb.sql(f"select label, vector from '{path}'").df()
    assert np.array_equal(np.stack(frame["vector"]), X)
    assert list(frame["label"]) == ["discs", "stripes"] + ["discs"] * 2 + ["stripes"] * 2


def test_csv_keeps_every_bit(work: Path, tmp_path: Path, rows_at_once: None) -> None:
    """Nine digits are enough for float32; what is missing is empty, and a formula is quoted."""
    path, manifest, X = saved(work, tmp_path / "a.csv", "list.csv")
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    assert header == ["path", "label", "split", "group", "digest", *(f"f{i}" for i in range(WIDTH))]
    assert np.array_equal(np.array([row[5:] for row in rows], np.float32), X)
    assert [row[1:4] for row in rows] == [["'=disc(1)", "", "g1"], ["", "", ""]]
    assert [row[4] for row in rows] == [p.digest for p in manifest.pictures]


def test_hard_numbers_are_exact_in_csv(tmp_path: Path) -> None:
    """The smallest, the largest, and neighbours."""
    info = np.finfo(np.float32)
    hard = [
        info.smallest_subnormal,
        info.tiny,
        info.max,
        info.min,
        1.0,
        np.nextafter(np.float32(1), np.float32(2)),
        -0.0,
    ]
    hard += np.random.default_rng(0).integers(0, 0x7F000000, 1000, dtype=np.uint32).view(np.float32).tolist()
    X = np.array([hard], np.float32)
    with open(tmp_path / "a.csv", "wb") as file:
        write_table(file, FeatureTable({"path": ["a.png"]}, X.shape[1:], [X], {}), "csv")
    numbers = (tmp_path / "a.csv").read_bytes().splitlines()[1].decode().split(",")[1:]
    assert np.array_equal(np.array(numbers, np.float32).view(np.uint32), X[0].view(np.uint32))
    assert np.array_equal(np.array([*map(float, numbers)]).astype(np.float32), X[0])  # as pandas reads them


def test_npz_needs_no_pickle(work: Path, tmp_path: Path, rows_at_once: None) -> None:
    """Texts and numbers are arrays; a map keeps its shape. The same table is the same file."""
    path, _, X = saved(work, tmp_path / "a.npz", "list.csv")
    found = np.load(path, allow_pickle=False)
    assert found["vector"].dtype == np.float32
    assert found["vector"].shape == (2, 4, 4, 3)
    assert np.array_equal(found["vector"].reshape(2, -1), X)
    assert found["label"].tolist() == ["=disc(1)", ""]
    assert str(found["key"]) == FeatureSpec.from_json(str(found["spec"])).key
    again, *_ = saved(work, tmp_path / "b.npz", "list.csv")
    assert path.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("kind", ["parquet", "csv", "npz"])
def test_names_of_files_that_are_not_utf8(tmp_path: Path, kind: str) -> None:
    """Linux allows any bytes. CSV keeps them, Parquet cannot."""
    pytest.importorskip("pyarrow")
    name = os.fsdecode(b"a\xff.png")
    with open(tmp_path / "file", "wb") as file:
        write_table(file, FeatureTable({"path": [name]}, (1,), [np.ones((1, 1), np.float32)], {}), kind)  # type: ignore[arg-type]
    if kind == "csv":
        assert (tmp_path / "file").read_bytes() == b"path,f0\na\xff.png,1\n"
    elif kind == "npz":
        assert np.load(tmp_path / "file")["path"][0] == name
    else:
        from pyarrow import parquet

        assert parquet.read_table(tmp_path / "file")["path"].to_pylist() == [r"a\xff.png"]


def test_one_split(work: Path, tmp_path: Path) -> None:
    path, manifest, X = saved(work, tmp_path / "a.npz", split="test")
    assert np.load(path)["split"].tolist() == ["test", "test"]
    assert len(X) == 2 < len(manifest)


def test_a_block_is_in_memory_at_a_time(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows as fit, and the progress of their writing."""
    told: list[tuple[int, int]] = []
    read: list[int] = []
    real = featstore.features.stored_array.StoredArray.read  # type: ignore[attr-defined]
    monkeypatch.setattr(save, "BLOCK_BYTES", 4 * WIDTH * 4 + 1)
    monkeypatch.setattr(
        "featstore.features.stored_array.StoredArray.read",
        lambda self, which: (rows := real(self, which), read.append(len(rows)))[0],
    )

    class Told(Silent):
        def steps(self, title: str, unit: str = "steps") -> Any:
            return lambda done, total: told.append((done, total))

    manifest, spec = extract(work)
    featstore.save_features(manifest, spec, tmp_path / "a.csv", cache=work / "cache", progress=Told())
    assert read == [4, 2]
    assert told == [(0, 6), (4, 6), (6, 6)]


class Stops(Silent):
    """A progress that ends the work after three rows."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def steps(self, title: str, unit: str = "steps") -> Any:
        def on_step(done: int, total: int) -> None:
            if done == 3:
                raise self.error

        return on_step


@pytest.mark.parametrize("kind", ["parquet", "csv", "npz"])
@pytest.mark.parametrize(
    ("error", "seen"), [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left"), StoreError)]
)
def test_a_table_is_whole_or_not_there(
    work: Path, tmp_path: Path, kind: str, error: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interruption in the middle leaves what was there before, and no file of its own."""
    pytest.importorskip("pyarrow")
    target = tmp_path / f"a.{kind}"
    target.write_bytes(b"before")
    monkeypatch.setattr(save, "BLOCK_BYTES", 1)
    with pytest.raises(seen):
        featstore.save_features(*extract(work), target, cache=work / "cache", progress=Stops(error))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {target.name: b"before"}


def test_links_are_followed_and_files_replaced(work: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.npz").write_bytes(b"before")
    (tmp_path / "link.npz").symlink_to(tmp_path / "real" / "a.npz")
    saved(work, tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink()
    assert np.load(tmp_path / "real" / "a.npz")["vector"].shape[0] == 6


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a.xlsx", r"path='.*a\.xlsx': expected a name that ends in \.parquet, \.csv or \.npz"),
        ("a", "expected a name that ends in"),
        ("none/a.csv", "there is no folder .*none; make it first"),
    ],
)
def test_a_path_that_cannot_be_is_refused(work: Path, tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        featstore.save_features(*extract(work), tmp_path / path, cache=work / "cache")


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told before anything is extracted, with what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"needs pyarrow: `pip install featstore-keras\[parquet\]`, or write \.csv"):
        featstore.save_features(Manifest("x", ()), SPEC, tmp_path / "a.parquet")


def test_the_command(work: Path, tmp_path: Path) -> None:
    """It extracts what is missing, and says what it wrote."""
    options = ("--model", "pixels", "--size", 6, "--cache", tmp_path / "cache")
    done = call("features", work / "photos", *options, "--out", tmp_path / "a.npz")
    assert done.out.startswith(f"6 rows of 6x6x3 numbers in {tmp_path / 'a.npz'}, 0.0")
    assert np.load(tmp_path / "a.npz")["vector"].shape == (6, 6, 6, 3)
    printed = json.loads(call("features", work / "photos", *options, "--out", tmp_path / "a.npz", "--json").out)
    assert (printed["rows"], printed["bytes"]) == (6, (tmp_path / "a.npz").stat().st_size)
    assert (printed["path"], printed["features"]["computed"]) == (str(tmp_path / "a.npz"), 0)
    assert call("features", work / "photos", *options, "--out", tmp_path / "a.npz", "--quiet").out == ""


@pytest.mark.parametrize("out", ["a.txt", "none/a.csv", "."])
def test_the_output_is_tried_before_the_work(work: Path, tmp_path: Path, out: str) -> None:
    done = call("features", work / "photos", "--model", "pixels", "--cache", tmp_path / "c", "--out", tmp_path / out)
    assert done.code in (1, 2)
    assert "--out" in done.err
    assert not (tmp_path / "c").exists()
