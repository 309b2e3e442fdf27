"""Moves: a run says which images were in another split in earlier runs of the same data."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featstore
from featstore.datasets.splits import complete_splits
from featstore.errors import LeakWarning
from featstore.runs.files import load_splits
from featstore.runs.run import Run
from helpers.cli import call

PIXELS = ("--model", "pixels", "--size", "8", "--set", "C=1")


def add(data: Path, each: int, first: int = 0) -> None:
    """Add images of noise, which differ by their number, to three classes."""
    for number, label in enumerate("abc"):
        (data / label).mkdir(parents=True, exist_ok=True)
        for image in range(first, first + each):
            noise = np.random.default_rng(1000 * number + image).integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(noise).save(data / label / f"{image}.png")


def train(tmp_path: Path, data: str = "d", **options: float) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)
        return featstore.train_head(
            tmp_path / data, "logistic", {"C": 1.0}, model="pixels", size=8, cache=tmp_path / "cache",
            runs=tmp_path / "runs", **options,
        )  # fmt: skip


def moved(one: Run, other: Run) -> Mapping[str, tuple[str, str]]:
    before, now = load_splits(one), load_splits(other)
    return {digest: (before[digest], now[digest]) for digest in before if before[digest] != now[digest]}


def test_images_that_moved_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their number, some of their names and both splits: on standard error, in JSON and in run.json."""
    monkeypatch.chdir(tmp_path)
    add(tmp_path / "d", 3)
    first = train(tmp_path)
    assert first.notes == ()
    add(tmp_path / "d", 12, 3)
    done = call("train-head", "d", *PIXELS, "--cache", "cache", "--runs", "runs", "--json")
    result = json.loads(done.out)
    [note] = result["notes"]
    moves = moved(first, featstore.load_run(result["run"]))
    assert moves
    crossed = sum({*move} == {"train", "test"} for move in moves.values())
    assert note.startswith(f"{len(moves)} image{'s are' if len(moves) > 1 else ' is'} in another split than in runs/")
    assert (f"({crossed} between train and test)" in note) == (crossed > 0)
    before, now = next(iter(sorted(moves.values(), key=lambda move: {*move} != {"train", "test"})))
    assert f".png ({before}, now {now})" in note
    assert note in done.err
    assert featstore.load_run(result["run"]).notes == (note,)


def test_python_warns(tmp_path: Path) -> None:
    """As it does about leaks."""
    add(tmp_path / "d", 6)
    train(tmp_path)
    with pytest.warns(LeakWarning, match="in another split than in"):
        featstore.train_head(
            tmp_path / "d", "logistic", {"C": 1.0}, test_fraction=0.5, model="pixels", size=8,
            cache=tmp_path / "cache", runs=tmp_path / "runs",
        )  # fmt: skip


def test_every_earlier_run_counts(tmp_path: Path) -> None:
    """A run that is like the last one may still be unlike an older one; both are counted."""
    add(tmp_path / "d", 9)
    runs = [train(tmp_path, test_fraction=fraction) for fraction in (0.2, 0.25, 0.5, 0.5)]
    expected = {**moved(runs[0], runs[3]), **moved(runs[1], runs[3])}
    [note] = runs[3].notes
    assert note.startswith(f"{len(expected)} images are in another split than in ")
    assert " and 1 earlier run" in note


def test_other_data_and_broken_runs_do_not_count(tmp_path: Path) -> None:
    """Only runs of the same data; a run that cannot be read says nothing, and costs nothing."""
    add(tmp_path / "d", 6)
    add(tmp_path / "e", 6)
    first = train(tmp_path, "e", test_fraction=0.5)
    for name, content in (("broken", b"{"), ("list", b"[]"), ("text", b'"x"')):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "run.json").write_bytes(content)
    assert train(tmp_path).notes == ()
    (first.folder / "images.csv").write_text("what?\n")
    assert train(tmp_path, "e").notes == ()


def test_a_folder_that_grows_moves_few_and_none_between_train_and_test(tmp_path: Path) -> None:
    """From 40 to 60 images of each class; the run says how many moved, and extraction makes the same splits."""
    add(tmp_path / "d", 40)
    first = train(tmp_path)
    add(tmp_path / "d", 20, 40)
    second = train(tmp_path)
    moves = moved(first, second)
    assert len(moves) <= 20  # of 120
    assert not any({*move} == {"train", "test"} for move in moves.values())
    assert [note.split()[0] for note in second.notes] == ([str(len(moves))] if moves else [])
    manifest = featstore.extract(tmp_path / "d", model="pixels", size=8, cache=tmp_path / "cache").manifest
    splits = {p.digest: p.split for p in complete_splits(manifest).pictures}
    assert {digest: splits[digest] for digest in load_splits(second)} == load_splits(second)


def test_a_pipe_in_the_place_of_a_file_is_passed_over(tmp_path: Path) -> None:
    """Reading it would wait for ever."""
    add(tmp_path / "d", 6)
    for name, pipe in (("one", "run.json"), ("two", "images.csv")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        os.mkfifo(tmp_path / "runs" / name / pipe)
    (tmp_path / "runs" / "two" / "run.json").write_text(json.dumps({"data": str(tmp_path / "d")}))
    assert train(tmp_path).notes == ()
