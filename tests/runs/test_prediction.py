"""Prediction: with the base and weights of the run, or an error."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from featstore import predict
from featstore.bases.build import load_base
from featstore.bases.source import parse_source
from featstore.errors import BaseUnavailable, DataError, FeatstoreError, RunError
from featstore.extraction.cache import Cache
from featstore.extraction.pipeline import extract_features
from featstore.extraction.recipe import Recipe
from featstore.features.views import load_in_blocks
from featstore.images.preprocessing import Preprocessing
from featstore.runs.files import load_run
from featstore.runs.run import Run
from featstore.training.job import train
from helpers.light import forbid_tensorflow
from helpers.photos import draw, write_photos


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def run(workplace: Path) -> Run:
    return train_on(workplace, model="tiny")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    draw("discs", 99).save(tmp_path / "new.png")
    return tmp_path / "new.png"


def train_on(folder: Path, **options: Any) -> Run:
    data = write_photos(folder / "photos", 8)
    return train(data, Recipe(**options), cache=folder / "cache", runs=folder / "runs").run


def save_weights(path: Path, seed: int) -> Path:
    load_base(parse_source("tiny", "random", None, seed), 32, 32).save_weights(path)
    return path


def test_weights_are_found_from_any_folder_and_may_be_moved(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path works from any folder; if the file was moved, its new path gives the same predictions."""
    monkeypatch.chdir(tmp_path)
    old = save_weights(tmp_path / "old.weights.h5", 1)
    run = train_on(tmp_path, model="tiny", weights="old.weights.h5")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    before = predict(load_run(run.folder), [image], cache=tmp_path / "one").images
    assert len(before) == 1
    (tmp_path / "hidden").mkdir()
    new = old.rename(tmp_path / "hidden" / "new.weights.h5")
    with pytest.raises(
        BaseUnavailable, match=r"run are expected at .*old\.weights\.h5, .* give their place with `weights`"
    ):
        predict(run, [image], cache=tmp_path / "other")
    assert predict(run, [image], weights=str(new), cache=tmp_path / "other").images == before


def test_other_weights_are_refused_before_anything_is_computed(run: Run, tmp_path: Path, image: Path) -> None:
    """Predictions from features of another network would be wrong, and look confident."""
    with pytest.raises(RunError, match=r"\(weights differs\); name the weights that it was trained with"):
        predict(run, [image], weights=str(save_weights(tmp_path / "2.weights.h5", 2)), cache=tmp_path / "other")
    assert not list((tmp_path / "other").glob("*/*/*.h5"))


