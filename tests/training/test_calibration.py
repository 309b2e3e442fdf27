"""The temperature of a run: chosen by its validation images, and the same in training, evaluation and prediction."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featstore
from featstore import evaluation
from featstore.comparison.grid import Measurement
from featstore.comparison.job import measure_grid
from featstore.datasets.manifest import Picture
from featstore.errors import RunError
from featstore.evaluation.averaging import predict_views
from featstore.evaluation.temperature import scale
from featstore.extraction.recipe import Recipe
from featstore.features.views import load_in_blocks
from featstore.runs.files import load_run
from featstore.runs.recipes import plans_of
from featstore.runs.run import Run
from featstore.training.calibration import scores_for, temperature_for
from featstore.training.head_recipe import HeadRecipe
from helpers.photos import write_photos

RECIPE = Recipe(model="tiny", views="flip")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 20)
    return folder


@pytest.fixture(autouse=True)
def chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few images would choose 1, with which nothing could be told apart."""
    monkeypatch.setattr(evaluation.temperature, "choose_temperature", lambda *_: 2.0)


def train(work: Path, data: str = "photos", **options: Any) -> Run:
    return featstore.train_head(
        work / data, "logistic", {"C": 0.01}, model="tiny", views="flip", cache=work / "cache",
        runs=tempfile.mkdtemp(dir=work), **options,
    )  # fmt: skip


@pytest.mark.parametrize("average", ["probabilities", "logits", "features"])
def test_train_evaluate_and_predict_agree(work: Path, average: Any) -> None:
    """Views are averaged first, and the temperature comes last."""
    run = load_run(train(work, average=average).folder)
    assert run.temperature == 2.0
    uses = {split: m.used_for for split, m in run.metrics.items()}
    assert uses == {"train": "training", "val": "calibrating", "test": "measuring"}
    found = featstore.evaluate(run, work / "photos", cache=work / "cache")
    for split, metrics in found.metrics.items():
        assert metrics.log_loss == pytest.approx(run.metrics[split].log_loss)
        assert (metrics.accuracy, metrics.used_for) == (run.metrics[split].accuracy, run.metrics[split].used_for)
    pictures = featstore.extract(work / "photos", model="tiny", views="flip", cache=work / "cache").manifest.pictures
    [X] = load_in_blocks(
        pictures, plans_of(run, None, featstore.Cache(work / "cache")), featstore.Cache(work / "cache")
    )
    by_hand = scale(predict_views(run.load_head().predict_proba, X, average), 2.0)
    images = featstore.predict(run, work / "photos", cache=work / "cache").images
    assert np.array([image.probabilities for image in images]) == pytest.approx(by_hand)


def test_no_accuracy_changes_and_it_can_be_left_out(work: Path) -> None:
    """Then the validation images have measured, and the scores for sets of classes are still there."""
    scaled, plain = train(work), train(work, calibrate=False)
    assert plain.temperature is None
    assert plain.metrics["val"].used_for == "measuring"
    assert plain.conformal is not None
    assert len(plain.conformal) == plain.metrics["val"].n
    assert plain.conformal != scaled.conformal
    for split, metrics in plain.metrics.items():
        assert metrics.accuracy == scaled.metrics[split].accuracy
        assert metrics.log_loss != scaled.metrics[split].log_loss


def test_without_validation_images_nothing_is_chosen(work: Path) -> None:
    """And no set of classes can be promised."""
    for split in ("train", "test"):  # the only image of a class is trained on
        write_photos(work / "few" / split, 1, first=30 + len(split))
    run = train(work, "few")
    assert (run.temperature, run.conformal) == (None, None)
    with pytest.raises(RunError, match="has no scores of validation images, which `unsure` needs"):
        featstore.predict(run, work / "few", unsure=0.5, cache=work / "cache")


def test_a_comparison_has_the_log_loss_of_the_run(work: Path) -> None:
    """The command of a row gives its figures; where the validation split is measured on, it chooses nothing."""
    run = train(work)
    settings = {"C": 0.01}
    [row] = measure_grid(work / "photos", [RECIPE], ["logistic"], settings, cache=work / "cache").rows
    assert row.log_loss == pytest.approx(run.metrics["test"].log_loss)
    measured = measure_grid(
        work / "photos", [RECIPE], ["logistic"], settings, HeadRecipe(), Measurement(test_fraction=0),
        cache=work / "cache",
    )  # fmt: skip
    alone = train(work, calibrate=False, test_fraction=0)
    assert measured.rows[0].log_loss == pytest.approx(alone.metrics["val"].log_loss)
    assert "--no-calibrate" in measured.rows[0].command


def test_copies_of_training_images_are_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head is surer of them than it would be of new images."""
    used: list[int] = []
    monkeypatch.setattr(evaluation.temperature, "choose_temperature", lambda p, *_: used.append(len(p)) or 1.0)
    pictures = [Picture(f"{name}.png", None, "ab"[n % 2]).with_digest(name) for n, name in enumerate("uvwxyz")]
    p = {"val": np.full((4, 2), 0.5)}
    splits = {"train": pictures[:3], "val": pictures[2:]}
    assert temperature_for(p, splits, "ab") == 1.0
    assert used == [3]
    assert scores_for(p, splits, "ab") == (0.5,) * 3
    only_copies = {"train": pictures, "val": pictures[2:]}
    assert temperature_for(p, only_copies, "ab") is None
    assert scores_for(p, only_copies, "ab") is None


@pytest.mark.parametrize(
    "field, value",
    [
        ("temperature", 0),
        ("temperature", -1.5),
        ("temperature", "hot"),
        ("conformal", [0.5, 0.1]),
        ("conformal", [2.0]),
    ],
)
def test_a_record_that_cannot_be_is_refused(work: Path, tmp_path: Path, field: str, value: object) -> None:
    """A run that was edited or damaged must not scale its probabilities by nonsense."""
    folder = shutil.copytree(train(work).folder, tmp_path / "run")
    content = json.loads((folder / "run.json").read_text()) | {field: value}
    (folder / "run.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=field):
        load_run(folder)


def test_a_fine_tuned_run_has_a_temperature_of_its_own(work: Path) -> None:
    """Where its head has one. The hand-over compares the two networks at the temperature of the head."""
    options: dict[str, Any] = {"model": "tiny", "cache": work / "cache", "runs": work / "heads"}
    for calibrate, temperature in ((True, 2.0), (False, None)):
        head = featstore.train_head(work / "photos", "logistic", {"C": 0.01}, calibrate=calibrate, **options)
        tuned = featstore.fine_tune(head, work / "photos", epochs=1, cache=work / "cache")
        assert tuned.run.temperature == temperature
        assert tuned.metrics_before == head.metrics
        assert tuned.run.conformal is not None
        assert tuned.fine_tuning.hand_over.largest_difference < 2e-3
        found = featstore.evaluate(tuned.run, work / "photos", cache=work / "cache").metrics
        assert {split: m.log_loss for split, m in found.items()} == pytest.approx(
            {split: m.log_loss for split, m in tuned.metrics_after.items()}
        )


def test_a_temperature_is_shown_with_what_training_chose(work: Path) -> None:
    """One of 1 changes nothing and is left out."""
    run = train(work)
    assert "\nlogistic (C 0.01, temperature 2): " in str(run)
    assert "\nlogistic (C 0.01): " in str(replace(run, temperature=1.0))
