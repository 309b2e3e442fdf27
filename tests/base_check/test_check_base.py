"""`check-base`: accuracy with labels, statistics without."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featstore.base_check import judgement
from featstore.base_check.labelled import all_variants, check_labelled
from featstore.base_check.unlabelled import SAMPLE, check_unlabelled, has_classifier, spread
from featstore.datasets.manifest import Picture
from featstore.errors import DataError, UsageError
from featstore.extraction.recipe import Recipe
from featstore.system.files import FileStat
from helpers.cli import call
from helpers.photos import write_photos


@pytest.fixture
def labels(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        (tmp_path / "labels.csv").write_text(text)
        return tmp_path / "labels.csv"

    return write


def test_what_has_an_imagenet_classifier_is_known_without_building_it() -> None:
    """The bases of the catalogue have; the built-in ones have not."""
    assert not has_classifier(Recipe(model="tiny"))
    assert has_classifier(Recipe(model="MobileNetV2", weights="random"))


def test_variants_are_those_that_differ() -> None:
    """`keras` first; a user's own file does not say what it was trained with."""
    assert all_variants(Recipe(model="tiny")) == ["keras", "caffe", "torch", "rescale", "rgb-mean", "raw"]
    assert len(all_variants(Recipe(model="VGG16", weights="random"))) == 6


@given(st.lists(st.integers(1, 200), min_size=1, max_size=100))
def test_the_sample_has_images_of_every_class(sizes: list[int]) -> None:
    """For every number and size of classes: as many of each as there can be, and from all of a class."""
    pictures = [
        Picture(f"{c:03d}/{n:03d}.png", FileStat(0, 0, 0, 0)) for c, size in enumerate(sizes) for n in range(size)
    ]
    chosen = [picture.path for picture in spread(pictures, SAMPLE)]
    assert len(set(chosen)) == len(chosen) == min(SAMPLE, len(pictures))
    counts = Counter(path.partition("/")[0] for path in chosen)
    assert len(counts) == min(SAMPLE, len(sizes))
    left_out = [counts[f"{c:03d}"] for c, size in enumerate(sizes) if counts[f"{c:03d}"] < size]
    assert not left_out or max(counts.values()) <= min(left_out) + 1
    for c, size in enumerate(sizes):
        places = [int(path[4:7]) for path in chosen if path.startswith(f"{c:03d}/")]
        assert np.diff([*places, size], prepend=0).max(initial=0) <= -(-size // max(1, len(places)))


def test_a_base_of_bytes_is_checked_with_bytes(tmp_path: Path) -> None:
    """No other preprocessing can be given to it."""
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(inputs))
    keras.Model(inputs, x).save(tmp_path / "b.keras")
    photos = write_photos(tmp_path / "photos", 2)
    recipe = Recipe(model=str(tmp_path / "b.keras"), preprocess="raw")
    assert [row.preprocess for row in check_unlabelled(photos, recipe, cache=tmp_path / "cache").rows] == ["raw"]


def test_tiny_was_trained_with_its_own_variant(tmp_path: Path) -> None:
    """The statistics of its first BatchNormalization show it on new images; random weights have no such statistics."""
    photos = write_photos(tmp_path / "photos", 12)
    check = check_unlabelled(photos, Recipe(model="tiny"), ["keras", "caffe", "raw"], cache=tmp_path / "cache")
    assert "`keras` (for this base `tf`) looks right, judged by batch statistics" in check.verdict
    by_name = {row.preprocess: row.mismatch or 0 for row in check.rows}
    assert by_name["keras"] * 10 < by_name["caffe"] < by_name["raw"]
    random = check_unlabelled(
        photos, Recipe(model="tiny", weights="random"), ["keras", "raw"], cache=tmp_path / "cache"
    )
    assert {row.mismatch for row in random.rows} == {None}
    assert random.verdict.startswith("no variant looks right: the weights may be random")


