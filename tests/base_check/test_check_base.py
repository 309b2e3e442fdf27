"""`check-base` from end to end: accuracy with labels, statistics without."""

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
from PIL import Image

import featstore
from featstore.base_check import judgement
from featstore.base_check.outputs import to_probabilities
from featstore.base_check.unlabelled import SAMPLE, spread
from featstore.base_check.variants import all_variants, choose_variants, has_classifier
from featstore.datasets.manifest import Picture
from featstore.errors import BaseUnavailable, DataError, UsageError
from featstore.extraction.recipe import Recipe
from featstore.system.files import FileStat
from helpers.cli import call
from helpers.photos import write_photos

COLOURS = {"dark": 40, "grey": 100, "light": 160, "white": 230}


def draw_colours(folder: Path, each: int = 8) -> Path:
    """Noisy images of four shades of grey, in a folder for each."""
    for number, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir(parents=True)
        for k in range(each):
            rng = np.random.default_rng(100 * number + k)
            pixels = np.clip(colour + rng.normal(0, 25, (32, 32, 3)), 0, 255).astype("uint8")
            Image.fromarray(pixels).save(folder / name / f"{k}.png")
    return folder


def classifier(path: Path, ending: str = "softmax", nested: bool = False) -> str:
    """A network that names these shades from pixels between -1 and 1: the nearest of them wins."""
    inputs = keras.Input((32, 32, 3))
    pool = keras.layers.GlobalAveragePooling2D()
    body = keras.Model(inputs, pool(inputs))
    dense = keras.layers.Dense(4, activation=ending if ending != "map" else None)
    outer = keras.Input((32, 32, 3))
    x = body(outer) if nested else pool(outer)
    model = keras.Model(outer, outer if ending == "map" else dense(x))
    if ending != "map":
        centres = np.repeat(np.array(list(COLOURS.values())) / 127.5 - 1, 3).reshape(4, 3)
        dense.set_weights([20 * centres.T, -10 * (centres**2).sum(axis=1)])
    model.save(path)
    return str(path)


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    (tmp_path / "classes.txt").write_text("\n".join(COLOURS))
    return draw_colours(tmp_path / "colours")


def check_colours(colours: Path, model: str, **options: Any) -> Any:
    options = {"labels": "folders", "class_index": colours.parent / "classes.txt", "views": "one", **options}
    return featstore.check_base(colours, model=model, resize=32, cache=colours.parent / "cache", **options)


