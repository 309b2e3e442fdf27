"""Trainings that do not reach their end: the best so far is a run that says so, and the message tells the truth."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import featstore
from featstore.errors import StoreError, UsageError
from featstore.extraction.recipe import Recipe
from featstore.heads.loop import Training
from featstore.runs import folders
from featstore.runs.folders import run_folders
from featstore.runs.run import Run
from featstore.system.progress import Silent
from featstore.training import job
from featstore.training.head_recipe import HeadRecipe
from featstore.training.job import train
from helpers.children import command, environment
from helpers.photos import write_photos

PIXELS = Recipe(model="pixels", size=8)
LONG = HeadRecipe(head="bn-dropout", parameters={"epochs": 500, "patience": 500, "batch": 8, "units": 8})


class Stopping(Silent):
    """A display that raises `error` after an epoch of the training."""

    def __init__(self, error: BaseException, epoch: int = 3) -> None:
        self._error, self._epoch = error, epoch

    def steps(self, title: str, unit: str = "steps") -> Callable[[int, int], None]:
        def on_step(done: int, total: int) -> None:
            if title == LONG.head and done == self._epoch:
                raise self._error

        return on_step


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("work") / "photos", 12)


def places(tmp_path: Path) -> dict[str, Any]:
    return {"cache": tmp_path / "cache", "runs": tmp_path / "runs"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreError("full"), RuntimeError("out of memory")])
def test_the_best_epoch_of_an_interrupted_training_is_a_run(data: Path, tmp_path: Path, error: BaseException) -> None:
    """It predicts, says in its record and its name that it was interrupted, and the exception says where it is."""
    with pytest.raises(type(error)) as caught:
        train(data, PIXELS, LONG, **places(tmp_path), progress=Stopping(error))
    [folder] = run_folders(tmp_path / "runs")
    assert caught.value.__notes__ == [
        f"the best of the 3 epochs so far is saved in {folder}, marked as interrupted; "
        "the same command begins the training again from the start"
    ]
    run = featstore.load_run(folder)
    assert run.interrupted
    assert folder.name.endswith("-interrupted")
    assert run.chosen["epochs"] == 3
    assert str(run).startswith("interrupted after 3 epochs: ")
    assert len(featstore.predict(run, data).images) == 24
    evaluated = featstore.evaluate(run, data)
    assert {split: m.log_loss for split, m in evaluated.metrics.items()} == pytest.approx(
        {split: m.log_loss for split, m in run.metrics.items()}, rel=1e-4
    )


def test_a_whole_run_says_nothing_of_an_interruption(data: Path, tmp_path: Path) -> None:
    run = train(data, PIXELS, HeadRecipe(parameters={"C": 1.0}), **places(tmp_path)).run
    assert not run.interrupted
    assert "interrupted" not in f"{run}{run.folder.name}"


def test_without_a_complete_epoch_no_run_is_saved(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the message does not claim that there is one."""

    def interrupted(self: Training, batches: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "_run_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(data, PIXELS, LONG, **places(tmp_path))
    [note] = caught.value.__notes__
    assert (
        note
        == "no epoch made it better yet, so no run is saved; the same command begins the training again from the start"
    )
    assert not run_folders(tmp_path / "runs")


def test_a_best_epoch_that_cannot_be_saved_is_told(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption that says nothing would be taken for one that kept it."""

    def full(*arguments: Any) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(job, "save_run", full)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(data, PIXELS, LONG, **places(tmp_path), progress=Stopping(KeyboardInterrupt()))
    assert caught.value.__notes__[0].startswith("the best so far could not be saved: the disk is full; ")


def test_a_training_that_diverges_late_keeps_what_was_good(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is told as before, and beside it where the best epoch is."""
    real = Training._run_epoch

    def diverging(self: Training, batches: Any) -> Any:
        figures = real(self, batches)
        return dict.fromkeys(figures, float("nan")) if self.epochs == 2 else figures

    monkeypatch.setattr(Training, "_run_epoch", diverging)
    with pytest.raises(UsageError, match="not finite") as caught:
        train(data, PIXELS, LONG, **places(tmp_path))
    assert "the best of the 2 epochs so far is saved in " in caught.value.__notes__[0]
    assert len(run_folders(tmp_path / "runs")) == 1


@pytest.mark.parametrize(
    "head", [HeadRecipe(parameters={"C": 1.0}), HeadRecipe(head="bn-dropout", parameters={"epochs": 2})]
)
def test_an_interruption_while_a_whole_run_is_saved_saves_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: HeadRecipe
) -> None:
    """The training is complete, so its run is not marked."""
    real, calls = job.save_run, iter([KeyboardInterrupt()])

    def interrupted_once(run: Run, *rest: Any) -> None:
        for stop in calls:
            raise stop
        real(run, *rest)

    monkeypatch.setattr(job, "save_run", interrupted_once)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(data, PIXELS, head, **places(tmp_path))
    [folder] = (tmp_path / "runs").iterdir()
    assert caught.value.__notes__[0].startswith(f"the training was complete: it is saved in {folder}; ")
    assert not featstore.load_run(folder).interrupted


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreError("the disk is full")])
def test_a_run_that_has_its_name_is_not_saved_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """The interruption, or a failure of the disk, comes while the new name is brought to disk."""
    real = folders.take_name

    def interrupted_late(folder: Path, name: Path) -> bool:
        real(folder, name)
        raise error

    monkeypatch.setattr(folders, "take_name", interrupted_late)
    with pytest.raises(type(error)) as caught:
        train(data, PIXELS, HeadRecipe(parameters={"C": 1.0}), **places(tmp_path))
    [folder] = (tmp_path / "runs").iterdir()
    [note] = caught.value.__notes__
    assert note.startswith(f"the training was complete: it is saved in {folder}; ")
    assert featstore.load_run(folder).metrics["train"].n > 0


