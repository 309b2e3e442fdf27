"""`check-base`: labels and classes of ImageNet, networks with their top, and the self-test without labels."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import write_photos

from featstore.bases.source import parse_source
from featstore.bases.weights_file import holds_classifier
from featstore.checking import all_variants, check_labelled
from featstore.errors import BaseUnavailable, DataError, UsageError
from featstore.evaluation import selftest
from featstore.evaluation.imagenet import class_names, read_labels
from featstore.looking import has_top, look_at_base
from featstore.recipe import Recipe


@pytest.fixture
def labels(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        (tmp_path / "labels.csv").write_text(text)
        return tmp_path / "labels.csv"

    return write


def test_labels_are_class_indices_by_path(labels: Any, tmp_path: Path) -> None:
    """Relative to the folder of the CSV; other columns do no harm."""
    found = read_labels(labels("path,label,name\na.jpg,0,tench\nsub/b.jpg,999,x\n"))
    assert found == {os.path.realpath(tmp_path / "a.jpg"): 0, os.path.realpath(tmp_path / "sub" / "b.jpg"): 999}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label\na,1\n", "expected the columns path,label, found image,label"),
        ("path,label\n", "holds no labels"),
        ("path,label\na,1\na,2\n", "line 3: a is named more than once"),
        ("path,label\na,1000\n", "line 2: label '1000'"),
        ("path,label\na,cat\n", "line 2: label 'cat'"),
        ("path,label\na,-1\n", "line 2: label '-1'"),
        ("path,label\na\n", "line 2: label ''"),
    ],
)
def test_labels_that_are_none_are_refused(labels: Any, text: str, message: str) -> None:
    """With the line and what was expected."""
    with pytest.raises(DataError, match=message):
        read_labels(labels(text))


def test_class_names_are_those_of_keras_where_it_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a download; numbers otherwise, also where the file is damaged."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert class_names()[111] == "class 111"
    (tmp_path / "models").mkdir()
    index = tmp_path / "models" / "imagenet_class_index.json"
    index.write_text(json.dumps({str(n): [f"n{n:08}", f"animal_{n}"] for n in range(1000)}))
    assert class_names()[111] == "animal_111"
    index.write_text('{"0": 5}')
    assert class_names()[0] == "class 0"


def test_tops_have_names_and_identities_of_their_own(tmp_path: Path) -> None:
    """So that one is never taken for the other; tiny and pixels have none, other sizes want a file."""
    top, without = (parse_source("MobileNet", "imagenet", None, 0, kind) for kind in (True, False))
    assert top.identity() != without.identity()
    assert top.weights_file(224, 224).name == "mobilenet_1_0_224_tf.h5"  # type: ignore[union-attr]
    top.check_size(224, 224)
    with pytest.raises(UsageError, match="MobileNet is fetched at 224 px only"):
        top.check_size(160, 160)
    for model in ("tiny", "pixels"):
        with pytest.raises(UsageError, match="has no ImageNet classifier"):
            parse_source(model, None, None, 0, True)


def test_a_file_tells_whether_it_holds_the_classifier(tmp_path: Path) -> None:
    """By the bias of its 1,000 outputs."""
    for name, width in (("with.h5", 1000), ("without.h5", 256)):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_group("predictions").create_dataset("bias:0", data=np.zeros(width))
    assert holds_classifier(str(tmp_path / "with.h5"))
    assert not holds_classifier(str(tmp_path / "without.h5"))
    (tmp_path / "broken.h5").write_bytes(b"x")
    with pytest.raises(BaseUnavailable, match="no weights can be read"):
        holds_classifier(str(tmp_path / "broken.h5"))
    assert not has_top(Recipe(model="tiny"))
    assert has_top(Recipe(model="MobileNetV2", weights="random"))


def test_information_is_the_logarithm_of_the_inception_score() -> None:
    """Nothing where all get one answer, log(n) where each is certain of its own."""
    assert selftest.information(np.full((5, 4), 0.25)) == pytest.approx(0)
    assert selftest.information(np.eye(4)[[0, 0, 0]]) == pytest.approx(0)
    assert selftest.information(np.eye(4)) == pytest.approx(np.log(4))
    seen = selftest.look(np.eye(4)[[0, 1, 1, 3]])
    assert seen[:3] == (3, 1, 0.5)
    assert seen.entropy == pytest.approx(0)


def test_variety_is_one_less_the_mean_cosine() -> None:
    """Against the definition, pair by pair."""
    f = np.random.default_rng(0).random((6, 5))
    cosines = [f[i] @ f[j] / np.linalg.norm(f[i]) / np.linalg.norm(f[j]) for i in range(6) for j in range(6) if i != j]
    assert selftest.variety(f) == pytest.approx(1 - np.mean(cosines))
    assert selftest.variety(np.ones((4, 3))) == pytest.approx(0)


def test_mismatches_are_judged_by_factors() -> None:
    """A factor of two is too little to tell; a large one for all means that nothing is right."""
    judged = selftest.judge_by_mismatch({"keras": 0.01, "rescale": 0.26, "tf": 0.011, "raw": 8000})
    assert (judged.best, judged.alike) == ("keras", ("tf",))
    assert selftest.judge_by_mismatch({"keras": 20.0, "raw": 600.0}).best is None


def test_scores_are_judged_by_resampling_the_images() -> None:
    """A clear winner is one; twins are alike; where all see the same in every image, nothing is right."""
    rng = np.random.default_rng(0)
    sharp = np.eye(20)[rng.integers(0, 20, 100)] * 0.9 + 0.005
    dull = np.full((100, 20), 0.05)
    judged = selftest.judge_by_score({"a": dull, "b": sharp, "c": sharp.copy()}, selftest.information, "predictions")
    assert (judged.best, judged.alike) == ("b", ("c",))
    assert selftest.judge_by_score({"a": dull}, selftest.information, "predictions").best is None


def test_variants_are_those_that_differ() -> None:
    """`keras` first; a user's own file does not say what it was trained with."""
    assert all_variants(Recipe(model="tiny")) == ["keras", "caffe", "torch", "rescale", "rgb-mean", "raw"]
    assert len(all_variants(Recipe(model="VGG16", weights="random"))) == 6


