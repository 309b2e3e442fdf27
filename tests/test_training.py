"""Training, runs and prediction with the built-in base, through the Python API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import draw, write_photos
from PIL import Image

import featstore
from featstore.errors import DataError, FeatstoreError, RunError, UnreadableImage
from featstore.recipe import Recipe
from featstore.runs import Run, list_runs, load_run
from featstore.training import train


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 40)
    time.sleep(2.1)  # younger files are not remembered
    return folder


@pytest.fixture(scope="module")
def run(workplace: Path) -> Run:
    return train_on(workplace)


def train_on(workplace: Path, head: str = "logistic", **options: Any) -> Run:
    paths = {"cache": workplace / "cache", "runs": workplace / "runs"}
    return featstore.train_head(workplace / "photos", head, model="tiny", **paths, **options)


def test_a_run_tells_stripes_from_discs(run: Run) -> None:
    """With metrics per split, an interval around each accuracy, and no top-5 for two classes."""
    assert run.classes == ("discs", "stripes")
    assert sum(m["n"] for m in run.metrics.values()) == 80
    assert list(run.metrics) == ["train", "val", "test"]
    for metrics in run.metrics.values():
        low, high = metrics["accuracy_ci95"]
        assert low <= metrics["accuracy"] <= high
        assert set(metrics) == {"n", "accuracy", "accuracy_ci95", "log_loss"}
    assert run.metrics["test"]["accuracy"] > 0.8


def test_a_run_folder_has_all_that_it_takes(run: Run) -> None:
    """Head, spec, classes, metrics, versions, seed, and the curve as numbers and as a picture."""
    assert sorted(p.name for p in run.folder.iterdir()) == ["curve.csv", "curve.png", "head.skops", "run.json"]
    content = json.loads((run.folder / "run.json").read_text())
    assert content["versions"]["scikit-learn"]
    assert content["key"] == run.key
    assert (run.folder / "curve.csv").read_text().startswith("C,cv_log_loss,cv_accuracy\n1e-05,")
    with Image.open(run.folder / "curve.png") as curve:
        assert curve.size == (840, 480)
    assert load_run(run.folder) == run
    assert run in list_runs(run.folder.parent)


def test_the_second_run_has_a_folder_of_its_own(workplace: Path, run: Run) -> None:
    """Nothing is overwritten, and the same input gives the same metrics."""
    again = train_on(workplace)
    assert again.folder != run.folder
    assert again.metrics == run.metrics


def test_predictions_keep_the_order_and_list_what_cannot_be_read(workplace: Path, run: Run, tmp_path: Path) -> None:
    """A file given twice has two rows, a broken one a reason."""
    draw("stripes", 500).save(tmp_path / "s.png")
    draw("discs", 500).save(tmp_path / "d.png")
    (tmp_path / "broken.png").write_bytes(b"x")
    names = [tmp_path / n for n in ("s.png", "d.png", "broken.png", "s.png")]
    prediction = featstore.predict(run, names, cache=workplace / "cache")
    assert [Path(i.path).name for i in prediction.images] == ["s.png", "d.png", "s.png"]
    assert [i.label for i in prediction.images] == ["stripes", "discs", "stripes"]
    assert all(sum(i.probabilities) == pytest.approx(1) for i in prediction.images)
    assert [Path(s.path).name for s in prediction.skipped] == ["broken.png"]


def test_other_weights_than_those_of_the_run_are_refused(workplace: Path, run: Run) -> None:
    """Before anything is computed."""
    with pytest.raises(RunError, match="weights differs"):
        featstore.predict(run, [workplace / "photos"], weights="random", cache=workplace / "cache")


def test_a_head_that_was_exchanged_is_not_loaded(run: Run, tmp_path: Path) -> None:
    """Its digest is compared first; a missing one is named."""
    copy = replace(run, folder=tmp_path)
    with pytest.raises(RunError, match="cannot be opened"):
        copy.load_head()
    (tmp_path / "head.skops").write_bytes((run.folder / "head.skops").read_bytes() + b"x")
    with pytest.raises(RunError, match="SHA-256"):
        copy.load_head()


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: "",
        lambda c: "[]",
        lambda c: json.dumps(c | {"format_version": 3}),
        lambda c: json.dumps(c | {"head_file": "../../etc/passwd"}),
        lambda c: json.dumps(c | {"key": "x"}),
        lambda c: json.dumps({k: v for k, v in c.items() if k != "classes"}),
        lambda c: json.dumps(c | {"recipes": [{"model": 5, "evil": 1}]}),
    ],
)
def test_a_run_that_is_damaged_or_newer_is_refused(run: Run, tmp_path: Path, damage: Any) -> None:
    """With one line that says where."""
    content = json.loads((run.folder / "run.json").read_text())
    (tmp_path / "run.json").write_text(damage(content))
    with pytest.raises(RunError, match="run.json"):
        load_run(tmp_path)


def test_a_leak_between_splits_is_noted(tmp_path: Path) -> None:
    """The same bytes in train and test make the accuracy too high, and the user is told."""
    for split in ("train", "test"):
        write_photos(tmp_path / "data" / split, 6)
    trained = train(tmp_path / "data", Recipe(model="tiny"), cache=tmp_path / "cache", runs=tmp_path / "runs")
    assert "held-out images are byte for byte" in trained.notes[0]


def test_a_class_without_a_readable_image_is_an_error(tmp_path: Path) -> None:
    """It is named."""
    data = write_photos(tmp_path / "data", 4)
    (data / "empty").mkdir()
    (data / "empty" / "x.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"no image of class 'empty' could be read \(.*x\.png: "):
        train(data, Recipe(model="tiny"), cache=tmp_path / "cache", runs=tmp_path / "runs")


def test_kept_maps_serve_both_poolings(workplace: Path, tmp_path: Path) -> None:
    """After an extraction of maps, averages and maxima are pooled from disk and equal those of the base."""
    data, cache = workplace / "photos", tmp_path / "cache"
    featstore.extract(data, model="tiny", pool="none", cache=cache)
    for pool in ("avg", "max"):
        served = featstore.extract(data, model="tiny", pool=pool, cache=cache)
        direct = featstore.extract(data, model="tiny", pool=pool, cache=tmp_path / pool)
        assert (served.features[0].computed, direct.features[0].computed) == (0, 80)
        rows = [
            featstore.load_features(e.manifest, e.features[0].spec, cache=c).X
            for e, c in ((served, cache), (direct, tmp_path / pool))
        ]
        assert np.linalg.norm(rows[0] - rows[1]) / np.linalg.norm(rows[1]) < 1e-3


def test_two_names_of_one_map_are_computed_once(workplace: Path, tmp_path: Path) -> None:
    """`keras` and `tf` are the same for tiny, `raw` is another."""
    extraction = featstore.extract(
        workplace / "photos", model="tiny", preprocess=["keras", "tf", "raw"], cache=tmp_path / "cache"
    )
    keys = [f.spec.key for f in extraction.features]
    assert keys[0] == keys[1] != keys[2]
    assert len(list((tmp_path / "cache" / "tiny").iterdir())) == 2


def test_small_greyscale_digits_run_through_vgg16(tmp_path: Path) -> None:
    """28x28 greyscale PNG at 48 px, with random weights."""
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (28, 28), dtype=np.uint8)).save(tmp_path / "data" / f"{number}.png")
    extraction = featstore.extract(
        tmp_path / "data", model="VGG16", weights="random", size="48", pool="none", cache=tmp_path / "cache"
    )
    assert extraction.features[0].shape == (1, 1, 512)


def test_a_bottleneck_stands_in_a_grid_search(workplace: Path) -> None:
    """Paths in, a search over preprocessing, and features from the same cache."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    paths = [p.path for p in featstore.scan(workplace / "photos").pictures]
    labels = [Path(p).parent.name for p in paths]
    pipeline = make_pipeline(featstore.Bottleneck(model="tiny", cache=workplace / "cache"), LogisticRegression())
    search = GridSearchCV(pipeline, {"bottleneck__preprocess": ["keras", "rescale"]}, cv=2)
    search.fit(paths, labels)
    assert search.best_score_ > 0.7
    assert search.best_estimator_[0].transform(paths[:3]).shape == (3, 256)