def test_a_second_interruption_ends_the_saving(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left, and nothing is claimed."""

    def interrupted_too(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "save_run", interrupted_too)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(data, PIXELS, LONG, **places(tmp_path), progress=Stopping(KeyboardInterrupt()))
    assert not getattr(caught.value, "__notes__", [])
    assert not list((tmp_path / "runs").iterdir())


def test_a_run_that_cannot_be_saved_leaves_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure is told once, without a claim that something is saved."""

    def full(*_: object) -> None:
        raise StoreError("no space left")

    monkeypatch.setattr(job, "save_run", full)
    with pytest.raises(StoreError, match="no space left") as caught:
        train(data, PIXELS, HeadRecipe(parameters={"C": 1.0}), **places(tmp_path))
    assert not getattr(caught.value, "__notes__", [])
    assert not list((tmp_path / "runs").iterdir())


def featstore_in_slow_motion(slow: str, *arguments: str) -> None:
    """The command line, which prints a line before each epoch or each saving, and then takes its time."""
    from featstore.cli import app

    owner, name = {"epoch": (Training, "_run_epoch"), "saving": (job, "save_run")}[slow]
    real = getattr(owner, name)

    def slowly(*given: Any) -> Any:
        print(slow, flush=True)
        time.sleep(0.2)
        return real(*given)

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under `nohup`
    setattr(owner, name, slowly)
    sys.argv = ["featstore", *arguments]
    app.main()


@contextmanager
def started(tmp_path: Path, slow: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    line = command(featstore_in_slow_motion, slow, *arguments)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, env=environment(), cwd=tmp_path, **pipes) as child:  # type: ignore[call-overload]
        yield child


@pytest.mark.tf
@pytest.mark.parametrize(
    ("slow", "stop"),
    [("epoch", signal.SIGINT), ("epoch", signal.SIGTERM), ("saving", signal.SIGINT), ("saving", signal.SIGHUP)],
)
def test_a_process_that_is_asked_to_stop_keeps_its_head(
    data: Path, tmp_path: Path, slow: str, stop: signal.Signals
) -> None:
    """One line says where the run is, one what the same command does; the exit code is that of the signal."""
    arguments = ["train-head", data, "--model", "pixels", "--size", "8"]
    if slow == "epoch":
        arguments += ["--head", "bn-dropout", "--set", "epochs=500", "--set", "patience=500", "--set", "units=8"]
    with started(tmp_path, slow, *arguments) as child:
        assert child.stdout is not None
        for _ in range(3 if slow == "epoch" else 1):
            assert child.stdout.readline().strip() == slow
        child.send_signal(stop)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 128 + stop
    [folder] = (tmp_path / "runs").iterdir()
    run = featstore.load_run(folder)
    assert run.interrupted == (slow == "epoch")
    saving, told, last = err.splitlines()[-3:]
    assert saving == "interrupted: saving the best so far; interrupt once more to leave without it"
    assert f"is saved in runs/{folder.name}" in told
    assert told.endswith("the same command begins the training again from the start")
    assert last == (
        "featstore: interrupted; rows in the cache are kept, and the same command does not compute them again"
    )
    assert run.command is not None
    assert run.command.startswith("featstore train-head ")
