"""The removal of runs: all that is a run's, nothing that is not, and nothing through a link."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import typer

import featstore
from featstore.cli import runs_remove
from featstore.errors import RunError
from featstore.extraction.recipe import Recipe
from featstore.runs.removal import FILES, plan_removal, remove
from featstore.training.head_recipe import HeadRecipe
from featstore.training.job import train
from helpers.cli import call
from helpers.paths import TESTS
from helpers.photos import write_photos

PACKAGE = Path(featstore.__file__).parent
KEPT = TESTS / "format" / "run-version-5"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    for name in ("run.json", "images.csv", "head.npz"):
        shutil.copy(KEPT / name, folder)
    return folder


def test_all_files_of_runs_are_known() -> None:
    """A file that some module writes into the folder of a run has to be named in FILES, or it would stay behind."""
    sources = [path.read_text() for package in ("runs", "heads") for path in (PACKAGE / package).glob("*.py")]
    written = {name for text in sources for name in re.findall(r'folder / "([\w.]+)"', text)}
    heads = {name for text in sources for name in re.findall(r'^FILE = "([\w.]+)"', text, re.MULTILINE)}
    assert {"run.json", "curve.csv", "head.npz"} <= written
    assert "trained.keras" in heads
    assert written | heads <= {*FILES}


def test_all_files_that_a_training_writes_are_known(tmp_path: Path) -> None:
    """So nothing stays behind."""
    places = {"cache": tmp_path / "cache", "runs": tmp_path / "runs"}
    run = train(write_photos(tmp_path / "photos", 50), Recipe(model="pixels", size=4), HeadRecipe(), **places).run
    assert "reliability.png" in {path.name for path in run.folder.iterdir()} <= {*FILES}
    remove(plan_removal(run.folder))
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("version", range(1, 10))
def test_runs_of_any_version_can_be_removed(run: Path, version: int) -> None:
    """Also of one that this release cannot read, and one that has lost its head."""
    (run / "run.json").write_text(json.dumps({"format": "featstore-run", "format_version": version}))
    (run / "head.npz").unlink()
    remove(plan_removal(run))
    assert not run.exists()


@pytest.mark.parametrize("content", [None, b"{", b"[]", b'{"format": "another"}'])
def test_a_folder_that_is_no_run_is_refused(run: Path, content: bytes | None) -> None:
    (run / "run.json").unlink()
    if content is not None:
        (run / "run.json").write_bytes(content)
    with pytest.raises(RunError, match="is not a run"):
        plan_removal(run)
    for other in (run.parent, run.parent / "nowhere", run / "head.npz"):
        with pytest.raises(RunError, match=r"is not a (run|folder)"):
            plan_removal(other)


def test_strange_files_stay_and_so_does_their_folder(run: Path) -> None:
    """Whatever their names, a link among them, and a folder with the name of a file of a run."""
    (run / "thesis.txt").write_text("years")
    (run / "curve.png").symlink_to(run / "thesis.txt")
    (run / "network.svg").mkdir()
    planned = plan_removal(run)
    assert planned.strange == ("curve.png", "network.svg", "thesis.txt")
    remove(planned)
    assert sorted(path.name for path in run.iterdir()) == ["curve.png", "network.svg", "thesis.txt"]
    assert (run / "thesis.txt").read_text() == "years"


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_link_to_a_run_is_refused(run: Path, tmp_path: Path, ending: str) -> None:
    """The run has another name, and somebody else may have linked it."""
    (tmp_path / "link").symlink_to(run)
    done = call("runs", "rm", f"{tmp_path / 'link'}{ending}", "--yes")
    assert (done.code, done.err) == (1, f"featstore: {tmp_path / 'link'}: is a link: name the folder itself\n")
    assert len(list(run.iterdir())) == 3


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(run: Path, tmp_path: Path) -> None:
    planned = plan_removal(run)
    run.rename(tmp_path / "elsewhere")
    run.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a link"):
        remove(planned)
    assert len(list((tmp_path / "elsewhere").iterdir())) == 3


def test_the_record_goes_last(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an interruption leaves can be removed by the same command."""
    real, done = os.unlink, []

    def unlink(name: str, dir_fd: int) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(name)
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink)
    with pytest.raises(KeyboardInterrupt):
        remove(plan_removal(run))
    monkeypatch.undo()
    assert done == ["head.npz", "images.csv"]  # of head.npz, images.csv and run.json
    remove(plan_removal(run))
    assert not run.exists()


def test_without_a_terminal_nothing_is_removed_unless_yes_is_given(run: Path) -> None:
    """The list says what would be."""
    done = call("runs", "rm", run)
    assert done.code == 0
    assert done.out.splitlines()[1].split()[:2] == [str(run), "3"]
    assert done.out.splitlines()[-1].startswith("would remove 1 run, 0.0")
    assert json.loads(call("runs", "rm", run, "--json").out)["removed"] is False
    assert call("runs", "rm", run, "--quiet").out == ""
    assert len(list(run.iterdir())) == 3
    (run / "note.txt").touch()
    done = call("runs", "rm", run, run, "--yes")
    assert done.out.startswith("removed 1 run, 0.0")
    assert done.err == f"{run}: note.txt stays: no run has such a file\n"


@pytest.mark.parametrize("answer", [True, False])
def test_at_a_terminal_it_asks(run: Path, answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(runs_remove.sys.stdin, "isatty", lambda: True)  # type: ignore[attr-defined]
    monkeypatch.setattr(runs_remove.typer, "confirm", lambda text: (asked.append(text), answer)[1])  # type: ignore[attr-defined]
    done = call("runs", "rm", run)
    assert asked == ["Remove this run?"]
    assert run.exists() is not answer
    assert ("removed 1 run" if answer else "would remove 1 run") in done.out


def test_the_end_of_the_input_is_no(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(text: str) -> bool:
        raise typer.Abort

    monkeypatch.setattr(runs_remove.sys.stdin, "isatty", lambda: True)  # type: ignore[attr-defined]
    monkeypatch.setattr(runs_remove.typer, "confirm", end)  # type: ignore[attr-defined]
    assert call("runs", "rm", run).code == 0
    assert len(list(run.iterdir())) == 3


def test_one_that_is_no_run_stops_all(run: Path, tmp_path: Path) -> None:
    """Before anything is removed."""
    (tmp_path / "photos").mkdir()
    done = call("runs", "rm", run, tmp_path / "photos", "--yes")
    assert done.code == 1
    assert f"{tmp_path / 'photos'}: is not a run" in done.err
    assert len(list(run.iterdir())) == 3
