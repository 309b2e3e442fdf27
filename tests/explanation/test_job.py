"""Explanations from end to end: with the rows, the base and the probabilities of the run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore import evaluate, explain, fine_tune, predict, train_head
from featstore.errors import DataError, UsageError
from featstore.explanation.occlusion import blurred_patches
from featstore.images.readers import make_reader
from featstore.runs.run import Run
from helpers.light import forbid_tensorflow
from helpers.photos import draw, write_photos


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def train_on(folder: Path, head: str = "logistic", **options: Any) -> Run:
    data = write_photos(folder / "photos", 8)
    return train_head(data, head, cache=folder / "cache", runs=folder / "runs", **options)


@pytest.fixture(scope="module")
def run(workplace: Path) -> Run:
    return train_on(workplace, model="tiny")


@pytest.fixture(scope="module")
def images(workplace: Path) -> list[Path]:
    (workplace / "new").mkdir()
    paths = [workplace / "new" / f"{kind}.png" for kind in ("discs", "stripes")]
    for path in paths:
        draw(path.stem, 99).save(path)
    return paths


def test_the_score_is_that_of_the_prediction(run: Run, images: list[Path]) -> None:
    """Temperature included: what is explained is the number that `predict` shows."""
    explained, predicted = explain(run, images), predict(run, images)
    assert explained.method == "cam"
    for one, image in zip(explained.explanations, predicted.images, strict=True):
        assert (one.path, one.label, one.answer, one.probability) == (
            image.path,
            image.label,
            image.label,
            image.probability,
        )
        assert one.score is not None and one.offset is not None
        assert one.heat.shape == (8, 8) and one.heat.dtype == np.float32
        assert one.heat.mean() + one.offset == pytest.approx(one.score, abs=1e-5)
        assert one.score == pytest.approx(np.log(image.probability / (1 - image.probability)), abs=0.01)


def test_maps_in_the_cache_need_no_network(run: Run, images: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call completes them, so that a second one costs nothing."""
    first = explain(run, images)
    forbid_tensorflow(monkeypatch)
    second = explain(run, images)
    assert [one.describe() for one in second.explanations] == [one.describe() for one in first.explanations]


def test_the_map_of_one_class_is_the_other_way_round_for_the_other(run: Run, images: list[Path]) -> None:
    discs, stripes = (explain(run, images, label=label).explanations for label in ("discs", "stripes"))
    for one, other in zip(discs, stripes, strict=True):
        np.testing.assert_allclose(one.heat, -other.heat, atol=1e-6)
        assert one.probability == pytest.approx(1 - other.probability)


def test_what_does_not_exist_is_refused_before_anything_is_computed(run: Run) -> None:
    with pytest.raises(UsageError, match="label='cubes': expected a class of the run: discs, stripes"):
        explain(run, "nowhere", label="cubes")
    with pytest.raises(UsageError, match="method='magic': expected one of cam, grad-cam"):
        explain(run, "nowhere", method="magic")


def on_pixels(folder: Path, head: str, **options: Any) -> Run:
    """A run on the pixels themselves, whose map is the image; without TensorFlow where the head needs none."""
    return train_on(folder, head, model="pixels", size=8, **options)


@pytest.mark.parametrize(("head", "method"), [("logistic", "cam"), ("ridge", "cam"), ("knn", "cells")])
def test_the_best_method_of_a_head_is_the_default(workplace: Path, images: list[Path], head: str, method: str) -> None:
    """And it is said, with the number of cells and what the colours mean."""
    explained = explain(on_pixels(workplace, head), images)
    assert explained.method == method
    assert str(explained).startswith(f"{method}: ")
    assert "8 x 8 cells; orange speaks for, blue against" in str(explained)
    assert explained._repr_html_().count("data:image/png") == 1  # a notebook shows them
    assert all(np.isfinite(one.heat).all() for one in explained.explanations)
    assert all((one.offset is None) == (method != "cam") for one in explained.explanations)


def test_a_method_that_a_head_does_not_have_names_those_it_has(workplace: Path, images: list[Path]) -> None:
    run = on_pixels(workplace, "naive-bayes")
    with pytest.raises(
        UsageError, match=r"head naive-bayes is not linear in its features; this run allows cells, occl"
    ):
        explain(run, images, method="cam")
    with pytest.raises(UsageError, match=r"head naive-bayes has no layers; this run allows cells, occlusion"):
        explain(run, images, method="grad-cam")


def test_a_patch_of_the_image_is_blurred_through_the_whole_pipeline(workplace: Path, images: list[Path]) -> None:
    """The same by hand for one patch."""
    run = on_pixels(workplace, "logistic")
    [one] = explain(run, images[:1], method="occlusion").explanations
    assert one.heat.shape == (7, 7)
    read = make_reader(run.specs[0].reading)
    whole, *changed = blurred_patches(read(images[0].read_bytes()))
    X = run.specs[0].preprocessing.apply(np.stack([whole, changed[7 * 2 + 3]]))
    p = run.predict_proba(X.astype(np.float32))[:, run.classes.index(one.label)]
    fallen = np.log(p[0] / (1 - p[0])) - np.log(p[1] / (1 - p[1]))
    assert one.heat[2, 3] == pytest.approx(fallen, abs=1e-4)


