"""Linear classifiers: they predict as scikit-learn does, their file keeps every bit, and other files are refused."""

from __future__ import annotations

import io
import os
import re
import tempfile
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from featstore.errors import RunError
from featstore.heads.array_file import load_arrays, write_arrays
from featstore.heads.linear import LinearClassifier
from featstore.heads.registry import make_head
from featstore.heads.skops_file import load_skops
from helpers.paths import TESTS

VERSION_3 = TESTS / "format" / "run-version-3"


@st.composite
def classifiers(draw: st.DrawFn) -> LinearClassifier:
    width, outputs = draw(st.integers(1, 5)), draw(st.sampled_from([1, 3, 4]))

    def floats(shape: tuple[int, ...], least: float = -1e3) -> np.ndarray:
        dtype = draw(st.sampled_from([np.float32, np.float64]))
        bits = 8 * np.dtype(dtype).itemsize
        return draw(arrays.arrays(dtype, shape, elements=st.floats(least, 1e3, width=bits)))

    return LinearClassifier(
        mean=floats((width,)),
        scale=floats((width,), least=0.125),
        coefficients=floats((outputs, width)),
        intercept=floats((outputs,)),
        C=draw(st.floats(1e-9, 1e9)),
        samples=draw(st.integers(1, 2**40)),
    )


@settings(max_examples=150, deadline=None)
@given(classifiers(), st.integers(0, 2**32 - 1))
def test_a_file_keeps_every_bit(trained: LinearClassifier, seed: int) -> None:
    """All fields are equal in value and type, and so are the predictions."""
    X = np.random.default_rng(seed).normal(size=(7, len(trained.mean))).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        write_arrays(trained, Path(folder) / "head.npz")
        loaded = load_arrays(LinearClassifier, Path(folder) / "head.npz")
    for name, value in asdict(trained).items():
        found = getattr(loaded, name)
        assert np.array_equal(found, value), name
        assert np.asarray(found).dtype == np.asarray(value).dtype, name
    assert np.array_equal(loaded.predict_proba(X), trained.predict_proba(X))
    assert loaded.predict_proba(X).sum(axis=1) == pytest.approx(1, abs=1e-6)


def test_a_saved_head_predicts_the_same_to_the_bit(tmp_path: Path) -> None:
    """For several classes scikit-learn's coefficients have another memory layout, which must not matter."""
    for classes in ("ab", "abc"):
        X, y = points(classes, width=513)
        head = make_head("logistic", {"C": 1.0})
        head.fit(X, y, None, 0)
        again = make_head("logistic")
        again.load(tmp_path / head.save(tmp_path))
        assert np.array_equal(again.predict_proba(X), head.predict_proba(X))


def points(classes: str, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(50) % len(classes))
    X = random.normal(size=(50, width)) * random.uniform(0.01, 30, width) + labels[:, None] * 0.3
    return X.astype(np.float32), np.array(list(classes))[labels]


def test_a_head_of_version_3_predicts_as_before() -> None:
    """Its file was written by skops; saved again as plain arrays, it predicts the same."""
    with np.load(VERSION_3 / "answers.npz") as file:
        kept = dict(file)
    head = make_head("logistic")
    head.load(VERSION_3 / "head.skops")
    assert head.selected() == {"C": 0.1}
    assert head.predict_proba(kept["X"]) == pytest.approx(kept["probabilities"], abs=1.2e-7)
    with tempfile.TemporaryDirectory() as folder:
        again = make_head("logistic")
        again.load(Path(folder) / head.save(Path(folder)))
        assert np.array_equal(again.predict_proba(kept["X"]), head.predict_proba(kept["X"]))


TWO = LinearClassifier(
    mean=np.zeros(3),
    scale=np.ones(3),
    coefficients=np.array([[1, -2, 0.5]], np.float32),
    intercept=np.array([0.25], np.float32),
    C=1.0,
    samples=10,
)