@pytest.mark.parametrize("ending", ["softmax", "linear"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_classifier_of_ones_own(colours: Path, tmp_path: Path, ending: str, nested: bool) -> None:
    """Any number of classes, with its own index; logits are told; what it was trained with is not known."""
    check = check_colours(colours, classifier(tmp_path / "own.keras", ending, nested))
    assert (check.finding, check.best, check.classes) == ("best of those tried", "tf", 4)
    assert "`tf` is best of the 6 tried: top-1 1.000" in check.verdict
    assert "is right" not in check.verdict
    assert check.class_index == str(tmp_path / "classes.txt")
    assert check.rows[1].commonest in COLOURS
    told = ["their softmax was used" in note for note in check.notes]
    assert told == ([] if ending == "softmax" else [True])


def test_one_variant_of_an_own_classifier_is_not_called_right(colours: Path, tmp_path: Path) -> None:
    """It may be the wrong one: nothing is there to compare it with."""
    check = check_colours(colours, classifier(tmp_path / "own.keras"), preprocess="tf")
    assert (check.finding, "is the only one tried" in check.verdict) == ("best of those tried", True)
    wrong = check_colours(colours, classifier(tmp_path / "own.keras"), preprocess="rescale")
    assert wrong.best != "rescale" or wrong.finding == "best of those tried"
    assert "is right" not in wrong.verdict


def test_another_order_of_ones_own_classes_is_found(colours: Path, tmp_path: Path) -> None:
    """An index of classes may have been written by hand."""
    (tmp_path / "classes.txt").write_text("\n".join(reversed(COLOURS)))
    check = check_colours(colours, classifier(tmp_path / "own.keras"))
    assert check.finding == "labels do not fit"
    assert check.best is None


def test_what_is_no_classifier_of_these_labels_is_refused(colours: Path, tmp_path: Path) -> None:
    """The messages name options that the command has."""
    with pytest.raises(UsageError, match="expected a classifier, found an output of 32x32x3; leave `labels` out"):
        check_colours(colours, classifier(tmp_path / "map.keras", "map"))
    (tmp_path / "labels.csv").write_text("path,label\ncolours/dark/0.png,0\ncolours/dark/1.png,7\n")
    with pytest.raises(UsageError, match="found 4 outputs and the label 7, counted from 0; leave `labels` out"):
        check_colours(colours, classifier(tmp_path / "own.keras"), labels=tmp_path / "labels.csv", class_index=None)
    with pytest.raises(DataError, match="line 3: label '7': expected the number of a class, 0 to 3"):
        check_colours(colours, classifier(tmp_path / "own.keras"), labels=tmp_path / "labels.csv")


def test_an_own_classifier_without_labels(colours: Path, tmp_path: Path) -> None:
    """Its output is not a map that can be pooled; its predictions are named."""
    shutil.move(colours, tmp_path / "photos")
    model = classifier(tmp_path / "own.keras")
    check = featstore.check_base(
        tmp_path / "photos", model=model, preprocess=["tf"], cache=tmp_path / "cache", labels=None
    )
    assert (check.finding, check.rows[0].classes) == ("best of those tried", 4)
    assert check.rows[0].information > 1
    assert "nothing speaks against `tf`, the only one tried, judged by predictions" in check.verdict


def test_networks_that_cannot_be_pooled_or_have_two_outputs(tmp_path: Path) -> None:
    """The command has no option to name a layer or a pooling, so nothing is said of them."""
    inputs = keras.Input((32, 32, 3))
    turned = keras.layers.Permute((3, 1, 2))(inputs)
    channels_first = keras.layers.GlobalMaxPooling2D(data_format="channels_first", keepdims=True)(turned)
    keras.Model(inputs, channels_first).save(tmp_path / "first.keras")
    keras.Model(inputs, [inputs, turned]).save(tmp_path / "two.keras")
    photos = write_photos(tmp_path / "photos", 10)
    options: dict[str, Any] = {"preprocess": "raw", "cache": tmp_path / "cache"}
    assert featstore.check_base(photos, model=str(tmp_path / "first.keras"), **options).rows[0].n == 20
    with pytest.raises(UsageError, match="expected one output, found 2; save a model with one of them"):
        featstore.check_base(photos, model=str(tmp_path / "two.keras"), **options)
    with pytest.raises(UsageError, match="model='pixels': is not a network, so no preprocessing is right for it"):
        featstore.check_base(photos, model="pixels", size=16, **options)


def test_outputs_become_probabilities() -> None:
    """A sigmoid is the probability of the second of two classes; a logit is 0 for the first."""
    rows, note = to_probabilities(np.array([[0.2], [0.9]]))
    assert np.allclose(rows, [[0.8, 0.2], [0.1, 0.9]])
    assert note is not None
    rows, _ = to_probabilities(np.array([[-3.0], [2.0]]))
    assert rows.argmax(axis=1).tolist() == [0, 1]
    rows, note = to_probabilities(np.array([[[0.25, 0.75]]]))
    assert (rows.tolist(), note) == ([[[0.25, 0.75]]], None)
    assert np.allclose(to_probabilities(np.array([[1000.0, 0.0, 1000.0]]))[0], [[0.5, 0, 0.5]])


def test_random_weights_are_never_right(colours: Path, tmp_path: Path) -> None:
    """With labels and without; one of two is best by chance."""
    rows = [f"colours/{name}/{k}.png,{100 * n + k}" for n, name in enumerate(COLOURS) for k in range(8)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *rows]))
    options: dict[str, Any] = {"model": "MobileNet", "alpha": 0.25, "weights": "random", "size": 32}
    check = featstore.check_base(
        colours, **options, labels=tmp_path / "labels.csv", views="one", cache=tmp_path / "cache", preprocess="rescale"
    )
    assert (check.finding, check.best) == ("weights do not fit", None)
    assert check.verdict.startswith("no variant is confirmed: the best")
    check = featstore.check_base(colours, **options, cache=tmp_path / "cache", preprocess="raw")
    assert (check.finding, check.best) == ("weights do not fit", None)
    assert [row.preprocess for row in check.rows] == ["keras", "raw"]


