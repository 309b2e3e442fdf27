"""Every row of a comparison has a command that runs and gives the figures of the row."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from featstore.datasets.sources import scan
from helpers.cli import call
from helpers.photos import write_photos

GRIDS = {
    "views": "--views one --views flip --views augment:2 --train-on all --average logits",
    "mean features of views": "--views ten --views one --average features --resize 80",
    "augmentation": "--views augment:2 --views one --augment rotation=15,mirror=0,seed=3",
    "scales": "--scales 48,96 --train-on all --head logistic --head bn-dropout --set epochs=2",
    "heads": "--head logistic --head bn-dropout --head scratch-cnn --set epochs=2 --set C=none --seed 7",
    "parameters": "--head logistic --head bn-dropout --set p=0.25 --set C=0.3 --set rate=0.003 --set epochs=2",
    "reading": "--size 32x48 --size 64 --fit pad --interpolation bicubic --reading pillow",
    "preprocessing": "--preprocess keras --preprocess order=bgr,scale=1/255,mean=0.5:0.4:0.1,std=0.3",
    "random weights": "--weights random --seed 3 --pool max --dtype float32",
    "layer": "--layer block2a_out --pool none --head vgg-fc --set epochs=2",
    "fractions": "--val-fraction 0.3 --test-fraction 0.35",
    "seeds": "--seeds 2 --head bn-dropout --set epochs=2 --seed 5",
    "folds": "--folds 3 --val-fraction 0.25 --preprocess raw --preprocess keras",
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "-my photos", 16)  # a name that a shell and a parser of options would read otherwise
    return folder


@pytest.fixture(autouse=True)
def in_that_folder(work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(work)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)
    yield


def compare(data: object, *options: str) -> list[dict[str, Any]]:
    done = call("compare", data, *options, "--json", "--quiet")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert not result["failed"]
    rows: list[dict[str, Any]] = result["rows"]
    return rows


def check_commands(rows: list[dict[str, Any]]) -> None:
    """Run the command of each row; it measures this cell alone, and gets the same figures."""
    for row in rows:
        words = shlex.split(row["command"])
        done = call(*words[1:], "--json", "--quiet")
        assert done.code == 0, (row["command"], done.err)
        found = json.loads(done.out)
        if words[1] == "compare":
            [figures] = found["rows"]
        else:
            [figures] = [found["metrics"][split] for split in ("test", "val") if split in found["metrics"]][:1]
        assert figures["n"] == row["n"], row["command"]
        assert figures["accuracy"] == pytest.approx(row["accuracy"], abs=1e-9), row["command"]
        assert figures["log_loss"] == pytest.approx(row["log_loss"], abs=1e-9), row["command"]


@pytest.mark.parametrize("grid", GRIDS)
def test_a_command_gives_the_figures_of_its_row(grid: str) -> None:
    """Whatever the options of the grid are; options that a row does not have are not in its command."""
    rows = compare("./-my photos", "--model", "tiny", *shlex.split(GRIDS[grid]))
    check_commands(rows)
    assert len({row["name"] for row in rows}) == len(rows)


@pytest.mark.parametrize("more", [[], ["--seeds", "2"]])
def test_labels_and_splits_in_a_csv(work: Path, more: list[str]) -> None:
    """The command names the CSV; without a test split the row is measured on the validation split."""
    with (work / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for number, picture in enumerate(scan(work / "-my photos").pictures):
            writer.writerow([picture.path, picture.label, "val" if number % 3 == 0 else "train"])
    grid = ["--model", "pixels", "--size", "8", "--preprocess", "raw", *more]
    check_commands(compare(work / "labels.csv", *grid))
    check_commands(
        compare(work / "labels.csv", *grid, "--head", "bn-dropout", "--head", "logistic", "--set", "epochs=2")
    )


def test_bases_of_one_name_are_rows_of_their_own(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files of one name, or one base with two weights files: in table, findings, JSON and CSV."""
    import keras

    from featstore.bases.build import load_base
    from featstore.bases.source import BaseSource

    for folder, seed in (("one", 1), ("two", 2)):
        keras.utils.set_random_seed(seed)
        (work / folder).mkdir()
        base = load_base(BaseSource("tiny", "random", seed=seed), 64, 64, "none", None)
        base.save(work / folder / "base.keras")
        base.save_weights(work / folder / "base.weights.h5")
    drawn: list[tuple[list[str], list[Any]]] = []

    def draw(labels: list[str], accuracies: Any, intervals: Any, curves: Any, *rest: Any) -> bytes:
        drawn.append((labels, curves))
        return b""

    monkeypatch.setattr("featstore.plots.comparison.draw_comparison", draw)
    files = ("--csv", "rows.csv", "--chart", "rows.png")
    grid = ["--preprocess", "raw", "--preprocess", "rescale", "--head", "bn-dropout", "--set", "epochs=2"]
    networks = ["--model", "one/base.keras", "--model", "two/base.keras", "--model", "./one/../one/base.keras"]
    weights = [word for folder in ("one", "two") for word in ("--weights", f"{folder}/base.weights.h5")]
    for bases, names in (
        (networks, ["one/base.keras", "two/base.keras"]),
        (["--model", "tiny", "--model", "tiny", *weights], [f"tiny ({f}/base.weights.h5)" for f in ("one", "two")]),
    ):
        rows = compare("./-my photos", *bases, *grid, *files)
        assert {row["name"] for row in rows} == {f"{name}, {p}" for name in names for p in ("raw", "rescale")}
        check_commands(rows)
        labels, curves = drawn[-1]
        assert labels == [row["name"] for row in rows]
        assert len(curves) == len(labels) and all(curves)
        with (work / "rows.csv").open() as file:
            assert [row["name"] for row in csv.DictReader(file)] == [row["name"] for row in rows]
    shown = call("compare", "./-my photos", *bases, *grid).out.splitlines()
    assert all(sum(line.startswith(f"{name}  ") for line in shown) == 2 for name in names)
    named = any("over 2 pairs" in line and all(f"`{name}`" in line for name in names) for line in shown)
    assert named or shown[0].startswith("no cell is significantly better")  # then nothing is said of their difference
