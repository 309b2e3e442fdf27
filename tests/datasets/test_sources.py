"""What DATA may be in Python: paths, tables, lists, arrays and images, all of which become the same manifest."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import featstore
from featstore.datasets.options import DataOptions
from featstore.datasets.sources import as_images, as_manifest, scan
from featstore.errors import DataError, UsageError

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
FILES = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
LABELS = ["x", "y", "x", "y"]


class Frame:
    """A table as pandas and polars have it: columns by their names, which may be numbers."""

    def __init__(self, columns: dict[Any, list[Any]]) -> None:
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name: Any) -> list[Any]:
        return self._columns[name]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEATSTORE_CACHE", str(tmp_path / "cache"))
    for file in FILES:
        Path(file).write_bytes(file.encode())
    np.savez("d.npz", images=IMAGES, labels=LABELS)
    Path("d.csv").write_text("path,label\n" + "".join(f"{f},{n}\n" for f, n in zip(FILES, LABELS, strict=True)))


PATHS: dict[str, Callable[[], Any]] = {
    "a table": lambda: "d.csv",
    "a table by Path": lambda: Path("d.csv"),
    "a DataFrame": lambda: Frame({"filename": FILES, "class": LABELS}),
    "columns": lambda: {"path": FILES, "label": LABELS},
    "columns of NumPy": lambda: {"path": np.array(FILES), "label": np.array(LABELS)},
    "pairs": lambda: list(zip(FILES, LABELS, strict=True)),
    "pairs one after the other": lambda: ((Path(f), n) for f, n in zip(FILES, LABELS, strict=True)),
    "paths and labels": lambda: (FILES, LABELS),
    "paths and labels of NumPy": lambda: (np.array(FILES), np.array(LABELS)),
    "a manifest": lambda: scan("d.csv"),
}
ARRAYS: dict[str, Callable[[], Any]] = {
    "a file": lambda: "d.npz",
    "arrays": lambda: (IMAGES, np.array(LABELS)),
    "lists": lambda: (list(IMAGES), LABELS),
    "named arrays": lambda: {"X": IMAGES, "y": LABELS},
    "pairs": lambda: list(zip(IMAGES, LABELS, strict=True)),
    "images of Pillow": lambda: ([Image.fromarray(image) for image in IMAGES], LABELS),
    "pairs with images of Pillow": lambda: [(Image.fromarray(i), n) for i, n in zip(IMAGES, LABELS, strict=True)],
}


@pytest.mark.parametrize("form", PATHS)
def test_paths_and_labels_in_any_form(form: str) -> None:
    """They are relative to the working folder."""
    manifest = as_manifest(PATHS[form]())
    assert [(Path(p.path).name, p.label) for p in manifest.pictures] == list(zip(FILES, LABELS, strict=True))


@pytest.mark.parametrize("form", ARRAYS)
def test_images_and_labels_in_any_form(form: str) -> None:
    """They become files with the pixels of the arrays."""
    manifest = as_manifest(ARRAYS[form]())
    assert [p.label for p in manifest.pictures] == LABELS
    assert np.array_equal([np.asarray(Image.open(p.path)) for p in manifest.pictures], IMAGES)


@pytest.mark.parametrize(
    "images",
    [
        FILES,
        tuple(FILES[:2]),
        np.array(FILES),
        {"path": FILES},
        IMAGES,
        list(IMAGES),
        [Image.fromarray(image) for image in IMAGES],
        IMAGES[0],
        IMAGES[0, ..., 0],
        Image.fromarray(IMAGES[0]),
        "a.jpg",
        Path("d.csv"),
    ],
)
def test_images_to_predict_in_any_form(images: Any) -> None:
    """One image or several, on disk or in memory; those of a table need no labels."""
    found = as_images(images)
    assert found.pictures
    assert not found.skipped


@pytest.mark.parametrize("data", [5, None, 1.5])
def test_anything_else_is_refused(data: Any) -> None:
    """The message says what was expected."""
    with pytest.raises(UsageError, match="expected a path, a table, images or arrays, or a list of paths, found a"):
        as_manifest(data)


def test_missing_values_of_a_frame_are_no_labels() -> None:
    """None, and what is not a number; a whole number that pandas made a float of is written without .0."""
    manifest = as_manifest(Frame({"path": FILES, "label": [1.0, None, float("nan"), 2]}))
    assert [p.label for p in manifest.pictures] == ["1", None, None, "2"]
    assert manifest.notes == ("2 images of the table without a class: the label is empty",)


def test_columns_of_other_lengths_are_refused() -> None:
    """A label would go to another image."""
    with pytest.raises(DataError, match="its columns are not equally long: 3, 4"):
        as_manifest({"path": FILES, "label": LABELS[:3]})
    with pytest.raises(DataError, match="expected a label for each of 4 images, found .3,."):
        as_manifest({"X": IMAGES, "y": LABELS[:3]})


def test_options_without_effect_are_refused() -> None:
    """Those of tables with a folder, and all of them with a manifest."""
    with pytest.raises(UsageError, match="label_column='x': has no effect on ., which is a folder"):
        scan(".", DataOptions(label_column="x"))
    with pytest.raises(UsageError, match="has no effect on a manifest"):
        as_manifest(scan("d.csv"), DataOptions(path_column="path"))
    with pytest.raises(UsageError, match="has no effect with `label_column`"):
        scan("d.csv", DataOptions(path_column="path", label_column="label", label_from="{label}.*"))


@pytest.mark.parametrize("given", [{"label_from": "{label}.*"}, {"follow_links": True}, {"image_folder": "x"}])
def test_options_without_effect_on_arrays_are_refused(given: dict[str, Any]) -> None:
    """Their labels and images are not in files, wherever the arrays come from."""
    np.savez("d.npz", images=IMAGES, labels=LABELS)
    rows = [f"{label},{','.join(map(str, image.ravel()[:16]))}" for label, image in zip(LABELS, IMAGES, strict=True)]
    header = f"label,{','.join(f'pixel{n}' for n in range(16))}"
    Path("pixels.csv").write_text("\n".join([header, *rows]))
    assert len(scan("pixels.csv", DataOptions(label_column="label"))) == 4
    for data in ("d.npz", "pixels.csv", (IMAGES, LABELS), {"X": IMAGES, "y": LABELS}):
        with pytest.raises(UsageError, match=f"{next(iter(given))}=.*: has no effect on "):
            as_manifest(data, DataOptions(**given))


@pytest.mark.parametrize("images", [".", "a.jpg", FILES, scan])
def test_options_without_effect_on_images_to_predict_are_refused(images: Any) -> None:
    """A folder, files or a manifest need no table and no labels."""
    images = images(".") if images is scan else images
    for given in ({"image_folder": "x"}, {"path_column": "x"}, {"label_from": "{label}.*"}):
        with pytest.raises(UsageError, match="has no effect on "):
            as_images(images, DataOptions(**given))
    with pytest.raises(UsageError, match="unknown option"):
        featstore.predict("run", "a.jpg", label_column="x")  # type: ignore[call-arg]


@pytest.mark.parametrize("missing", [float("nan"), None, "", "nan", "NA"])
def test_a_missing_label_of_an_array_is_no_class(missing: Any) -> None:
    """NumPy makes the word `nan` of what is not a number among words."""
    labels = ["x", missing, "x", "y"]
    assert as_manifest((IMAGES, labels)).classes == ("x", "y")
    assert as_manifest({"X": IMAGES, "y": np.array(labels)}).pictures[1].label is None


def test_verbs_take_a_table_in_memory() -> None:
    """What they get becomes a manifest before anything else; features of arrays are those of the pixels."""
    extraction = featstore.extract((IMAGES, LABELS), model="pixels", preprocess="raw", size=8, cache="cache")
    pixels = featstore.load_features(extraction.manifest, extraction.features[0].spec, cache="cache").X
    assert np.array_equal(pixels, IMAGES)
    again = featstore.extract({"X": IMAGES, "y": LABELS}, model="pixels", preprocess="raw", size=8, cache="cache")
    assert again.features[0].computed == 0


def test_parquet_without_its_library_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the extra."""
    Path("d.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"needs pyarrow to be read: `pip install featstore-keras\[parquet\]`"):
        scan("d.parquet")


def test_parquet_is_a_table() -> None:
    """As any other; a damaged one is refused."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"file_name": FILES, "label": LABELS}), "d.parquet")
    assert [p.label for p in scan("d.parquet").pictures] == LABELS
    parquet.write_table(pyarrow.table({"image": [{"bytes": b"x", "path": "a.jpg"}], "label": [0]}), "d.parquet")
    with pytest.raises(DataError, match="the column .image. holds struct<.*>, such as the images themselves"):
        scan("d.parquet")
    Path("d.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        scan("d.parquet")


@pytest.mark.parametrize("raw", [b"", b"xx", b"PK\x03\x04", b"\x93NUMPY\x01\0"])
def test_what_is_not_arrays_is_refused(raw: bytes) -> None:
    """Damaged files, and objects of Python, which are not loaded."""
    Path("e.npz").write_bytes(raw)
    with pytest.raises(DataError, match="cannot be read as arrays of numbers"):
        scan("e.npz")


def test_objects_of_python_are_not_loaded() -> None:
    """They could run code."""
    np.savez("e.npz", X=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read as arrays of numbers"):
        scan("e.npz")