def test_two_classes_have_one_logit() -> None:
    """It is that of the second class; a very large one gives a probability of 0 or 1 without a warning."""
    X = np.array([[0, 0, 0], [1e4, 0, 0], [-1e4, 0, 0]], np.float32)
    p = 1 / (1 + np.exp(-0.25))
    assert TWO.predict_proba(X) == pytest.approx(np.array([[1 - p, p], [0, 1], [1, 0]]), abs=1e-7)


def test_small_probabilities_are_exact() -> None:
    """Also where that of the other class rounds to 1, so that the loss of a sure mistake is not cut off."""
    X = np.array([[60, 0, 0], [-300, 0, 0]], np.float32)
    assert np.log(TWO.predict_proba(X)[[0, 1], [0, 1]]) == pytest.approx([-60.25, -299.75])


@pytest.mark.parametrize("shape", [(4, 2), (4, 1), (4,), (4, 3, 1)])
def test_features_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    """A single column, which numpy would broadcast, is refused too."""
    with pytest.raises(ValueError, match="expected rows of 3 features"):
        TWO.predict_proba(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    "change",
    [
        {"mean": np.zeros(2)},
        {"mean": np.zeros((3, 1))},
        {"scale": np.ones(4)},
        {"scale": np.ones(3, int)},
        {"coefficients": np.ones((2, 3))},
        {"coefficients": np.ones(3)},
        {"coefficients": "text"},
        {"intercept": np.ones(2)},
        {"intercept": np.float64(1)},
        {"C": 0.0},
        {"C": float("nan")},
        {"samples": 0},
    ],
)
def test_fields_that_do_not_match_are_refused(change: dict[str, Any]) -> None:
    """The constructor raises ValueError."""
    with pytest.raises(ValueError, match="do not match|other than arrays|not above 0"):
        replace(TWO, **change)


def written(path: Path, **members: Any) -> Path:
    np.savez(path, **members)
    return path


def test_other_archives_are_refused(tmp_path: Path) -> None:
    """Missing and additional fields, text and objects are refused, and nothing is unpickled."""

    class Dangerous:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "proof"),)

    good = asdict(TWO)
    content = io.BytesIO()
    np.save(content, np.array([Dangerous()], object), allow_pickle=True)
    files = [
        written(tmp_path / "more.npz", **good, more=np.ones(3)),
        written(tmp_path / "fewer.npz", mean=good["mean"]),
        written(tmp_path / "empty.npz"),
        written(tmp_path / "text.npz", **good | {"mean": np.array(["a", "b", "c"])}),
        written(tmp_path / "several.npz", **good | {"C": np.ones(2)}),
        written(tmp_path / "nan.npz", **good | {"samples": np.array(np.nan)}),
        tmp_path / "objects.npz",
        tmp_path / "compressed.npz",
    ]
    with zipfile.ZipFile(files[-2], "w") as archive:
        archive.writestr("mean.npy", content.getvalue())
    np.savez_compressed(files[-1], **good)
    for file in files:
        with pytest.raises(RunError, match="not a head that can be trusted"):
            make_head("logistic").load(file)
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize("shape", ["(1099511627776,)", "(1099511627776, 1099511627776)", "(-1, 2)", "(3, 0)"])
def test_a_header_of_a_huge_array_allocates_nothing(tmp_path: Path, shape: str) -> None:
    """Only the bytes in the file are read, for any shape in the header: 8 TB would not fit into memory."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(24)
    with zipfile.ZipFile(tmp_path / "head.npz", "w") as archive:
        archive.writestr("mean.npy", array)
    with pytest.raises(RunError, match="cannot reshape|maximum|too big|overflow|too large"):
        make_head("logistic").load(tmp_path / "head.npz")


def test_the_version_of_scikit_learn_in_an_old_head_does_not_matter(tmp_path: Path) -> None:
    """Only the arrays of the file are used, so there is no warning either, for which this test would fail."""
    source, changed = next(VERSION_3.rglob("head.skops")), tmp_path / "head.skops"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            content, found = re.subn(rb'(_sklearn_version"[^}]*?"content": "\\")[^\\]+', rb"\g<1>0.1.0", old.read(name))
            assert found or name != "schema.json"
            new.writestr(name, content)
    assert np.array_equal(load_skops(changed).coefficients, load_skops(source).coefficients)
