"""Heads on several views, on augmented images and on several bases, with the built-in base."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featstore
from featstore.comparison.job import measure_grid
from featstore.errors import DataError, UsageError
from featstore.extraction.cache import Cache
from featstore.extraction.pipeline import extract_features
from featstore.extraction.recipe import Recipe
from featstore.features.load import load_features
from featstore.features.views import load_views
from featstore.heads.registry import make_head
from featstore.runs.files import load_run
from featstore.training.fit import Prepared, fit_head, prepare
from featstore.training.head_recipe import HeadRecipe
from featstore.training.job import train
from helpers.photos import write_photos


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 16)
    time.sleep(2.1)  # younger files are not remembered
    return folder


def prepared(work: Path, *recipes: Recipe, **options: Any) -> Prepared:
    return prepare(work / "photos", recipes, cache=work / "cache", **options)


class Watcher:
    """A head that records its input and predicts from the first two features."""

    def name_classes(self, names: tuple[str, ...]) -> None: ...

    def fit(self, X: np.ndarray, y: np.ndarray, validation: Any, seed: int, on_step: Any, groups: Any) -> None:
        self.X, self.y, self.validation, self.groups = X, y, validation, groups

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        odds = np.asarray(X, np.float64)[:, :2] + 1e-3
        return odds / odds.sum(axis=1, keepdims=True)


def fit(work: Path, recipe: Recipe, **how: Any) -> tuple[Watcher, Any, Prepared]:
    found = prepared(work, recipe)
    head: Any = Watcher()
    return head, fit_head(found, found.plans, HeadRecipe(**how), head), found


def test_ten_views_serve_all_others(work: Path) -> None:
    """One extraction serves all views, including the plain one; its rows equal those of single crops."""
    ten = extract_features(work / "photos", [Recipe(model="tiny", views="ten")], work / "cache").features[0]
    assert (ten.images, ten.rows, ten.computed) == (32, 320, 320)
    for views in ("flip", "five", "ten"):
        again = extract_features(work / "photos", [Recipe(model="tiny", views=views)], work / "cache")
        assert again.features[0].computed == 0
        assert again.features[0].spec == ten.spec
    centre = extract_features(work / "photos", [Recipe(model="tiny", resize="37")], work / "cache")
    assert centre.features[0].computed == 0
    rows = load_features(centre.manifest, ten.spec, cache=work / "cache").X
    views = load_views(centre.manifest.pictures, again.plans, Cache(work / "cache"))
    assert np.array_equal(rows, views[:, 4])


def test_one_spec_under_several_views_is_computed_once(work: Path, tmp_path: Path) -> None:
    """One call computes the union of the views."""
    recipes = [Recipe(model="tiny", views=views) for views in ("flip", "five")]
    found = extract_features(work / "photos", recipes, tmp_path)
    assert [f.computed for f in found.features] == [32 * 6, 0]


def test_heads_train_on_the_plain_view(work: Path) -> None:
    """A training image has one row, its centre crop; validation uses that view too; predictions use all views."""
    head, fitted, found = fit(work, Recipe(model="tiny", views="ten"))
    train_split = found.manifest.of_split("train")
    assert np.array_equal(head.X, load_views(train_split, found.plans, found.cache)[:, 4])
    assert head.groups is None
    assert head.validation[0].shape == (len(found.manifest.of_split("val")), 256)
    test = load_views(found.manifest.of_split("test"), found.plans, found.cache)
    by_hand = np.stack([head.predict_proba(test[:, view]) for view in range(10)]).mean(axis=0)
    assert fitted.probabilities["test"] == pytest.approx(by_hand)


def test_heads_train_on_all_views_when_asked(work: Path) -> None:
    """Each view is a row with the label of its image, and the image is its group."""
    head, _, found = fit(work, Recipe(model="tiny", views="flip"), train_on="all")
    images = found.manifest.of_split("train")
    assert len(head.X) == 2 * len(images)
    views = load_views(images, found.plans, found.cache)
    for number, picture in enumerate(images):
        rows = np.flatnonzero(head.groups == f"digest:{picture.digest}")
        assert {found.manifest.classes[number] for number in head.y[rows]} == {picture.label}
        assert sorted(map(bytes, head.X[rows])) == sorted(map(bytes, views[number]))


def test_augmented_versions_are_for_training_only(work: Path) -> None:
    """Training uses them and the plain view; validation and test images have no augmented rows."""
    recipe = Recipe(model="tiny", views="augment:3", augment="rotation=20")
    head, fitted, found = fit(work, recipe)
    images = found.manifest.of_split("train")
    plain = prepared(work, Recipe(model="tiny"))
    assert len(head.X) == 4 * len(images)
    assert np.array_equal(head.X[: len(images)], load_views(images, plain.plans, plain.cache)[:, 0])
    assert len(np.unique(head.groups)) == len(images)
    test = load_views(found.manifest.of_split("test"), plain.plans, plain.cache)
    assert fitted.probabilities["test"] == pytest.approx(head.predict_proba(test[:, 0]))
    assert [f.images for f in found.features] == [32, len(images)]
    assert len(found.cache.store(found.plans[0].augmented.spec)) == 3 * len(images)


def test_several_sizes_are_averaged(work: Path) -> None:
    """Predictions average over the sizes, as in the ResNet paper; training uses the first size."""
    head, fitted, found = fit(work, Recipe(model="tiny", scales="48,64"))
    test = load_views(found.manifest.of_split("test"), found.plans, found.cache)
    assert test.shape[1:] == (3, 256)
    by_hand = np.stack([head.predict_proba(test[:, view]) for view in range(3)]).mean(axis=0)
    assert fitted.probabilities["test"] == pytest.approx(by_hand)
    single = prepared(work, Recipe(model="tiny"))
    images = single.manifest.of_split("train")
    assert np.array_equal(head.X, load_views(images, single.plans, single.cache)[:, 0])


def test_bases_stand_side_by_side(work: Path) -> None:
    """The features are joined in the order given, and the run predicts from all of them."""
    recipes = [Recipe(model="tiny"), Recipe(model="tiny", preprocess="raw")]
    trained = train(work / "photos", recipes, cache=work / "cache", runs=work / "runs")
    run = load_run(trained.run.folder)
    assert len(run.specs) == len(run.recipes) == 2
    assert run.folder.name == "photos-tiny-tf-32+tiny-raw-32-logistic"
    found = prepared(work, *recipes)
    test = found.manifest.of_split("test")
    X = load_views(test, found.plans, found.cache)
    one = load_features(found.manifest, run.specs[0], split="test", cache=work / "cache").X
    other = load_features(found.manifest, run.specs[1], split="test", cache=work / "cache").X
    assert np.array_equal(X[:, 0], np.hstack([one, other]))
    prediction = featstore.predict(run, [p.path for p in test], cache=work / "cache")
    assert [i.probabilities for i in prediction.images] == [tuple(p) for p in run.predict_views(X).tolist()]


def test_a_run_predicts_as_it_was_measured(work: Path) -> None:
    """Predictions average ten views in the same way, so they give the test accuracy of the run."""
    recipe = Recipe(model="tiny", views="ten")
    trained = train(work / "photos", recipe, HeadRecipe(average="logits"), cache=work / "cache", runs=work / "runs")
    run = load_run(trained.run.folder)
    assert (run.average, run.train_on, run.recipes[0].views) == ("logits", "plain", "ten")
    test = trained.manifest.of_split("test")
    prediction = featstore.predict(run, [p.path for p in test], cache=work / "cache")
    right = np.mean([i.label == p.label for i, p in zip(prediction.images, test, strict=True)])
    assert right == run.metrics["test"].accuracy


def test_an_augmented_run_predicts_from_the_plain_view(work: Path) -> None:
    """New images are never augmented."""
    trained = train(work / "photos", Recipe(model="tiny", views="augment:2"), cache=work / "cache", runs=work / "runs")
    assert trained.run.train_on == "all"
    images = [p.path for p in trained.manifest.of_split("test")]
    prediction = featstore.predict(load_run(trained.run.folder), images, cache=work / "cache")
    X = load_features(trained.manifest, trained.run.specs[0], split="test", cache=work / "cache").X
    assert [i.probabilities for i in prediction.images] == [tuple(p) for p in trained.run.predict_proba(X).tolist()]


@pytest.mark.parametrize(
    ("recipe", "how", "message"),
    [
        ({}, {"train_on": "all"}, "has one view only"),
        ({}, {"average": "logits"}, "has one view only"),
        ({"views": "flip"}, {"train_on": "some"}, "use one of plain, all"),
        ({"views": "flip"}, {"average": "votes"}, "use one of probabilities, logits, features"),
    ],
)
def test_options_without_effect_are_refused(
    work: Path, tmp_path: Path, recipe: dict[str, Any], how: dict[str, Any], message: str
) -> None:
    """No option is ignored, and the error comes before anything is extracted."""
    with pytest.raises(UsageError, match=message):
        train(work / "photos", Recipe(model="tiny", **recipe), HeadRecipe(**how), cache=tmp_path / "cache")
    with pytest.raises(UsageError, match=message):
        measure_grid(
            work / "photos", [Recipe(model="tiny", **recipe)], head=HeadRecipe(**how), cache=tmp_path / "cache"
        )
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("splits", "options", "message"),
    [
        (("train", "val", "test"), {"val_fraction": 0.5}, "val_fraction=0.5: has no effect, since .* has a validation"),
        (("train", "val"), {"val_fraction": 0.5}, "val_fraction=0.5: has no effect"),
        (("train", "test"), {"test_fraction": 0.3}, "test_fraction=0.3: has no effect, since .* has splits of its own"),
        ((None,), {"test_fraction": 0.3, "in_folds": True}, "test_fraction=0.3: has no effect, since each fold is"),
        (("train", "test"), {"val_fraction": 0.5}, None),
        (("train", "val"), {"val_fraction": 0.5, "val_as_test": True}, None),
        ((None,), {"val_fraction": 0.3, "test_fraction": 0.3}, None),
        ((None,), {"val_fraction": 0.3, "in_folds": True}, None),
        (("train", "val", "test"), {"val_fraction": 0.3, "folds_too": True}, None),  # it is that of the folds
        (("train", "val", "test"), {"val_fraction": 0.2, "test_fraction": 0.2}, None),
    ],
)
def test_a_share_that_nothing_is_taken_by_is_refused(
    splits: tuple[str | None, ...], options: dict[str, Any], message: str | None, tmp_path: Path
) -> None:
    """Where the data have splits of their own; the default is no wish."""
    write_photos(tmp_path / "photos", 4)
    found = featstore.scan(tmp_path / "photos")
    marked = found.with_pictures([p._replace(split=splits[n % len(splits)]) for n, p in enumerate(found.pictures)])
    checked = nullcontext() if message is None else pytest.raises(UsageError, match=message)
    with checked:
        prepare(marked, [Recipe(model="pixels", size=8)], cache=tmp_path / "cache", **options)
    assert (tmp_path / "cache").exists() == (message is None)


def test_a_head_with_a_base_of_its_own_is_given_no_other(work: Path, tmp_path: Path) -> None:
    """The error comes before features of another base are extracted."""
    for recipes in ([Recipe(model="tiny")], [Recipe(model="pixels"), Recipe(model="tiny")]):
        with pytest.raises(UsageError, match="head scratch-cnn: is for the base pixels only; use model='pixels'"):
            train(work / "photos", recipes, HeadRecipe(head="scratch-cnn"), cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_what_cannot_be_trained_on_is_refused_before_anything_is_extracted(tmp_path: Path) -> None:
    """Labels, classes and fractions are checked without features."""
    (tmp_path / "data" / "only").mkdir(parents=True)
    write_photos(tmp_path / "two", 3)
    for path in (tmp_path / "two" / "discs").iterdir():
        path.rename(tmp_path / "data" / "only" / path.name)
    for data, options, error in (
        (tmp_path / "data", {}, DataError),
        (tmp_path / "data" / "only", {}, DataError),
        (tmp_path / "two", {"val_fraction": 1.5}, UsageError),
    ):
        with pytest.raises(error):
            prepare(data, [Recipe(model="tiny")], cache=tmp_path / "cache", **options)
    assert not (tmp_path / "cache").exists()


def test_every_head_accepts_groups() -> None:
    """Groups keep the views of an image together in a head's own cross-validation."""
    X, y = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32), np.array(list("ab") * 6)
    for name in ("logistic", "bn-dropout"):
        head = make_head(name, {"epochs": 1} if name == "bn-dropout" else {})
        head.fit(X, y, None, 0, None, np.array([f"{n // 2}" for n in range(12)]))
        assert head.predict_proba(X).shape == (12, 2)
