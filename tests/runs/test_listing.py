"""The list of runs, and the names that runs get by themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import featstore
from featstore.errors import RunError
from featstore.runs.files import load_run
from featstore.runs.folders import publish_run
from featstore.runs.naming import default_name
from featstore.runs.run import Run
from helpers.cli import call
from helpers.paths import TESTS

KEPT = TESTS / "format" / "run-version-4"


def keep(root: Path, name: str, **changes: Any) -> Run:
    """Save a copy of a small run, with other values."""

    def build(folder: Path) -> Run:
        shutil.copytree(KEPT, folder, dirs_exist_ok=True)
        run = replace(load_run(KEPT), folder=folder, **changes)
        (folder / "run.json").write_text(json.dumps(run.describe()))
        return run

    return publish_run(root, name, build)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three runs, of which the second is of an early release."""
    keep(tmp_path / "runs", "z", date="2026-01-05T10:00:00+00:00", command="featstore train-head photos")
    shutil.copytree(KEPT, tmp_path / "runs" / "photos-pixels-rescale-4-logistic")
    os.utime(tmp_path / "runs" / "photos-pixels-rescale-4-logistic" / "run.json", (1.5e9, 1.5e9))
    keep(tmp_path / "runs", "a", date="2026-01-06T10:00:00+00:00", interrupted=True)
    return tmp_path / "runs"


def test_the_latest_run_is_the_last(root: Path) -> None:
    """A run without a date has that of its file."""
    found = featstore.list_runs(root)
    names = ["photos-pixels-rescale-4-logistic", "z", "a-interrupted"]
    assert [run.folder.name for run in found.runs] == names
    assert [run.date[:4] for run in found.runs if run.date] == ["2017", "2026", "2026"]
    assert found.broken == ()


def test_a_table_of_runs(root: Path) -> None:
    """Date, accuracy on the test split with its interval, and the settings of a run whose name does not tell them."""
    done = call("runs", root)
    header, first, second, third, last = done.out.splitlines()
    assert header.split() == ["run", "date", "(UTC)", "on", "n", "accuracy", "settings"]
    assert first.split()[1:] == ["2017-07-14", "02:40", "test", "3", "1.000", "[0.439,", "1.000]"]
    assert second.split() == [
        "z", "2026-01-05", "10:00", "test", "3", "1.000", "[0.439,", "1.000]", "photos-pixels-rescale-4-logistic"
    ]  # fmt: skip
    assert third.endswith("interrupted")
    assert (last, done.err) == ("3 runs", "")


def test_the_same_as_json(root: Path) -> None:
    """Each run as train-head prints it."""
    runs = json.loads(call("runs", root, "--json").out)["runs"]
    assert [run["interrupted"] for run in runs] == [False, False, True]
    assert [run["command"] for run in runs] == [None, "featstore train-head photos", None]
    assert runs[1]["metrics"]["test"]["accuracy"] == 1.0
    assert {"run", "date", "head", "parameters", "chosen", "seed", "key"} <= runs[0].keys()


@pytest.mark.parametrize(
    "change", [b"{", b"[]", lambda c: c.update(head="svm"), lambda c: c["recipes"][0].update(model="nothing")]
)
def test_a_broken_run_is_told_and_the_others_are_listed(root: Path, change: Any) -> None:
    """So is what a killed process has left; other folders of the user's are none of our business."""
    file = root / "z" / "run.json"
    content = json.loads(file.read_text())
    if not isinstance(change, bytes):
        change(content)
    file.write_bytes(change if isinstance(change, bytes) else json.dumps(content).encode())
    (root / ".tmp-1-abc").mkdir()
    (root / "notes").mkdir()
    done = call("runs", root)
    assert done.code == 0
    assert done.out.splitlines()[-1] == "2 runs"
    assert [line.split(":")[0] for line in done.err.splitlines()] == ["not listed", "not listed"]
    assert f"{root / '.tmp-1-abc'}: is being written, or was left by" in done.err
    broken = json.loads(call("runs", root, "--json").out)["broken"]
    assert [Path(item["path"]).name for item in broken] == [".tmp-1-abc", "z"]