def test_tiny_was_fed_with_its_own_variant(tmp_path: Path) -> None:
    """Its first BatchNormalization says so, on images that it has never seen; random weights remember nothing."""
    photos = write_photos(tmp_path / "photos", 12)
    looks = look_at_base(photos, Recipe(model="tiny"), ["keras", "caffe", "raw"], cache=tmp_path / "cache")
    assert "`keras` (for this base `tf`) looks right, by its batch statistics" in looks.verdict
    by_name = {row.preprocess: row.mismatch or 0 for row in looks.rows}
    assert by_name["keras"] * 10 < by_name["caffe"] < by_name["raw"]
    random = look_at_base(photos, Recipe(model="tiny", weights="random"), ["keras", "raw"], cache=tmp_path / "cache")
    assert {row.mismatch for row in random.rows} == {None}
    assert random.verdict.startswith("none of the variants looks right: the weights may be random")


def test_the_right_statistics_are_no_proof_where_all_images_look_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shuffled weights can have them by chance."""
    monkeypatch.setattr("featstore.looking._mismatches", lambda *rest: {"keras": 0.01, "raw": 500.0})
    photos = write_photos(tmp_path / "photos", 3)
    variants = ["keras", "raw"]
    assert look_at_base(photos, Recipe(model="tiny"), variants, cache=tmp_path / "a").verdict.startswith("`keras`")
    monkeypatch.setattr(selftest, "SCALES", {selftest.variety: selftest.Scale(2.0, 0.8)})
    assert look_at_base(photos, Recipe(model="tiny"), variants, cache=tmp_path / "a").verdict.startswith("none of the")


def test_a_base_without_probabilities_cannot_be_checked_with_labels(tmp_path: Path, labels: Any) -> None:
    """And images that no label names are an error."""
    write_photos(tmp_path / "photos", 2)
    with pytest.raises(UsageError, match="tiny has no ImageNet classifier"):
        check_labelled(tmp_path / "photos", labels("path,label\nphotos/discs/000.png,3\n"), Recipe(model="tiny"))
    with pytest.raises(DataError, match="none of its 4 images is named"):
        check_labelled(tmp_path / "photos", labels("path,label\nx.png,3\n"), Recipe(model="tiny"))
    with pytest.raises(UsageError, match="--views augment:3: expected one, flip, five, ten"):
        check_labelled(
            tmp_path / "photos", labels("path,label\nphotos/discs/000.png,3\n"), Recipe(model="tiny"), (), ["augment:3"]
        )


@pytest.mark.realdata
def test_a_published_network_reaches_its_figures_with_its_own_variant(
    real_data: Path, cli: Any, tmp_path: Path
) -> None:
    """MobileNet 0.25 on ImageNet images: far ahead of raw pixels, ten views at least as good as one."""
    images = tmp_path / "images"
    images.mkdir()
    source = real_data / "images" / "imagenet_val"
    lines = (source / "labels.csv").read_text().splitlines()[:101]
    for line in lines[1:]:
        shutil.copy(source / line.split(",")[0], images)
    (images / "labels.csv").write_text("\n".join(lines))
    done = cli(
        *("check-base", images, "--labels", images / "labels.csv", "--model", "MobileNet", "--alpha", "0.25"),
        *("--weights", real_data / "weights" / "mobilenet_2_5_224_tf.h5"),
        *("--preprocess", "keras", "--preprocess", "raw", "--json"),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    by_name = {(row["preprocess"], row["views"]): row for row in result["rows"]}
    assert set(by_name) == {(variant, views) for variant in ("keras", "raw") for views in (1, 2, 5, 10)}
    assert by_name["keras", 1]["top1"] > 0.5 > 0.1 > by_name["raw", 10]["top1"]
    assert by_name["keras", 10]["top1"] >= by_name["keras", 1]["top1_ci95"][0]
    assert by_name["keras", 1]["top5"] >= by_name["keras", 1]["top1"]
    assert result["verdict"].startswith("`keras` is right: top-1 ")


@pytest.mark.realdata
@pytest.mark.parametrize("top", [True, False])
def test_real_photos_say_which_variant_is_right(real_data: Path, tmp_path: Path, top: bool) -> None:
    """With the classifier and without it: `tf` for MobileNet, clearly before 1/255 and raw pixels."""
    file = "mobilenet_2_5_224_tf.h5" if top else "mobilenet_2_5_224_tf_no_top.h5"
    recipe = Recipe(model="MobileNet", alpha=0.25, weights=str(real_data / "weights" / file))
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted((real_data / "images" / "cats_dogs" / "val").rglob("*.jpg"))[::8]:
        shutil.copy(path, photos)
    looks = look_at_base(photos, recipe, ["keras", "rescale", "raw"], cache=tmp_path / "cache")
    assert looks.verdict.startswith("`keras` (for this base `tf`) looks right, by its batch statistics")
    assert "cannot be told apart" not in looks.verdict
    assert all((row.classes is not None) == top for row in looks.rows)