def test_images_that_show_nothing_or_only_one_thing(tmp_path: Path) -> None:
    """Surfaces of one colour, and copies of one image, are no evidence."""
    (tmp_path / "plain").mkdir()
    for k in range(24):
        Image.new("RGB", (40, 40), (10 * k, 100, 255 - 10 * k)).save(tmp_path / "plain" / f"{k}.png")
    check = featstore.check_base(tmp_path / "plain", model="tiny", preprocess="keras", cache=tmp_path / "cache")
    assert (check.finding, check.verdict) == (
        "cannot tell",
        "cannot tell: the images are surfaces of one colour, photos are needed",
    )
    photo = write_photos(tmp_path / "photos", 1) / "discs" / "000.png"
    for k in range(24):
        shutil.copy(photo, photo.with_name(f"copy{k}.png"))
    check = featstore.check_base(tmp_path / "photos", model="tiny", preprocess="keras", cache=tmp_path / "cache")
    assert check.verdict.startswith("cannot tell: 2 different images are too few: 20 are needed for a verdict. So far")


def test_json_has_all_that_the_text_says(colours: Path, tmp_path: Path) -> None:
    """With labels and without; the CSV of the labels is no image."""
    (colours / "labels.csv").write_text("path,label\ndark/0.png,0\ngrey/1.png,1\n")
    (tmp_path / "own.txt").write_text("\n".join(COLOURS))
    model = classifier(tmp_path / "own.keras")
    words = ("check-base", colours, "--model", model, "--cache", tmp_path / "cache", "--size", 32)
    with_labels = json.loads(
        call(*words, "--labels", colours / "labels.csv", "--class-index", tmp_path / "own.txt", "--json").out
    )
    assert with_labels["finding"] == "cannot tell"
    assert with_labels["skipped"] == []
    assert with_labels["notes"][-1] == "30 images without a label: left out"
    assert {
        "verdict",
        "best",
        "alike",
        "wrong",
        "trained_with",
        "classes",
        "chance",
        "published",
        "labels",
        "reading",
    } < {*with_labels}
    assert {"commonest", "commonest_class", "share", "scales"} < {*with_labels["rows"][0]}
    (colours / "labels.csv").unlink()
    without = json.loads(call(*words, "--json").out)
    assert {"finding", "verdict", "best", "alike", "wrong", "criterion", "rows", "reading", "notes", "skipped"} < {
        *without
    }
    printed = call(*words)
    assert without["verdict"] in printed.out
    assert "images: squashed to 32x32 (bilinear)" in printed.out


def test_options_for_labels_need_labels(colours: Path, tmp_path: Path) -> None:
    """Nothing is dropped in silence; unknown views and options are refused before any image is read."""
    for option, shown in (({"views": "ten"}, "views='ten': needs `labels`"), ({"scales": "48"}, "scales='48': needs")):
        with pytest.raises(UsageError, match=shown):
            featstore.check_base(colours, model="tiny", **option)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="views='augment:3': expected one, flip, five, ten"):
        featstore.check_base(colours, model="tiny", views="augment:3")
    with pytest.raises(DataError, match="no image files found: .*nowhere: cannot be opened: No such file"):
        featstore.check_base(tmp_path / "nowhere", model="tiny")
    with pytest.raises(UsageError, match="`model` is missing"):
        featstore.check_base(colours)
    with pytest.raises(UsageError, match="layer"):
        featstore.check_base(colours, model="tiny", layer="x")  # type: ignore[call-arg]


