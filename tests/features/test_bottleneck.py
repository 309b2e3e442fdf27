"""The scikit-learn transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from featstore import Bottleneck, Recipe
from featstore.errors import FeatstoreError, UnreadableImage, UsageError
from featstore.system.progress import Silent
from helpers.light import forbid_tensorflow
from helpers.photos import write_photos


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    write_photos(tmp_path_factory.getbasetemp() / "bottleneck" / "photos", 10)
    return tmp_path_factory.getbasetemp() / "bottleneck"


@pytest.fixture(scope="module")
def paths(work: Path) -> list[str]:
    return [str(path) for path in sorted((work / "photos").glob("*/*.png"))]


def bottleneck(work: Path, **options: Any) -> Bottleneck:
    return Bottleneck("tiny", cache=work / "cache", **options)


def test_its_parameters_are_those_of_a_recipe() -> None:
    """The defaults are the same. `fit` is a method here, nothing is augmented, and bases have no top."""
    parameters = Bottleneck().get_params()
    assert (parameters.pop("cache"), parameters.pop("progress")) == (None, False)
    parameters["fit"] = parameters.pop("fit_mode")
    expected = Recipe(model="tiny").describe()
    assert (expected.pop("augment"), expected.pop("top")) == (None, False)
    assert parameters == expected


def test_a_clone_is_the_same_transformer(work: Path, paths: list[str]) -> None:
    """scikit-learn copies transformers by their parameters."""
    original = bottleneck(work, preprocess="raw", size=48, pool="max")
    copy = clone(original)
    assert copy.get_params() == original.get_params()
    assert np.array_equal(copy.transform(paths[:2]), original.transform(paths[:2]))


def test_rows_are_in_the_order_of_the_paths(work: Path, paths: list[str]) -> None:
    """A path may be repeated, be a Path, or be in an array."""
    rows = bottleneck(work).fit_transform(paths)
    assert rows.shape == (20, 256)
    assert rows.dtype == np.float32
    order = [5, 0, 5, 19]
    assert np.array_equal(bottleneck(work).transform([Path(paths[i]) for i in order]), rows[order])
    assert np.array_equal(bottleneck(work).transform(np.array(paths)[order]), rows[order])


def test_a_map_may_be_kept(work: Path, paths: list[str]) -> None:
    """With pool="none" a row is a map."""
    assert bottleneck(work, pool="none").transform(paths[:3]).shape == (3, 8, 8, 256)


def test_a_search_runs_the_base_once_per_variant(work: Path, paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds and candidates share the cache: after one search, a second one runs no network."""
    pipeline = Pipeline([("base", bottleneck(work)), ("head", KNeighborsClassifier())])
    grid = {"base__preprocess": ["keras", "raw"], "head__n_neighbors": [1, 3]}
    labels = [Path(path).parent.name for path in paths]
    search = GridSearchCV(pipeline, grid, cv=2).fit(paths, labels)
    assert search.best_score_ > 0.5
    assert list(search.predict(paths)) == list(search.best_estimator_.predict(paths))
    forbid_tensorflow(monkeypatch)
    assert GridSearchCV(pipeline, grid, cv=2).fit(paths, labels).best_params_ == search.best_params_


def test_a_file_that_cannot_be_read_is_an_error(work: Path, paths: list[str], tmp_path: Path) -> None:
    """A transformer cannot drop rows; the message has the path, the reason, and what to do."""
    (tmp_path / "broken.png").write_bytes(b"x")
    with pytest.raises(UnreadableImage, match=r"broken\.png: is not a readable JPEG.*leave it out"):
        bottleneck(work).transform([paths[0], tmp_path / "broken.png"])
    with pytest.raises(FeatstoreError, match=r"broken\.png"):
        bottleneck(work).transform([tmp_path / "broken.png"])


@pytest.mark.parametrize("many", [0, 1])
def test_a_folder_is_no_image(work: Path, paths: list[str], many: int) -> None:
    """Its files would be rows that no path stands for."""
    folder = work / ("photos" if many else "empty")
    folder.mkdir(exist_ok=True)
    with pytest.raises(UnreadableImage, match=f"{folder.name}: is a folder"):
        bottleneck(work).transform([paths[0], folder])


def test_no_paths_are_an_error(work: Path) -> None:
    """The shape of the features would be unknown."""
    with pytest.raises(ValueError, match="no paths given"):
        bottleneck(work).transform([])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "ResNet5O"}, "unknown base"),
        ({"size": 5000}, "size '5000'"),
        ({"size": (64, 64, 3)}, "size '64x64x3'"),
        ({"preprocess": "kears"}, "kears"),
        ({"layer": "block9"}, "no layer 'block9' in tiny"),
        ({"pool": "median"}, "pool='median': is not known"),
        ({"fit_mode": "tile"}, "fit='tile': is not known"),
        ({"views": "augment:2"}, "does not know which images are for training"),
        ({"cache": 5}, "`cache`: expected one path, found int 5"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_by_fit(work: Path, wrong: dict[str, Any], message: str) -> None:
    """The error comes before any image is read."""
    with pytest.raises(UsageError, match=message):
        Bottleneck(**{"model": "tiny", "cache": work / "cache"} | wrong).fit(["a.png"])


def test_fit_reads_no_image_but_looks_at_what_it_is_given(work: Path) -> None:
    """A table of two columns would be a list of their names."""
    assert bottleneck(work).fit(["nowhere.png"])
    with pytest.raises(UsageError, match=r"`X`: expected one column of paths, found an array of shape \(1, 2\)"):
        bottleneck(work).fit(np.array([["a.png", "cat"]]))


def test_paths_may_be_a_column_or_a_generator(work: Path, paths: list[str]) -> None:
    """As a DataFrame of one column gives them, and as `glob` does."""
    rows = bottleneck(work).transform(paths[:3])
    assert np.array_equal(bottleneck(work).fit_transform(np.array(paths[:3], dtype=object)[:, None]), rows)
    assert np.array_equal(bottleneck(work).fit_transform(path for path in paths[:3]), rows)
    assert np.array_equal(bottleneck(work).transform(paths[0]), rows[:1])


def test_columns_have_names(work: Path, paths: list[str], tmp_path: Path) -> None:
    """What `set_output(transform="pandas")` asks for; the width is known once there are features."""
    base = bottleneck(work).set_output(transform="default")
    base.transform(paths[:1])
    names = base.get_feature_names_out()
    assert (len(names), names[0], names[-1]) == (256, "tiny_0", "tiny_255")
    with pytest.raises(UsageError, match="call `transform` first"):
        Bottleneck("tiny", cache=tmp_path).get_feature_names_out()
    bottleneck(work, pool="none").transform(paths[:1])
    with pytest.raises(UsageError, match="a row is a map of 8x8x256"):
        bottleneck(work, pool="none").get_feature_names_out()


def test_it_shows_its_progress_if_asked(work: Path, paths: list[str], tmp_path: Path) -> None:
    """An hour without a word is too long."""
    told: list[int] = []

    class Told(Silent):
        def start(self, total: int, reused: int) -> None:
            told.append(total)

    Bottleneck("pixels", size=8, cache=tmp_path, progress=Told()).transform(paths[:3])
    assert told == [3]
