"""Standard output that is full, closed or a broken pipe, and standard error that is: of every command."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.cli import call

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
    options = "--model pixels --size 8 --runs runs"
    done = in_shell(f"train-head {photos} {options}", "> /dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("featstore: ")
    assert "Traceback" not in done.stderr
    [run] = (tmp_path / "runs").iterdir()
    done = in_shell(f"predict {run} {photos} --csv out.csv", "> /dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert len(Path("out.csv").read_text().splitlines()) == 25
    done = in_shell(f"predict {run} {photos} --csv -", "> /dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


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


def test_output_files_are_tried_before_the_work(photos: Path, tmp_path: Path) -> None:
    """Nothing is read, and the line names the option."""
    run = call("train-head", photos, "--model", "pixels", "--size", "8", "--quiet")
    assert run.code == 0
    for path, reason in (("nowhere/out.csv", "there is no folder"), (".", "it is a folder")):
        done = call("predict", "runs", photos, "--csv", path, "--cache", "untouched")
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert f"{path}: cannot be written: " in done.err
        assert "--csv" in done.err
        assert reason in done.err
    assert not Path("untouched").exists()