@pytest.mark.tf
def test_options_for_labels_say_why_folders_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WordNet ids are labels only where the numbers of their classes are known."""
    monkeypatch.setenv("HOME", str(tmp_path))
    photos = write_photos(tmp_path / "val", 1)
    for name, wnid in (("discs", "n01440764"), ("stripes", "n01443537")):
        (photos / name).rename(photos / wnid)
    with pytest.raises(UsageError, match="needs `labels`; .*; the folders are named by WordNet ids, .* are not known"):
        featstore.check_base(photos, model="MobileNet", weights="random", views="ten")


def test_sizes_are_averaged_like_views(colours: Path, tmp_path: Path) -> None:
    """A row for the first size and one for all, at each number of views; no size twice."""
    inputs = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x)).save(tmp_path / "any.keras")
    options: dict[str, Any] = {
        "labels": "folders",
        "class_index": tmp_path / "classes.txt",
        "preprocess": "tf",
        "cache": tmp_path / "cache",
    }
    check = featstore.check_base(
        colours, model=str(tmp_path / "any.keras"), size=32, scales="40,48x40", views=["one", "flip"], **options
    )
    assert isinstance(check, featstore.LabelledCheck)
    assert [(row.scales, row.views) for row in check.rows] == [
        (("32x32",), 1),
        (("32x32",), 2),
        (("32x32", "40x40", "48x40"), 1),
        (("32x32", "40x40", "48x40"), 2),
    ]
    assert "32x32+40x40+48x40" in str(check)
    with pytest.raises(UsageError, match="each size may be named once"):
        featstore.check_base(colours, model=str(tmp_path / "any.keras"), size=32, scales="32x32", **options)


def test_what_has_an_imagenet_classifier_is_known_without_building_it() -> None:
    """The bases of the catalogue have; the built-in ones have not."""
    assert not has_classifier(Recipe(model="tiny"))
    assert has_classifier(Recipe(model="MobileNetV2", weights="random"))


def test_variants_are_those_that_differ() -> None:
    """`keras` first; a user's own file does not say what it was trained with."""
    assert all_variants(Recipe(model="tiny")) == ["keras", "caffe", "torch", "rescale", "rgb-mean", "raw"]
    assert len(all_variants(Recipe(model="VGG16", weights="random"))) == 6


def test_what_the_base_was_trained_with_is_always_measured() -> None:
    """Once, by whatever name or numbers the user has for it."""
    mobile, vgg = Recipe(model="MobileNet", weights="random"), Recipe(model="VGG16", weights="random")
    assert choose_variants(mobile, ["raw"]).measured == ("keras", "raw")
    assert choose_variants(mobile, ["raw"]).added
    assert choose_variants(mobile, ["raw", "tf"]).own == "tf"
    assert choose_variants(mobile, ["scale=1/127.5,mean=1"]).measured == ("scale=1/127.5,mean=1",)
    assert choose_variants(vgg, ["rgb-mean"]).measured == ("keras", "rgb-mean")
    assert choose_variants(vgg, []).asked == choose_variants(vgg, []).measured
    assert choose_variants(vgg, ["rgb-mean"]).describe("keras") == "`keras` (for this base `caffe`)"
    assert choose_variants(vgg, ["caffe"]).describe("caffe") == "`caffe`"


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
    check = featstore.check_base(photos, model=str(tmp_path / "b.keras"), cache=tmp_path / "cache")
    assert [row.preprocess for row in check.rows] == ["raw"]


def test_tiny_was_trained_with_its_own_variant(tmp_path: Path) -> None:
    """The statistics of its first BatchNormalization show it on new images; random weights have no such statistics."""
    photos = write_photos(tmp_path / "photos", 12)
    check = featstore.check_base(photos, model="tiny", preprocess=["keras", "caffe", "raw"], cache=tmp_path / "cache")
    assert isinstance(check, featstore.UnlabelledCheck)
    assert "`keras` (for this base `tf`) " in check.verdict
    assert (check.best, {*check.wrong}) == ("keras", {"caffe", "raw"})
    by_name = {row.preprocess: row.mismatch or 0 for row in check.rows}
    assert by_name["keras"] * 10 < by_name["caffe"] < by_name["raw"]
    assert all(0 < (row.diversity or 0) < 1 and row.information is None for row in check.rows)
    assert "diversity" in str(check)
    alone = featstore.check_base(photos, model="tiny", preprocess="raw", cache=tmp_path / "cache")
    assert (alone.best, alone.wrong) == ("keras", ("raw",))
    assert alone.verdict.startswith("`raw` does not look right (mismatch ")
    random = featstore.check_base(photos, model="tiny", weights="random", cache=tmp_path / "cache")
    assert {row.mismatch for row in random.rows} == {None}  # type: ignore[union-attr]
    assert random.verdict.startswith("no variant looks right: the weights are random or were never trained")