def test_every_patch_covers_its_cell_and_nothing_far_away() -> None:
    image = np.random.default_rng(0).integers(0, 256, (70, 35, 3)).astype(np.uint8)
    whole, *patches = blurred_patches(image)
    assert (whole == image).all() and len(patches) == 49
    changed = (patches[7 * 3 + 2] != image).any(axis=2)
    assert changed[30:40, 10:15].mean() > 0.9
    assert not changed[:25].any() and not changed[45:].any() and not changed[:, 18:].any()


def test_of_several_views_the_plain_one_is_explained(workplace: Path, images: list[Path]) -> None:
    """The probability is that of all of them; the part that is seen is the centre crop."""
    run = train_on(workplace, model="pixels", size=8, views="flip", name="views")
    explained = explain(run, images)
    assert explained.notes == ("the plain view is explained; the probabilities are those of all views of the image",)
    [one, _] = explained.explanations
    assert one.view == (1 / 10, 0, 9 / 10, 8 / 9)  # 8x8 px of 10x9
    assert one.probability == predict(run, images).images[0].probability


def test_the_wrong_answers_of_the_data_of_the_run(workplace: Path) -> None:
    """As `evaluate` lists them, the most confident first; with their right classes."""
    run = on_pixels(workplace, "nearest-centroid")
    wrong = evaluate(run, run.data).answers.wrong()
    assert len(wrong) > 1
    explained = explain(run, wrong=2)
    assert [one.path for one in explained.explanations] == [one.path for one in wrong[:2]]
    assert explained.right == tuple(one.label for one in wrong[:2])
    with pytest.raises(UsageError, match="expected images to explain, or wrong=8"):
        explain(run)


def test_no_wrong_answer_is_said_in_one_line(workplace: Path, tmp_path: Path) -> None:
    run = on_pixels(workplace, "logistic")
    right = next(p for p in predict(run, run.data).images if Path(p.path).parent.name == p.label)
    (tmp_path / right.label).mkdir()
    shutil.copy(right.path, tmp_path / right.label)
    with pytest.raises(DataError, match="no answer is wrong; leave `wrong` out to explain images"):
        explain(run, tmp_path, wrong=3)


def test_several_bases_are_explained_together_where_the_head_is_linear(workplace: Path, images: list[Path]) -> None:
    """The finest grid has the sum; the rest is refused, and what is possible is named."""
    two = {"model": "pixels", "size": [8, 6], "concat": True}
    explained = explain(train_on(workplace, **two, name="two"), images)
    for one in explained.explanations:
        assert one.heat.shape == (8, 8) and one.score is not None and one.offset is not None
        assert one.heat.mean() + one.offset == pytest.approx(one.score, abs=1e-4)
        assert one.score == pytest.approx(np.log(one.probability / (1 - one.probability)), abs=1e-4)
    knn = train_on(workplace, "knn", **two, name="two-knn")
    assert explain(knn, images).method == "occlusion"
    with pytest.raises(UsageError, match="the run has 2 bases, .* for linear heads only; this run allows occlusion"):
        explain(knn, images, method="cells")


@pytest.mark.parametrize("head", ["mlp", "linear"])
def test_networks_are_explained_by_their_slopes_or_exactly(workplace: Path, images: list[Path], head: str) -> None:
    """`linear` is a network too, of one layer, and its map is exact."""
    run = train_on(workplace, head, parameters={"epochs": 3}, model="tiny", name=head)
    explained = explain(run, images)
    assert explained.method == ("cam" if head == "linear" else "hires-cam")
    for one in explained.explanations:
        assert one.score == pytest.approx(np.log(one.probability / (1 - one.probability)), abs=0.02)
        if one.offset is not None:
            assert one.heat.mean() + one.offset == pytest.approx(one.score, abs=1e-5)
    if head == "linear":
        slopes = explain(run, images, method="hires-cam").explanations
        np.testing.assert_allclose(slopes[0].heat, explained.explanations[0].heat, atol=1e-4)


def test_a_fine_tuned_run_is_explained_from_the_activation_at_the_cut(
    run: Run, workplace: Path, images: list[Path]
) -> None:
    """From its rows in the cache, at the last map of the trained part."""
    tuned = fine_tune(run, run.data, epochs=1, cache=workplace / "cache", runs=workplace / "runs").run
    explained = explain(tuned, images)
    assert explained.method == "hires-cam"
    predicted = predict(tuned, images).images
    for one, image in zip(explained.explanations, predicted, strict=True):
        assert one.heat.shape == (8, 8) and one.heat.any()
        assert one.probability == image.probability
        assert one.score == pytest.approx(np.log(image.probability / (1 - image.probability)), abs=0.02)


def test_a_run_and_its_images_may_have_been_moved(run: Run, images: list[Path], tmp_path: Path) -> None:
    """Rows belong to the bytes of an image."""
    moved = [shutil.copy(path, tmp_path / f"moved-{path.name}") for path in images]
    before, after = explain(run, images), explain(str(shutil.copytree(run.folder, tmp_path / "run")), moved)
    for one, other in zip(before.explanations, after.explanations, strict=True):
        assert one.heat.tolist() == other.heat.tolist()