def test_a_bottleneck_cannot_drop_rows(workplace: Path, tmp_path: Path) -> None:
    """So a file that cannot be read is an error with its path."""
    (tmp_path / "x.png").write_bytes(b"x")
    transformer = featstore.Bottleneck(cache=workplace / "cache")
    with pytest.raises(FeatstoreError, match=r"x\.png"):
        transformer.transform([tmp_path / "x.png"])
    with pytest.raises(UnreadableImage):
        transformer.transform([str(next((workplace / "photos" / "discs").iterdir())), tmp_path / "x.png"])


def test_a_run_with_nothing_to_do_loads_no_network(workplace: Path, run: Run) -> None:
    """Neither TensorFlow nor numpy nor h5py; training the logistic head from the cache loads no TensorFlow either."""
    code = f"""
import sys, featstore
options = dict(model="tiny", cache={str(workplace / "cache")!r})
assert featstore.extract({str(workplace / "photos")!r}, **options).features[0].computed == 0
assert not {{"tensorflow", "keras", "numpy", "h5py", "PIL", "sklearn"}} & set(sys.modules)
featstore.train_head({str(workplace / "photos")!r}, runs={str(workplace / "runs")!r}, **options)
assert not {{"tensorflow", "keras"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONWARNINGS": "error"})


def test_the_front_door_is_complete() -> None:
    """Every exported name can be had, and no module bears the name of an exported function."""
    for name in featstore.__all__:
        assert getattr(featstore, name).__name__ == name
    assert set(featstore.__all__) == set(featstore._HOMES)
    with pytest.raises(AttributeError):
        featstore.nonsense  # noqa: B018


@pytest.mark.parametrize("name", featstore.__all__)
def test_light_names_load_no_tensorflow(name: str) -> None:
    """Naming anything of the front door is cheap."""
    code = f"import sys, featstore; featstore.{name}; assert not {{'tensorflow', 'keras'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
