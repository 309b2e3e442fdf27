"""`featstore fine-tune` inside this process, and interrupted as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.cli import WARNINGS, Done, call
from helpers.photos import write_photos

FIELDS = {
    "run",
    "head_run",
    "cut",
    "trainable_layers",
    "metrics_before",
    "metrics_after",
    "hand_over",
    "difference",
    "verdict",
    "recommended",
    "seconds",
    "notes",
    "remarks",
    "data",
    "skipped",
    "chosen",
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 24)
    quick = ("--head", "bn-dropout", "--set", "epochs=4", "--set", "units=32", "--set", "batch=16", "--name", "quick")
    options = ("--model", "tiny", "--cache", folder / "cache", "--runs", folder / "runs")
    assert call("train-head", folder / "photos", *options, *quick, "--quiet").code == 0
    return folder


def tune(work: Path, *arguments: object) -> Done:
    run = work / "runs" / "quick"
    return call("fine-tune", run, work / "photos", "--cache", work / "cache", *arguments)


def test_words_of_other_tools_are_options(work: Path) -> None:
    """As in train-head, whose parameters have the same names."""
    done = tune(work, "--epochs", 1, "--lr", 1e-2, "--batch-size", 8, "--name", "words", "--quiet")
    assert done.code == 0, done.err
    settings = json.loads((work / "runs" / "words" / "run.json").read_text())["parameters"]
    assert (settings["rate"], settings["batch"]) == (1e-2, 8)


def test_json_has_what_a_script_needs(work: Path) -> None:
    """One object: both runs, the cut, what was trained, metrics before and after, and which run to use."""
    done = tune(work, "--json", "--epochs", 3, "--rate", 1e-2, "--batch", 8)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found) == FIELDS
    assert found["cut"] == "block1b_out"
    assert found["trainable_layers"][-1] == "head"
    assert set(found["seconds"]) == {"features", "fit", "total"}
    assert found["recommended"] in (found["run"], found["head_run"])
    assert set(found["metrics_before"]) == set(found["metrics_after"]) == {"train", "val", "test"}
    assert "validation" in found["verdict"]
    assert found["data"]["layout"] == "class folders"
    assert {line.split(":")[0] for line in done.err.splitlines()} == {"2 classes"}
    assert found["chosen"]["epochs"] == 3


def test_a_table_for_people(work: Path) -> None:
    """The table has both metrics, the difference, the verdict, and the folder of the run."""
    done = tune(work, "--epochs", 1, "--blocks", 2, "--rate-of", "head=1e-3", "--memory", "1M", "--optimizer", "adam")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("cut at block1a_out: ")
    assert lines[1].split()[:4] == ["split", "n", "accuracy", "before"]
    assert [line.split()[0] for line in lines[2:5]] == ["train", "val", "test"]
    assert lines[5].startswith("difference: ")
    assert "validation" in lines[6]
    assert "; recommended: " in lines[-1]
    assert all(line.startswith("remark: ") for line in lines[7:-2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--blocks", 9), "this base has 3 blocks that can be unfrozen; to train the whole network use --whole"),
        (("--unfreeze-from", "block9"), "no layer 'block9' below the features; the nearest possible is"),
        (("--unfreeze", "block2a", "--whole"), "exclude each other: give one of them"),
    ],
)
def test_what_makes_no_sense_is_one_line(work: Path, arguments: tuple[object, ...], message: str) -> None:
    """With exit code 2."""
    done = tune(work, *arguments)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_ctrl_c_keeps_the_best_epoch_and_says_where(work: Path, tmp_path: Path) -> None:
    """A process in the midst of thousands of epochs ends with 130, and its run is complete."""
    run = work / "runs" / "quick"
    options = ("--epochs", "100000", "--patience", "100000", "--rate", "1e-2", "--runs", tmp_path / "new")
    command = ["fine-tune", run, work / "photos", "--cache", work / "cache", *options, "--unfreeze", "widen"]
    code = (
        "import sys\n"
        "from featstore.cli import app\n"
        "from featstore.heads.loop import Training\n"
        "run_epoch = Training._run_epoch\n"
        "def told(self, batches):\n"
        "    if self.best_epoch and self.epochs == 5: print('five epochs', flush=True)\n"
        "    return run_epoch(self, batches)\n"
        "Training._run_epoch = told\n"
        "app.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, *WARNINGS, "-c", code, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "five epochs\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    [folder] = (tmp_path / "new").iterdir()
    assert f"epochs so far is saved in {folder}, marked as interrupted; the same command begins" in err
    done = call("evaluate", folder, work / "photos", "--cache", work / "cache", "--json")
    assert json.loads(done.out)["metrics"] == json.loads((folder / "run.json").read_text())["metrics"]