def test_the_right_statistics_are_no_proof_where_all_images_look_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shuffled weights can have the right statistics by chance."""
    monkeypatch.setattr("featstore.base_check.batchnorm.FirstNormalization.mismatch", lambda self, images: 0.01)
    photos = write_photos(tmp_path / "photos", 12)
    options: dict[str, Any] = {"model": "tiny", "preprocess": ["keras", "raw"], "cache": tmp_path / "a"}
    assert featstore.check_base(photos, **options).best == "keras"
    monkeypatch.setattr(judgement, "THRESHOLDS", {judgement.diversity: judgement.Thresholds(2.0, 0.8)})
    monkeypatch.setattr("featstore.base_check.unlabelled_verdict.THRESHOLDS", judgement.THRESHOLDS)
    assert featstore.check_base(photos, **options).best is None


def test_a_base_without_probabilities_cannot_be_checked_with_labels(tmp_path: Path) -> None:
    """UsageError names the cause; a data set without any labelled image is a DataError."""
    photos = write_photos(tmp_path / "photos", 2)
    (tmp_path / "labels.csv").write_text("path,label\nphotos/discs/000.png,3\n")
    with pytest.raises(UsageError, match="tiny has no ImageNet classifier"):
        featstore.check_base(photos, model="tiny", labels=tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("path,label\nx.png,3\n")
    with pytest.raises(DataError, match="none of its 4 images is listed"):
        featstore.check_base(photos, model="tiny", labels=tmp_path / "labels.csv")


@pytest.fixture
def imagenet(real_data: Path, tmp_path: Path) -> Path:
    """A folder for each class of 48 validation images, by WordNet id, and the labels as a CSV."""
    source = real_data / "images" / "imagenet_val"
    index = json.loads((real_data / "weights" / "imagenet_class_index.json").read_text())
    lines = (source / "labels.csv").read_text().splitlines()[1:49]
    rows = ["path,label"]
    for line in lines:
        name, label = line.split(",")
        folder = tmp_path / "val" / index[label][0]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, folder)
        rows.append(f"{folder.name}/{name},{label}")
    (tmp_path / "val" / "labels.csv").write_text("\n".join(rows))
    return tmp_path / "val"


@pytest.fixture
def mobilenet(real_data: Path) -> dict[str, Any]:
    weights = real_data / "weights" / "mobilenet_2_5_224_tf.h5"
    return {"model": "MobileNet", "alpha": 0.25, "weights": str(weights)}


def relabelled(folder: Path, change: Any) -> Path:
    """The CSV with other labels, beside the folder."""
    rows = [line.rsplit(",", 1) for line in (folder / "labels.csv").read_text().splitlines()[1:]]
    text = [f"val/{path},{change(int(label), place)}" for place, (path, label) in enumerate(rows)]
    file = folder.parent / "changed.csv"
    file.write_text("\n".join(["path,label", *text]))
    return file


@pytest.mark.realdata
def test_a_published_network_on_real_photos_in_all_situations(
    imagenet: Path, mobilenet: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cache: right, wrong alone, labels from folders, shifted, shuffled and in other orders, random weights."""
    monkeypatch.chdir(tmp_path)
    at: dict[str, Any] = {"cache": tmp_path / "cache", "views": "one", **mobilenet}
    right = featstore.check_base("val", **at, preprocess=["keras", "raw"])  # the names of the folders
    assert isinstance(right, featstore.LabelledCheck)
    assert (right.finding, right.best, right.labels) == ("right", "keras", "the names of the folders")
    top1 = {row.preprocess: row.top1 for row in right.rows}
    assert top1["keras"] > 0.5 > 0.1 > top1["raw"]
    assert right.rows[1].commonest == "corn"
    given = featstore.check_base("val", **at, preprocess="raw", labels="labels.csv")  # in the folder
    assert (given.rows, given.skipped) == (right.rows, ())  # type: ignore[union-attr]
    assert given.verdict.startswith("`raw` is wrong for this base: top-1 0.0")
    for change, says in (
        (lambda label, place: min(label + 1, 999), "one too high, as if counted from 1"),
        (lambda label, place: max(label - 1, 0), "one too low"),
        (lambda label, place: sorted(range(1000), key=str).index(label), "sorted as text"),
        (lambda label, place: label * 7 % 1000, "so it tells the images apart. Likely are labels of other images"),
    ):
        check = featstore.check_base("val", **at, preprocess=["keras", "raw"], labels=relabelled(imagenet, change))
        assert (check.finding, check.best) == ("labels do not fit", None)
        assert says in check.verdict
    random = featstore.check_base("val", **{**at, "weights": "random"}, preprocess="raw", labels="labels.csv")
    assert (random.finding, random.best) == ("weights do not fit", None)