def test_a_run_whose_features_were_written_otherwise_is_used(tmp_path: Path, image: Path) -> None:
    """Earlier releases kept the name of the last layer, and the numbers of a map as they were given."""
    run = train_on(tmp_path, model="tiny", layer="widen_relu", preprocess="scale=1/255,mean=0.5,std=0.5")
    given = Preprocessing("rgb", 1 / 255, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    older = replace(run, specs=(replace(run.specs[0], layer="widen_relu", preprocessing=given),))
    assert older.specs[0].key != run.specs[0].key
    assert predict(older, [image], cache=tmp_path).images == predict(run, [image], cache=tmp_path).images
    other = replace(run, specs=(replace(run.specs[0], layer="widen_bn"),))
    with pytest.raises(RunError, match=r"\(layer differs\)"):
        predict(other, [image], cache=tmp_path)


def test_a_base_of_the_user_may_be_moved(tmp_path: Path, image: Path) -> None:
    """A `.keras` file holds base and weights, so `weights` gives its new path."""
    inputs = keras.Input((16, 16, 3))
    keras.Model(inputs, keras.layers.Conv2D(8, 3, strides=2)(inputs)).save(tmp_path / "old.keras")
    run = train_on(tmp_path, model=str(tmp_path / "old.keras"), preprocess="rescale")
    before = predict(run, [image], cache=tmp_path / "one").images
    (tmp_path / "hidden").mkdir()
    new = (tmp_path / "old.keras").rename(tmp_path / "hidden" / "new.keras")
    with pytest.raises(BaseUnavailable, match=r"run are expected at .*old\.keras, .* give their place with `weights`"):
        predict(run, [image], cache=tmp_path / "other")
    assert predict(run, [image], weights=str(new), cache=tmp_path / "other").images == before
    new.rename(run.folder / "renamed.keras")  # next to the run it is found by its digest
    assert predict(run, [image], cache=tmp_path / "third").images == before


def test_predictions_keep_the_order_and_list_what_cannot_be_read(workplace: Path, run: Run, tmp_path: Path) -> None:
    """A file given twice has two rows, and a broken file has a reason."""
    draw("stripes", 500).save(tmp_path / "s.png")
    draw("discs", 500).save(tmp_path / "d.png")
    (tmp_path / "broken.png").write_bytes(b"x")
    names = [tmp_path / n for n in ("s.png", "d.png", "broken.png", "s.png")]
    prediction = predict(run, names, cache=workplace / "cache")
    assert [Path(i.path).name for i in prediction.images] == ["s.png", "d.png", "s.png"]
    assert prediction.images[0].probabilities == pytest.approx(prediction.images[2].probabilities, rel=1e-5)
    assert prediction.images[0].probabilities != pytest.approx(prediction.images[1].probabilities, rel=1e-5)
    assert [Path(s.path).name for s in prediction.skipped] == ["broken.png"]


def test_predictions_are_the_probabilities_of_the_head(workplace: Path, run: Run) -> None:
    """The label is the class of the largest probability, and the probabilities add up to one."""
    prediction = predict(run, [workplace / "photos"], cache=workplace / "cache")
    assert len(prediction.images) == 16
    for image in prediction.images:
        assert sum(image.probabilities) == pytest.approx(1)
        assert image.probability == max(image.probabilities)
        assert run.classes[image.probabilities.index(image.probability)] == image.label
    labels = [Path(image.path).parent.name == image.label for image in prediction.images]
    assert sum(labels) >= 12


def test_predictions_in_blocks_equal_those_in_one_call(workplace: Path, run: Run) -> None:
    """The number of images in memory does not matter."""
    expected = predict(run, [workplace / "photos"], cache=workplace / "cache").images
    found = extract_features(workplace / "photos", run.recipes, workplace / "cache")
    pictures = found.manifest.pictures
    for images in (1, 5, 16):
        blocks = list(load_in_blocks(pictures, found.plans, Cache(workplace / "cache"), images * 4 * 256))
        assert len(blocks) == -(-16 // images)
        assert run.predict_blocks(blocks) == pytest.approx(np.array([image.probabilities for image in expected]))


def test_images_that_were_seen_before_need_no_network(
    workplace: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A copy of a known image is predicted from the cache."""
    shutil.copy(next((workplace / "photos" / "discs").iterdir()), tmp_path / "copy.png")
    forbid_tensorflow(monkeypatch)
    assert len(predict(run, [tmp_path / "copy.png"], cache=workplace / "cache").images) == 1


@pytest.mark.parametrize("names", [[], ["nowhere.png"], ["empty"]])
def test_nothing_to_predict_is_an_error(workplace: Path, run: Run, tmp_path: Path, names: list[str]) -> None:
    """No paths, a missing file and an empty folder are errors."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        predict(run, [tmp_path / name for name in names], cache=workplace / "cache")


def test_a_cache_that_belongs_to_something_else_is_refused(workplace: Path, run: Run, tmp_path: Path) -> None:
    """A store that is not the run's own is neither read nor written."""
    folder = tmp_path / "cache" / run.specs[0].folder
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text("{}")
    with pytest.raises(FeatstoreError, match=r"spec\.json"):
        predict(run, [workplace / "photos"], cache=tmp_path / "cache")
    assert [path.name for path in folder.iterdir()] == ["spec.json"]
