"""The contract of scikit-learn: its own checks, its containers, and tables of pandas and polars."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import SkipTestWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data

from featstore import Bottleneck, UsageError
from featstore.datasets.arrays import IMAGES, SINGLE
from helpers.photos import draw, write_photos


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 4)
    return folder


@pytest.fixture(scope="module")
def paths(work: Path) -> list[str]:
    return [str(path) for path in sorted((work / "photos").glob("*/*.png"))]


@pytest.fixture(scope="module")
def images(paths: list[str]) -> NDArray[np.uint8]:
    return np.stack(pictures(paths))


def bottleneck(work: Path, **options: Any) -> Bottleneck:
    """A transformer to maps without a network."""
    return Bottleneck("pixels", size=4, cache=work / "cache", **options)


def tiny(work: Path) -> Bottleneck:
    """A transformer to vectors, by a small network."""
    return Bottleneck("tiny", cache=work / "cache")


class DrawnRows(Bottleneck):
    """Draws each row of a matrix as an image, so that scikit-learn's checks have images to give.

    The matrix is validated here, as for any transformer; all else is up to `Bottleneck`.
    """

    def fit(self, X: Any, y: Any = None) -> Bottleneck:
        return super().fit(self._draw(X, reset=True), y)

    def transform(self, X: Any) -> NDArray[np.float32]:
        return super().transform(self._draw(X, reset=False))

    def _draw(self, X: Any, reset: bool) -> NDArray[np.uint8]:
        X = validate_data(self, X, reset=reset, dtype=np.float64)
        levels = np.ascontiguousarray(X).view(np.uint8).reshape(len(X), -1, 8)
        return np.concatenate([np.full_like(levels[:, :1], 255), levels], axis=1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        return tags


def test_every_check_of_scikit_learn_passes(tmp_path: Path) -> None:
    """On images. None is expected to fail; the checks of array API are skipped unless SCIPY_ARRAY_API is set."""
    results = check_estimator(DrawnRows("pixels", size=4, cache=tmp_path), on_skip=None, expected_failed_checks={})
    assert len(results) > 40
    assert {result["status"] for result in results} <= {"passed", "skipped"}
    assert {result["check_name"] for result in results if result["status"] == "skipped"} <= {"check_array_api_input"}


def test_its_tags_say_what_it_takes(work: Path) -> None:
    """So scikit-learn gives it no matrix of numbers in its checks."""
    tags = get_tags(bottleneck(work))
    taken = tags.input_tags
    assert (taken.string, taken.one_d_array, taken.three_d_array) == (True, True, True)
    assert (taken.two_d_array, taken.sparse, tags.requires_fit) == (False, False, False)
    with pytest.warns(SkipTestWarning, match="string=True"):
        check_estimator(bottleneck(work))


def pictures(paths: list[str]) -> list[Image.Image]:
    return [Image.open(path).copy() for path in paths]


def of_pandas(name: str, work: Path, paths: list[str]) -> Any:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": paths, "price": range(len(paths))}, index=range(7, 7 + len(paths)))
    if name == "images":
        return pandas.Series(pictures(paths), dtype=object)
    return {"frame": frame, "column": frame[["path"]], "series": frame["path"]}[name]


def of_polars(name: str, work: Path, paths: list[str]) -> Any:
    frame = pytest.importorskip("polars").DataFrame({"path": paths, "price": range(len(paths))})
    return {"frame": frame, "column": frame.select("path"), "series": frame["path"]}[name]


CONTAINERS: dict[str, Any] = {
    "list of Pillow": lambda work, paths: pictures(paths),
    "list of arrays": lambda work, paths: [*map(np.asarray, pictures(paths))],
    "array": lambda work, paths: np.stack(pictures(paths)),
    "array / 255": lambda work, paths: np.stack(pictures(paths)) / 255,
    "array of objects": lambda work, paths: np.array([Path(path) for path in paths], object),
    "column of text": lambda work, paths: np.array(paths)[:, None],
    "pandas frame": lambda work, paths: of_pandas("frame", work, paths),
    "pandas column": lambda work, paths: of_pandas("column", work, paths),
    "pandas series": lambda work, paths: of_pandas("series", work, paths),
    "pandas images": lambda work, paths: of_pandas("images", work, paths),
    "polars frame": lambda work, paths: of_polars("frame", work, paths),
    "polars column": lambda work, paths: of_polars("column", work, paths),
    "polars series": lambda work, paths: of_polars("series", work, paths),
    "generator": lambda work, paths: (path for path in paths),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_same_images_have_the_same_features(work: Path, paths: list[str], container: str) -> None:
    """In whatever they come."""
    expected = bottleneck(work).transform(paths)
    assert np.array_equal(bottleneck(work).fit_transform(CONTAINERS[container](work, paths)), expected)


def test_images_are_known_by_their_pixels(work: Path, images: NDArray[np.uint8], tmp_path: Path) -> None:
    """Each is kept once, whichever subset it comes in, so folds share their files and rows."""
    base = Bottleneck("pixels", size=4, cache=tmp_path)
    base.transform(images[:5])
    folder = tmp_path / IMAGES / SINGLE
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert len(before) == 5
    twice = images[[4, 6, 4, 6]]
    assert np.array_equal(base.transform(twice)[:2], base.transform(twice)[2:])
    after = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert before.items() <= after.items()
    assert len(after) == 6


def test_an_interruption_leaves_no_half_of_an_image(
    images: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file has its name when its bytes are on disk."""

    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.sync", stop)
    with pytest.raises(KeyboardInterrupt):
        Bottleneck("pixels", size=4, cache=tmp_path).transform(images[:3])
    assert list((tmp_path / IMAGES / SINGLE).iterdir()) == []


