"""Real photos and weights: hostile files, data sets in their layouts, and bases as they were published."""

from __future__ import annotations

import csv
import json
import resource
import shutil
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from featstore import evaluate, extract, fine_tune, train_head
from featstore.datasets.sources import scan
from featstore.features.load import load_features
from helpers.cli import call
from helpers.photos import write_photos

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def nasty(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hostile files in one folder with good ones."""
    folder = tmp_path_factory.mktemp("nasty") / "mixed"
    shutil.copytree(real_data / "images" / "nasty", folder)
    for path in write_photos(folder.parent / "photos", 10).glob("*/*.png"):
        shutil.copy(path, folder / f"good-{path.parent.name}-{path.name}")
    return folder


def expected(real_data: Path) -> dict[str, str]:
    """What the manifest of the collection says that a reader should do, by file."""
    with (real_data / "images" / "nasty" / "MANIFEST.csv").open(newline="") as file:
        return {row["file"]: row["expect"] for row in csv.DictReader(file)}


def test_each_file_is_a_row_or_listed_as_its_manifest_says(nasty: Path, real_data: Path, tmp_path: Path) -> None:
    """What decodes has features, what does not is listed with a reason, and the good ones are not harmed."""
    extraction = extract(nasty, model="tiny", cache=tmp_path)
    rows = {Path(picture.path).name for picture in extraction.manifest.pictures}
    reasons = {Path(item.path).name: item.reason for item in extraction.manifest.skipped}
    assert rows.isdisjoint(reasons)
    assert rows | set(reasons) == {path.name for path in nasty.iterdir()} - {"MANIFEST.csv"}  # no image by its name
    assert len([name for name in rows if name.startswith("good-")]) == 20
    assert all(reasons.values())
    refused = ("raises", "open raises", "opens, pixel decode raises", "huge declared size; must be refused cheaply")
    for name, expect in expected(real_data).items():
        if expect in refused:
            assert name in reasons, (name, expect)
        elif expect != "decode or refuse":
            assert name in rows, (name, expect, reasons.get(name))
    features = load_features(extraction.manifest, extraction.features[0].spec, cache=tmp_path)
    assert np.isfinite(features.X).all()


def test_hostile_files_cost_neither_memory_nor_time(real_data: Path, tmp_path: Path) -> None:
    """Files of a few bytes that declare gigapixels are refused by their headers."""
    folder = tmp_path / "bombs"
    folder.mkdir()
    for path in (real_data / "images" / "nasty").glob("bomb*"):
        shutil.copy(path, folder)
    write_photos(tmp_path / "photos", 1)
    shutil.copy(tmp_path / "photos" / "discs" / "000.png", folder / "good.png")
    extract(tmp_path / "photos", model="tiny", cache=tmp_path / "cache")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    extraction = extract(folder, model="tiny", cache=tmp_path / "cache")
    assert [Path(picture.path).name for picture in extraction.manifest.pictures] == ["good.png"]
    assert len(extraction.manifest.skipped) >= 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB, the most that was ever used
    assert time.perf_counter() - start < 20


def test_a_copy_in_another_place_has_the_same_splits(real_data: Path, tmp_path: Path) -> None:
    """Flowers with their folders moved are divided into the same images."""
    from featstore.datasets.splits import complete_splits

    source = real_data / "images" / "flowers5" / "train"
    for kind in sorted(source.iterdir())[:2]:
        for name in ("one", "two"):
            target = tmp_path / name / f"{kind.name}"
            target.mkdir(parents=True)
            for path in sorted(kind.iterdir())[:40]:
                shutil.copy(path, target / (path.name if name == "one" else f"moved-{path.name}"))
    divided = []
    for name in ("one", "two"):
        manifest = complete_splits(extract(scan(tmp_path / name), model="tiny", cache=tmp_path / "cache").manifest)
        divided.append({picture.digest: picture.split for picture in manifest.pictures})
    assert divided[0] == divided[1]
    assert set(divided[0].values()) == {"train", "val", "test"}


def sample(source: Path, target: Path, step: int) -> Path:
    """Every `step`-th photo of a data set, in the same layout."""
    for path in sorted(source.rglob("*.*"))[::step]:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return target


def test_densenet_tells_cats_from_dogs(real_data: Path, tmp_path: Path) -> None:
    """97 % or more of 40 photos (of all 400: 0.998)."""
    data = sample(real_data / "images" / "cats_dogs", tmp_path / "photos", 10)
    weights = str(real_data / "weights" / "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5")
    options: dict[str, Any] = {"model": "DenseNet121", "weights": weights, "dtype": "float32"}
    run = train_head(data, **options, cache=tmp_path / "cache", runs=tmp_path / "runs")
    assert run.metrics["test"].accuracy >= 0.97


def test_wrong_preprocessing_costs_accuracy(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MobileNet tells cats from dogs, and raw pixels make it clearly worse: the point of the product, in words too."""
    monkeypatch.chdir(tmp_path)
    data = sample(real_data / "images" / "cats_dogs", tmp_path / "photos", 4)
    weights = real_data / "weights" / "mobilenet_7_5_224_tf_no_top.h5"
    flags = ("--model", "MobileNet", "--alpha", 0.75, "--weights", weights, "--preprocess", "keras")
    result = json.loads(call("compare", data, *flags, "--preprocess", "raw", "--json").out)
    keras_row, raw = result["rows"]
    assert (keras_row["preprocess"], keras_row["n"], raw["n"]) == ("keras", 100, 100)
    assert keras_row["accuracy"] >= 0.97
    assert raw["difference_ci95"][1] < -0.1
    assert result["findings"][1].startswith("`keras` beats `raw` by ")


@pytest.mark.parametrize("name", ["flowers5", "mnist"])
def test_other_layouts_run(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Five kinds of flowers and ten digits, through tiny."""
    monkeypatch.chdir(tmp_path)
    data = sample(real_data / "images" / name, tmp_path / name, 5)
    run = json.loads(call("train-head", data, "--model", "tiny", "--json").out)
    assert run["metrics"]["test"]["n"] == 200
    assert run["metrics"]["test"]["accuracy"] > 1.5 / len(run["classes"])
    assert ("top5" in run["metrics"]["test"]) == (name == "mnist")


@pytest.mark.parametrize("head", ["logistic", "vgg-fc"])
def test_a_published_base_is_fine_tuned_from_where_its_head_was(real_data: Path, tmp_path: Path, head: str) -> None:
    """With real statistics in its BatchNormalization: the hand-over is exact to rounding, and they are kept."""
    photos = sample(real_data / "images" / "cats_dogs", tmp_path / "photos", 8)
    weights = str(real_data / "weights" / "mobilenet_2_5_224_tf_no_top.h5")
    base = {"model": "MobileNet", "alpha": 0.25, "weights": weights, "cache": tmp_path / "cache"}
    run = train_head(photos, head, runs=tmp_path / "runs", **base)
    tuned = fine_tune(run, photos, epochs=3, cache=tmp_path / "cache")
    assert tuned.cut == "conv_pw_11_relu"
    assert tuned.metrics_before == run.metrics
    assert tuned.fine_tuning.hand_over.largest_difference < 5e-3
    assert tuned.metrics_after["test"].accuracy > 0.8
    assert evaluate(tuned.run, photos, cache=tmp_path / "cache").metrics == tuned.metrics_after
    published = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(224, 224, 3), alpha=0.25)
    published.load_weights(weights)
    trained = keras.saving.load_model(tuned.run.folder / "trained.keras", compile=False)
    for name in ("conv_dw_12_bn", "conv_pw_13_bn"):
        for found, expected in zip(trained.get_layer(name).weights, published.get_layer(name).weights, strict=True):
            assert np.array_equal(found.numpy(), expected.numpy())
    learnt = [model.get_layer("conv_pw_12").kernel.numpy() for model in (trained, published)]
    assert np.array_equal(*learnt) == (tuned.run.chosen["best_epoch"] == 0)