@pytest.mark.realdata
def test_views_and_the_canvas_of_the_papers(imagenet: Path, mobilenet: dict[str, Any], tmp_path: Path) -> None:
    """All images squashed to 256x256, and 1 and 10 crops of 224 px from that."""
    done = call(
        *("check-base", imagenet, "--model", "MobileNet", "--alpha", "0.25", "--weights", mobilenet["weights"]),
        *("--preprocess", "keras", "--resize", "256x256", "--fit", "squash", "--interpolation", "bicubic", "--json"),
        *("--views", "one", "--views", "ten", "--cache", tmp_path / "cache"),
    )
    result = json.loads(done.out)
    by_views = {row["views"]: row for row in result["rows"]}
    assert {*by_views} == {1, 10}
    assert by_views[10]["top1"] >= by_views[1]["top1_ci95"][0]
    assert by_views[1]["top5"] >= by_views[1]["top1"] > 0.5
    assert (result["reading"]["resize"], result["reading"]["fit"]) == ([256, 256], "squash")
    assert result["verdict"].startswith("`keras` (for this base `tf`) is confirmed: top-1 ")


@pytest.mark.realdata
@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("asked", [["keras", "rescale", "raw"], ["rescale"], ["raw"]])
def test_real_photos_say_which_variant_is_right(real_data: Path, tmp_path: Path, top: bool, asked: list[str]) -> None:
    """MobileNet's `tf` is clearly ahead of 1/255 and raw pixels, whichever are asked for, with a classifier or not."""
    file = "mobilenet_2_5_224_tf.h5" if top else "mobilenet_2_5_224_tf_no_top.h5"
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted((real_data / "images" / "cats_dogs" / "val").rglob("*.jpg"))[::8]:
        shutil.copy(path, photos)
    weights = str(real_data / "weights" / file)
    check = featstore.check_base(
        photos, model="MobileNet", alpha=0.25, weights=weights, size=128, preprocess=asked, cache=tmp_path / "cache"
    )
    assert isinstance(check, featstore.UnlabelledCheck)
    assert (check.finding, check.best) == ("right", "keras")
    assert {*check.wrong} == {*asked} - {"keras"}
    assert "`keras` (for this base `tf`)" in check.verdict
    assert all((row.classes is not None) == top for row in check.rows)
    assert all(f"`{name}` does not look right" in check.verdict for name in asked if "keras" not in asked)


@pytest.mark.realdata
def test_a_file_without_the_classifier_says_so(imagenet: Path, real_data: Path, tmp_path: Path) -> None:
    """With labels it cannot be used; without, it is checked by its statistics."""
    weights = str(real_data / "weights" / "mobilenet_2_5_224_tf_no_top.h5")
    options: dict[str, Any] = {"model": "MobileNet", "alpha": 0.25, "weights": weights, "cache": tmp_path / "cache"}
    with pytest.raises(BaseUnavailable, match="the file is one without the classifier"):
        featstore.check_base(imagenet, **options, labels="labels.csv")
    (imagenet / "labels.csv").unlink()
    check = featstore.check_base(imagenet, **options, size=96, preprocess="keras")
    assert isinstance(check, featstore.UnlabelledCheck)
    assert check.best == "keras"


@pytest.mark.realdata
def test_a_base_without_normalization_is_not_called_right(real_data: Path, tmp_path: Path) -> None:
    """VGG16's features find a wrong scale at best: neither 1/255 nor the right one is more than not contradicted."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted((real_data / "images" / "cats_dogs" / "val").rglob("*.jpg"))[::8]:
        shutil.copy(path, photos)
    weights = str(real_data / "weights" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5")
    check = featstore.check_base(
        photos, model="VGG16", weights=weights, size=64, preprocess="rescale", cache=tmp_path / "cache"
    )
    assert check.best in ("keras", None)
    assert "looks right" not in check.verdict.replace("no variant looks right", "")
