"""The folders of runs: built under a temporary name, and named when they are complete."""

from __future__ import annotations

import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from featstore.errors import FeatstoreError, RunError, UsageError
from featstore.extraction.recipe import Recipe
from featstore.runs.files import load_run
from featstore.runs.folders import check_name, publish_run, run_folders
from featstore.runs.run import Run
from featstore.training.job import train
from helpers.children import command, environment
from helpers.paths import TESTS
from helpers.photos import write_photos

KEPT = TESTS / "format" / "run-version-3"


def build(folder: Path) -> Run:
    """Write what stands for the files of a run."""
    (folder / "run.json").write_text("{}")
    return replace(load_run(KEPT), folder=folder)


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


def test_several_processes_get_different_names(tmp_path: Path) -> None:
    """Each run has a folder of its own, and no temporary one is left."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: publish_run(tmp_path / "runs", "name", build).folder, range(24)))
    expected = {"name", *(f"name-{n}" for n in range(2, 25))}
    assert {folder.name for folder in made} == names(tmp_path / "runs") == expected


def test_names_of_other_things_are_not_taken(tmp_path: Path) -> None:
    """A file, a link that leads nowhere and an empty folder stay as they are."""
    (tmp_path / "name").touch()
    (tmp_path / "name-2").symlink_to("nowhere")
    (tmp_path / "name-3").mkdir()
    assert publish_run(tmp_path, "name", build).folder.name == "name-4"
    assert (tmp_path / "name").is_file()
    assert not list((tmp_path / "name-3").iterdir())


def test_an_interrupted_run_leaves_the_name_to_a_whole_one(tmp_path: Path) -> None:
    """The same command then gets it."""
    publish_run(tmp_path, "name", lambda folder: replace(build(folder), interrupted=True))
    publish_run(tmp_path, "name", build)
    assert names(tmp_path) == {"name", "name-interrupted"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RunError("full")])
def test_a_run_that_is_not_complete_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    """Neither a folder nor a name that is taken."""

    def fail(folder: Path) -> Run:
        (folder / "head.npz").write_bytes(b"x")
        raise error

    with pytest.raises(type(error)):
        publish_run(tmp_path, "name", fail)
    assert not names(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_expected_error(tmp_path: Path) -> None:
    """The message names the option to change it with."""
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="`runs`"):
        publish_run(tmp_path / "file", "name", build)


@pytest.mark.parametrize("name", ["", " ", ".", "..", ".hidden", "a/b", "/a", "a/", "a\0b"])
def test_a_name_is_one_part_of_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="expected a name without /"):
        check_name(tmp_path, name)


def test_a_name_that_is_taken_is_refused_before_the_work(tmp_path: Path) -> None:
    """A run is never written over, and a user who names it does not look for `name-2`."""
    data = write_photos(tmp_path / "photos", 4)
    places = {"cache": tmp_path / "cache", "runs": tmp_path / "runs"}
    run = train(data, Recipe(model="pixels", size=8), name="mine", **places).run
    assert run.folder == tmp_path / "runs" / "mine"
    with pytest.raises(FeatstoreError, match="mine: there is one already; give another `name`"):
        train(data, Recipe(model="pixels", size=4), name="mine", **places)
    assert len(list((tmp_path / "cache").glob("pixels/*"))) == 1


def publish_slowly(root: str) -> None:
    """Publish a run, for a process that is killed meanwhile."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

    def slow(folder: Path) -> Run:
        (folder / "run.json").write_text("{}")
        print("building", flush=True)
        time.sleep(60)
        raise AssertionError("not killed")

    publish_run(Path(root), "name", slow)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_what_a_killed_process_leaves_is_no_run(tmp_path: Path, kill: signal.Signals) -> None:
    """It takes no name either, even if all its files are there."""
    arguments = command(publish_slowly, tmp_path)
    with subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(kill)
    assert run_folders(tmp_path) == []
    assert len(names(tmp_path)) == (kill == signal.SIGKILL)
    assert publish_run(tmp_path, "name", build).folder.name == "name"
    assert [folder.name for folder in run_folders(tmp_path)] == ["name"]
