"""Standard output that is full, closed or a broken pipe, and standard error that is: of every command."""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.cli import Done, call
from helpers.photos import write_photos

FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)


def in_shell(arguments: str, redirected: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`featstore ARGUMENTS` in a shell that redirects its streams."""
    line = f"{shlex.quote(sys.executable)} -m featstore {arguments} {redirected}"
    return subprocess.run(
        ["bash", "-c", line], env={**os.environ, **variables}, capture_output=True, text=True, timeout=120
    )


@FULL
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments", ["models", "models --json", "--help", "predict --help", "--version", "cache ls --cache ."]
)
def test_a_full_standard_output_is_one_line(arguments: str, unbuffered: str) -> None:
    """The result is lost, so the exit code is 1; there is no traceback, neither of ours nor of Python's end."""
    done = in_shell(arguments, "> /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert done.stderr.startswith("featstore: standard output: cannot be written: ")
    assert done.stderr.count("\n") == 1


@FULL
def test_a_job_whose_table_is_lost_keeps_its_files(photos: Path, tmp_path: Path) -> None:
    """The run of a training and the CSV of a prediction are there, although what is printed cannot be."""

    def job(arguments: str) -> None:
        done = in_shell(arguments, "> /dev/full")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert done.stderr.startswith("featstore: standard output: cannot be written: ")

    job(f"train-head {photos} --model pixels --size 8 --runs runs --set C=1 --quiet")
    [run] = (tmp_path / "runs").iterdir()
    job(f"predict {run} {photos} --csv out.csv")
    assert len(Path("out.csv").read_text().splitlines()) == 25
    job(f"predict {run} {photos} --csv -")
    done = in_shell(f"predict {run} {photos} --quiet --csv -", "| true; echo ${PIPESTATUS[0]}")
    assert (done.stdout, done.stderr) == ("141\n", "")


@pytest.mark.parametrize("arguments", ["models", "models --json", "--help"])
def test_a_pipe_whose_reader_has_gone_is_silent(arguments: str) -> None:
    """As with `| head`: no line, and the exit code of a program that the system ends."""
    done = in_shell(f"{arguments}", "| true; echo ${PIPESTATUS[0]}", PYTHONUNBUFFERED="1")
    assert (done.stdout, done.stderr) == ("141\n", "")


@FULL
def test_notes_that_cannot_be_written_change_nothing() -> None:
    """A job does not end because nobody can be told how far it is."""
    done = in_shell("models", "2> /dev/full")
    assert (done.returncode, "MobileNetV2" in done.stdout) == (0, True)
    assert in_shell("nothing", "2> /dev/full").returncode == 2


def test_notes_never_go_to_standard_output() -> None:
    """Where standard error is closed, `print` would write them to standard output; where that is closed, nothing is."""
    done = in_shell("nothing", "2>&-")
    assert (done.returncode, done.stdout) == (2, "")
    assert in_shell("models", ">&-").returncode == 0
    assert in_shell("models --json", "<&- | wc -l").stdout.split() == ["1"]


OUTPUTS = {  # the options that name a file to write, and the ending of a name that they take
    ("features", "--out"): ".npz",
    ("find-lr", "--plot"): ".png",
    ("learning-curve", "--chart"): ".png",
    ("predict", "--csv"): ".csv",
    ("predict", "--sheet"): ".png",
    ("explain", "--sheet"): ".png",
    ("evaluate", "--csv"): ".csv",
    ("evaluate", "--confusion"): ".csv",
    ("compare", "--csv"): ".csv",
    ("compare", "--chart"): ".png",
    ("draw", "--output"): ".png",
    ("audit", "--out"): ".json",
    ("audit", "--csv"): ".csv",
    ("audit", "--fix-split"): ".csv",
    ("report", "--out"): ".html",
}
FOLDERS = {("explain", "--out")}  # options that name a folder to write into
OTHER_PATHS = {
    "--cache",
    "--runs",
    "--folder",
    "--class-index",
    "--journal",
    "--tensorboard",
}  # folders, and files that are read


def test_no_output_option_is_forgotten() -> None:
    """Every option that takes a path is in one of these lists."""
    from typer.main import get_command

    from featstore.cli.app import make_app

    found = set()
    for name, command in get_command(make_app()).commands.items():  # type: ignore[attr-defined]
        for parameter in command.params:
            if type(parameter.type).__name__ in ("Path", "TyperPath") and parameter.opts[0].startswith("--"):
                found |= {(name, option) for option in parameter.opts if option not in OTHER_PATHS}
    assert found == {*OUTPUTS, *FOLDERS}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos and a run."""
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 6)
    places = ("--cache", folder / "cache", "--runs", folder / "runs")
    assert call("train-head", folder / "photos", "--model", "pixels", "--size", "8", "--name", "run", *places).code == 0
    return folder


def with_output(work: Path, command: str, option: str, path: object) -> Done:
    run, photos = work / "runs" / "run", work / "photos"
    data = (photos, "--model", "pixels", "--size", "8")
    takes = {
        "predict": (run, photos),
        "explain": (run, photos),
        "evaluate": (run, photos),
        "draw": (run,),
        "features": data,
        "compare": data,
        "audit": data,
        "report": data,
        "learning-curve": data,
        "find-lr": (*data, "--head", "linear"),
    }
    return call(command, *takes[command], "--cache", "untouched", option, path)


@pytest.mark.parametrize(("command", "option"), OUTPUTS)
def test_an_output_is_tried_before_the_work(work: Path, command: str, option: str) -> None:
    """Nothing is computed for a file that cannot be written; the line names it and the option."""
    ending = OUTPUTS[command, option]
    Path(f"folder{ending}").mkdir()
    for path, reason in ((f"nowhere/out{ending}", "there is no folder"), (f"folder{ending}", "it is a folder")):
        done = with_output(work, command, option, path)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        assert done.err.startswith(f"featstore: {path}: cannot be written: {reason}")
        assert done.err.endswith(f"choose another file for {option}\n")
    assert not Path("untouched").exists()


@pytest.mark.parametrize(("command", "option"), OUTPUTS)
def test_an_output_on_standard_output_is_alone_there_or_refused(work: Path, command: str, option: str) -> None:
    """A dash is never the name of a file; a table would break a CSV, and a picture has a kind."""
    done = with_output(work, command, option, "-")
    if OUTPUTS[command, option] == ".json":
        assert done.code == 0
        json.loads(done.out)
    elif OUTPUTS[command, option] == ".csv":
        assert done.code == 0
        [width] = {len(row) for row in csv.reader(done.out.splitlines())}
        assert width > 2
    else:
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert not Path("-").exists()