def test_the_right_statistics_are_no_proof_where_all_images_look_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shuffled weights can have the right statistics by chance."""
    monkeypatch.setattr("featstore.base_check.unlabelled._mismatches", lambda *rest: {"keras": 0.01, "raw": 500.0})
    photos = write_photos(tmp_path / "photos", 3)
    variants = ["keras", "raw"]
    assert check_unlabelled(photos, Recipe(model="tiny"), variants, cache=tmp_path / "a").verdict.startswith("`keras`")
    monkeypatch.setattr(judgement, "THRESHOLDS", {judgement.diversity: judgement.Thresholds(2.0, 0.8)})
    assert check_unlabelled(photos, Recipe(model="tiny"), variants, cache=tmp_path / "a").verdict.startswith(
        "no variant"
    )


def test_a_base_without_probabilities_cannot_be_checked_with_labels(tmp_path: Path, labels: Any) -> None:
    """UsageError names the cause; a data set without any labelled image is a DataError."""
    write_photos(tmp_path / "photos", 2)
    with pytest.raises(UsageError, match="tiny has no ImageNet classifier"):
        check_labelled(tmp_path / "photos", labels("path,label\nphotos/discs/000.png,3\n"), Recipe(model="tiny"))
    with pytest.raises(DataError, match="none of its 4 images is listed"):
        check_labelled(tmp_path / "photos", labels("path,label\nx.png,3\n"), Recipe(model="tiny"))
    with pytest.raises(UsageError, match="views='augment:3': expected one, flip, five, ten"):
        check_labelled(
            tmp_path / "photos", labels("path,label\nphotos/discs/000.png,3\n"), Recipe(model="tiny"), (), ["augment:3"]
        )


@pytest.mark.realdata
def test_a_published_network_reaches_its_figures_with_its_own_variant(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MobileNet 0.25 on ImageNet images: far ahead of raw pixels, ten views at least as good as one."""
    monkeypatch.chdir(tmp_path)
    images = tmp_path / "images"
    images.mkdir()
    source = real_data / "images" / "imagenet_val"
    lines = (source / "labels.csv").read_text().splitlines()[:49]
    for line in lines[1:]:
        shutil.copy(source / line.split(",")[0], images)
    (images / "labels.csv").write_text("\n".join(lines))
    done = call(
        *("check-base", images, "--labels", images / "labels.csv", "--model", "MobileNet", "--alpha", "0.25"),
        *("--weights", real_data / "weights" / "mobilenet_2_5_224_tf.h5"),
        *("--preprocess", "keras", "--preprocess", "raw", "--json"),
    )
    result = json.loads(done.out)
    by_name = {(row["preprocess"], row["views"]): row for row in result["rows"]}
    assert set(by_name) == {(variant, views) for variant in ("keras", "raw") for views in (1, 2, 5, 10)}
    assert by_name["keras", 1]["top1"] > 0.5 > 0.1 > by_name["raw", 10]["top1"]
    assert by_name["keras", 10]["top1"] >= by_name["keras", 1]["top1_ci95"][0]
    assert by_name["keras", 1]["top5"] >= by_name["keras", 1]["top1"]
    assert result["verdict"].startswith("`keras` is right: top-1 ")


@pytest.mark.realdata
@pytest.mark.parametrize("top", [True, False])
def test_real_photos_say_which_variant_is_right(real_data: Path, tmp_path: Path, top: bool) -> None:
    """MobileNet's variant `tf` is clearly ahead of 1/255 and raw pixels, with the classifier and without it."""
    file = "mobilenet_2_5_224_tf.h5" if top else "mobilenet_2_5_224_tf_no_top.h5"
    recipe = Recipe(model="MobileNet", alpha=0.25, weights=str(real_data / "weights" / file))
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted((real_data / "images" / "cats_dogs" / "val").rglob("*.jpg"))[::8]:
        shutil.copy(path, photos)
    check = check_unlabelled(photos, recipe, ["keras", "rescale", "raw"], cache=tmp_path / "cache")
    assert check.verdict.startswith("`keras` (for this base `tf`) looks right, judged by batch statistics")
    assert "about as well" not in check.verdict
    assert all((row.classes is not None) == top for row in check.rows)
