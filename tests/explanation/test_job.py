"""Explanations from end to end: with the rows, the base and the probabilities of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore import explain, predict, train_head
from featstore.errors import UsageError
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
