"""Logs for TensorBoard: what they say, read by TensorFlow's own reader."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import featstore
from featstore import Run, UsageError
from featstore.extraction.recipe import Recipe
from featstore.runs.files import load_run
from featstore.runs.settings import settings_of
from featstore.runs.tensorboard import Point, check_logs, log_run, points_of
from featstore.system.progress import Silent
from featstore.training import job
from featstore.training.head_recipe import HeadRecipe
from helpers.cli import call
from helpers.paths import TESTS
from helpers.photos import write_photos

CURVE = "epoch,loss,accuracy,val_loss,val_accuracy\n0,nan,nan,0.75,0.5\n1,0.5,0.75,0.25,0.875\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A kept run, with the curve of a fine-tuning: it begins before the first epoch."""
    shutil.copytree(TESTS / "format" / "run-version-5", tmp_path / "runs" / "mine")
    (tmp_path / "runs" / "mine" / "curve.csv").write_text(CURVE)
    return replace(load_run(tmp_path / "runs" / "mine"), chosen={"epochs": 1, "best_epoch": 1})


def test_the_curve_and_the_figures_of_the_saved_head(run: Run) -> None:
    """Training and validation share the names of their charts, as with Keras' callback."""
    points = points_of(run)
    assert [point for point in points if point.tag.startswith("epoch_")] == [
        Point("train", "epoch_loss", 1, 0.5),
        Point("train", "epoch_accuracy", 1, 0.75),
        Point("validation", "epoch_loss", 0, 0.75),
        Point("validation", "epoch_loss", 1, 0.25),
        Point("validation", "epoch_accuracy", 0, 0.5),
        Point("validation", "epoch_accuracy", 1, 0.875),
    ]
    assert Point("test", "saved_accuracy", 1, run.metrics["test"].accuracy) in points
    assert Point("test", "saved_loss", 1, run.metrics["test"].log_loss) in points


def test_a_head_without_epochs_has_its_figures_only(run: Run) -> None:
    """Its curve is over C, which is not a step."""
    (run.folder / "curve.csv").write_text("C,val_loss\n0.1,0.5\n")
    points = points_of(replace(run, chosen={"C": 0.1}))
    assert {(point.tag, point.step) for point in points} == {("saved_accuracy", 0), ("saved_loss", 0)}


def read(folder: Path) -> dict[str, Any]:
    """Return the values in the event files of a folder: (plugin, step, value) by tag, floats and texts."""
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    found: dict[str, Any] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(file)):
            event = event_pb2.Event.FromString(record.numpy())
            for value in event.summary.value:
                item = tf.make_ndarray(value.tensor).item()
                found.setdefault(value.tag, []).append((value.metadata.plugin_data.plugin_name, event.step, item))
    return found


@pytest.mark.tf
def test_tensorflow_reads_what_is_written(run: Run, tmp_path: Path) -> None:
    """Under the name of the run; a name that is taken by other logs is not used again."""
    log_run(run, tmp_path / "logs")
    folder = tmp_path / "logs" / "mine"
    assert read(folder / "validation")["epoch_loss"] == [("scalars", 0, 0.75), ("scalars", 1, 0.25)]
    assert read(folder / "train")["epoch_accuracy"] == [("scalars", 1, 0.75)]
    assert read(folder / "test")["saved_accuracy"] == [("scalars", 1, run.metrics["test"].accuracy)]
    [(plugin, step, text)] = read(folder)["settings"]
    assert (plugin, step) == ("text", 0)
    for name, value in settings_of(run).items():
        assert f"| {name} | {value} |" in text.decode().splitlines()
    log_run(run, tmp_path / "logs")
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["mine", "mine-2"]


@pytest.mark.tf
def test_a_training_logs_itself_also_if_it_is_interrupted(tmp_path: Path) -> None:
    """What was learnt until then has its logs, as it has its run."""
    data = write_photos(tmp_path / "photos", 6)
    places: dict[str, Any] = {"cache": tmp_path / "cache", "runs": tmp_path / "runs", "tensorboard": tmp_path / "logs"}
    options = ("--model", "pixels", "--size", 8, "--head", "bn-dropout", "--epochs", 2, "--name", "whole", "--quiet")
    done = call("train-head", data, *options, *(word for name, at in places.items() for word in (f"--{name}", at)))
    assert (done.code, done.out) == (0, f"{tmp_path / 'runs' / 'whole'}\n")
    whole = [step for _, step, _ in read(tmp_path / "logs" / "whole" / "train")["epoch_loss"]]

    class Stopping(Silent):
        def steps(self, title: str, unit: str = "steps") -> Any:
            def on_step(done: int, total: int) -> None:
                raise KeyboardInterrupt

            return on_step

    head = HeadRecipe(head="bn-dropout", parameters={"epochs": 2})
    with pytest.raises(KeyboardInterrupt):
        job.train(data, Recipe(model="pixels", size=8), head, name="part", progress=Stopping(), **places)
    part = [step for _, step, _ in read(tmp_path / "logs" / "part-interrupted" / "train")["epoch_loss"]]
    assert (whole, part) == ([1, 2], [1])


@pytest.mark.tf
def test_logs_that_cannot_be_written_are_a_warning(run: Run, tmp_path: Path) -> None:
    """The run is saved, and is worth more than its logs."""
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match=r"the logs of .*mine cannot be written"):
        log_run(run, tmp_path / "file")


def test_the_folder_is_tried_before_the_work(tmp_path: Path) -> None:
    """And nothing is made for it yet."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"tensorboard='.*file/logs': .*file is not a folder; choose another folder"):
        check_logs(tmp_path / "file" / "logs")
    assert check_logs(None) is None
    assert check_logs(tmp_path / "new") == tmp_path / "new"
    assert not (tmp_path / "new").exists()


def test_both_verbs_try_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the data are looked at, which are not there."""
    monkeypatch.setattr("featstore.finetuning.job.check_fine_tunable", lambda *_: None)
    options: dict[str, Any] = {"runs": tmp_path, "tensorboard": 5}
    for start in (
        lambda: featstore.train_head(tmp_path / "none", model="pixels", **options),
        lambda: featstore.fine_tune(TESTS / "format" / "run-version-5", tmp_path / "none", **options),
    ):
        with pytest.raises(UsageError, match="`tensorboard`: expected one path, found int 5"):
            start()


def test_without_the_option_nothing_is_logged(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "photos", 6)
    places = ("--cache", tmp_path / "cache", "--runs", tmp_path / "runs")
    done = call("train-head", data, "--model", "pixels", "--size", 4, *places, "--json")
    assert json.loads(done.out)["run"]
    assert not list(tmp_path.rglob("events.out.tfevents.*"))
