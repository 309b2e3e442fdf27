"""`featstore runs` and its verbs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from featstore.runs.files import load_run
from helpers.cli import call
from helpers.paths import TESTS


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs in `runs`, one with a better accuracy."""
    for version, name, accuracy in ((4, "b", 1.0), (5, "a", 0.5)):
        shutil.copytree(TESTS / "format" / f"run-version-{version}", tmp_path / "runs" / name)
        file = tmp_path / "runs" / name / "run.json"
        content = json.loads(file.read_text())
        content["metrics"]["test"]["accuracy"] = accuracy
        file.write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def test_without_a_verb_they_are_listed(root: Path) -> None:
    """As before there were verbs; options are those of `ls`."""
    expected = call("runs", "ls", root).out
    assert expected.splitlines()[-1] == "2 runs"
    assert call("runs", root).out == call("runs").out == call("runs", "ls").out == expected
    assert json.loads(call("runs", "--json").out) == json.loads(call("runs", "ls", "runs", "--json").out)
    assert call("runs", "--quiet").out.splitlines() == call("runs", "ls", "--quiet").out.splitlines()


def test_quiet_prints_what_a_script_wants(root: Path) -> None:
    assert sorted(call("runs", "ls", root, "--quiet").out.splitlines()) == [str(root / "a"), str(root / "b")]


@pytest.mark.parametrize(("order", "names"), [("name", ["a", "b"]), ("accuracy", ["a", "b"])])
def test_they_are_sorted_as_asked(root: Path, order: str, names: list[str]) -> None:
    """The best last, so that it is next to the prompt."""
    assert [Path(line).name for line in call("runs", "ls", "--sort", order, "--quiet").out.splitlines()] == names
    done = call("runs", "ls", "--sort", "size")
    assert done.code == 2
    assert "'size' is not one of 'date', 'name', 'accuracy'" in done.err


def test_a_verb_that_is_misspelled_is_answered(root: Path) -> None:
    """It is not taken for the name of a folder, unless there is one."""
    done = call("runs", "shwo", root / "a")
    assert (done.code, done.err) == (2, "featstore: shwo: no such folder, and no such command; did you mean show?\n")
    (root.parent / "lss").mkdir()
    assert call("runs", "lss").out == "0 runs\n"
    assert call("runs", "nowhere").code == 1


def test_show_has_all_that_a_run_records(root: Path) -> None:
    """What its training printed comes first."""
    run = load_run(root / "a")
    done = call("runs", "show", root / "a")
    assert done.out.startswith(f"{run}\n")
    rows = {line.split(None, 1)[0]: line.split(None, 1)[1] for line in done.out.splitlines() if len(line.split()) > 1}
    assert (rows["head"], rows["size"], rows["classes"]) == (run.head, "4", ", ".join(run.classes))
    assert (rows["key"], rows["data"]) == (run.key, run.data)
    assert f"numpy {run.versions['numpy']}" in rows["versions"]
    assert {"run.json", "images.csv", "head.npz"} <= rows.keys()
    assert call("runs", "show", root / "a", "--quiet").out == ""
    assert call("runs", "show", root).code == 1


def test_show_as_json(root: Path) -> None:
    run = load_run(root / "a")
    found = json.loads(call("runs", "show", root / "a", "--json").out)
    assert (found["run"], found["versions"], found["data"]) == (str(run.folder), run.versions, run.data)
    assert found["specs"] == [spec.describe() for spec in run.specs]
    assert found["files"]["run.json"] == (root / "a" / "run.json").stat().st_size