def sparse_matrix() -> Any:
    from scipy import sparse

    return sparse.csr_array(np.eye(3))


WRONG: dict[str, tuple[Any, str]] = {
    "nothing": ([], "there are no paths given"),
    "None": (None, "expected images or their paths, found a NoneType"),
    "a number": (3, "found a int"),
    "a number in an array": (np.array(3), r"found numbers of shape \(\)"),
    "an object in an array": (np.array({}, dtype=object), r"found an array of shape \(\)"),
    "numbers": ([1, 2], "expected paths, found int 1 among them"),
    "a matrix of numbers": (np.eye(3), r"found numbers of shape \(3, 3\)"),
    "one image": (np.zeros((8, 8, 3), np.uint8), r"looks like one image: give a batch of one, X\[None\]"),
    "a stack of stacks": (np.zeros((1, 2, 8, 8, 3)), r"found numbers of shape \(1, 2, 8, 8, 3\)"),
    "channels first": (np.full((2, 3, 8, 8), 200, np.uint8), "has its channels first"),
    "levels of an unknown scale": (np.full((2, 8, 8), -0.5), "may be of several scales"),
    "complex numbers": (np.zeros((2, 8, 8), complex), "complex data not supported"),
    "dates": (np.array(["2020-01-01"], "M8[D]"), r"found an array of datetime64\[D\]"),
    "a sparse matrix": (sparse_matrix(), "found a sparse matrix"),
    "a mapping": ({"path": ["a.png"]}, "found a dict"),
    "paths and images": (["a.png", draw("discs", 0)], "found images and a str among them"),
    "a missing path": (["a.png", None], "expected paths, found NoneType None among them"),
    "two columns": (np.array([["a.png", "cat"]]), r"expected one column of paths, found an array of shape \(1, 2\)"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_neither_a_path_nor_an_image_is_a_value_error(work: Path, wrong: str) -> None:
    """In one line, as scikit-learn expects it; it is one of featstore's errors too."""
    X, message = WRONG[wrong]
    with pytest.raises(UsageError, match=message) as caught:
        bottleneck(work).fit_transform(X)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith(("`X`", "X, image", "X: "))


def test_a_table_without_a_column_of_paths(work: Path) -> None:
    pandas = pytest.importorskip("pandas")
    for columns in (["a", "b"], ["path", "path"], []):
        with pytest.raises(ValueError, match="expected one column, or one that is called 'path', found the columns"):
            bottleneck(work).fit(pandas.DataFrame([["a.png"] * len(columns)], columns=columns))
    with pytest.raises(ValueError, match="expected images or their paths; an array of images is"):
        bottleneck(work).fit(pandas.DataFrame({"price": [1.5]}))


def test_tables_come_out_as_they_are_asked_for(work: Path, paths: list[str]) -> None:
    """With names of columns, and the index of what went in."""
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    expected = tiny(work).transform(paths)
    frame = of_pandas("frame", work, paths)
    made = tiny(work).set_output(transform="pandas").fit_transform(frame)
    assert list(made.columns) == [f"tiny_{i}" for i in range(256)]
    assert list(made.index) == list(frame.index)
    assert np.array_equal(made, expected)
    for X in (paths, frame["path"]):
        made = tiny(work).set_output(transform="polars").fit_transform(X)
        assert isinstance(made, polars.DataFrame)
        assert np.array_equal(made, expected)
    assert isinstance(tiny(work).set_output(transform="pandas").fit_transform(paths), pandas.DataFrame)


def test_a_map_is_no_table(work: Path, paths: list[str]) -> None:
    """What to do is told, not that an array has four dimensions."""
    pytest.importorskip("pandas")
    maps = Bottleneck("pixels", size=4, cache=work / "cache").set_output(transform="pandas")
    with pytest.raises(UsageError, match="a row is a map of 4x4x3, not columns: use pool='avg'"):
        maps.fit_transform(paths)


def test_images_and_other_columns_in_one_model(work: Path, paths: list[str]) -> None:
    """`ColumnTransformer` gives a table of one column, or a Series where the column is named alone."""
    pytest.importorskip("pandas")
    frame = of_pandas("frame", work, paths)
    labels = [Path(path).parent.name for path in paths]
    for chosen in ("path", ["path"]):
        columns = ColumnTransformer([("image", tiny(work), chosen)], remainder="passthrough")
        rows = columns.fit_transform(frame)
        assert list(columns.get_feature_names_out()) == [f"image__tiny_{i}" for i in range(256)] + ["remainder__price"]
        assert np.array_equal(rows[:, :256], tiny(work).transform(paths))
        assert make_pipeline(columns, KNeighborsClassifier(1)).fit(frame, labels).score(frame, labels) == 1


def test_arrays_in_a_search(work: Path, images: NDArray[np.uint8], paths: list[str]) -> None:
    """Folds are parts of the array; copies and pickles are the same transformer."""
    labels = [Path(path).parent.name for path in paths]
    model = make_pipeline(tiny(work), KNeighborsClassifier(1))
    assert len(cross_val_score(model, images, labels, cv=2)) == 2
    search = GridSearchCV(model, {"bottleneck__size": [32, 48]}, cv=2).fit(images, labels)
    again = pickle.loads(pickle.dumps(search))
    assert list(again.predict(images)) == list(search.predict(images))
    assert clone(search.best_estimator_[0]).get_params() == search.best_estimator_[0].get_params()