def test_no_runs(tmp_path: Path) -> None:
    """An empty folder has none; one that does not exist is an error."""
    assert call("runs", tmp_path).out == "0 runs\n"
    with pytest.raises(RunError, match="nowhere: no such folder"):
        featstore.list_runs(tmp_path / "nowhere")
    assert call("runs", tmp_path / "nowhere").code == 1


def test_the_list_is_light(root: Path) -> None:
    """It loads neither a head nor a base."""
    command = [sys.executable, "-X", "importtime", "-m", "featstore", "runs", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "featstore.runs.listing" in loaded
    assert not loaded & {"tensorflow", "keras", "sklearn", "scipy", "matplotlib", "skops", "rich"}


@pytest.mark.parametrize(
    ("recipe", "reading", "spec", "run", "name"),
    [
        ({}, {}, {}, {}, "photos-pixels-rescale-4-logistic"),
        ({}, {"fit": "pad"}, {}, {}, "photos-pixels-rescale-4-pad-logistic"),
        ({"resize": 8}, {"fit": "crop", "resize": (8, 8)}, {}, {}, "photos-pixels-rescale-4-resize8-logistic"),
        ({"views": "augment:2"}, {}, {}, {"train_on": "all"}, "photos-pixels-rescale-4-augment2-logistic"),
        ({"views": "ten"}, {}, {}, {"train_on": "all"}, "photos-pixels-rescale-4-ten-logistic-all-views"),
        (
            {},
            {"interpolation": "nearest"},
            {"dtype": "float32"},
            {},
            "photos-pixels-rescale-4-nearest-float32-logistic",
        ),
        ({}, {}, {"layer": "a/b"}, {}, "photos-pixels-rescale-4-a_b-logistic"),
        ({"model": "tiny"}, {}, {"pool": "max"}, {}, "photos-pixels-rescale-4-max-logistic"),
        ({"model": "tiny"}, {}, {"pool": "none"}, {}, "photos-pixels-rescale-4-map-logistic"),
        ({"model": "tiny", "weights": "random"}, {}, {"pool": "avg"}, {}, "photos-pixels-rescale-4-random-logistic"),
        ({}, {}, {}, {"seed": 2}, "photos-pixels-rescale-4-logistic-seed2"),
        ({}, {}, {}, {"average": "logits"}, "photos-pixels-rescale-4-logistic-mean-logits"),
        ({}, {}, {}, {"parameters": {"C": 0.001, "folds": 5}}, "photos-pixels-rescale-4-logistic-C0.001"),
        ({}, {}, {}, {"head": "mlp", "parameters": {"widths": [256]}}, "photos-pixels-rescale-4-mlp"),
        (
            {},
            {},
            {},
            {"head": "mlp", "parameters": {"widths": (64, 32), "p": 0.3}},
            "photos-pixels-rescale-4-mlp-p0.3-widths64+32",
        ),
    ],
)
def test_a_name_says_what_differs(recipe: dict, reading: dict, spec: dict, run: dict, name: str) -> None:
    """From the defaults, so that two runs that differ are not `X` and `X-2`."""
    kept = load_run(KEPT)
    found = replace(kept.specs[0], reading=replace(kept.specs[0].reading, **reading), **spec)
    assert default_name(replace(kept, recipes=(replace(kept.recipes[0], **recipe),), specs=(found,), **run)) == name


def test_a_name_does_not_grow_absurd() -> None:
    """Long data sets are cut, and many differences become a digest, which differs as they do."""
    kept = load_run(KEPT)
    many = {"C": 0.123456789, "folds": 10**9, "max_iter": 10**40}
    names = [
        default_name(replace(kept, data="/x/" + "é" * 300, parameters=many | {"folds": folds})) for folds in (8, 9)
    ]
    assert len(set(names)) == 2
    assert all(len(os.fsencode(name)) < 200 for name in names)
