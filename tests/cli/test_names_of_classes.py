"""Classes may have any name: no column, key or line of an output is taken for another one."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from featstore.cli.console import spreadsheet_text
from helpers.cli import call
from helpers.photos import draw

_COLUMNS = ["label", "path", "strength", "probability", "probabilities", "prediction", "id", "split", "n"]
CLASSES = sorted(
    [*_COLUMNS, "accuracy", "p:path", "a,b", 'say "x"', "two\nlines", "=1+1", "'=1+1", "'quoted'", "-", "-1"]
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of labels, which may be any text, and a run on it."""
    folder = tmp_path_factory.mktemp("work")
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for number, name in enumerate(CLASSES):
            for image, split in enumerate(("train", "train", "val", "test")):
                draw("discs", 10 * number + image).save(folder / f"{number}-{image}.png")
                writer.writerow([f"{number}-{image}.png", name, split])
    return folder


@pytest.fixture(autouse=True)
def in_it(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)


@pytest.fixture(scope="module")
def run(work: Path) -> str:
    done = call(
        *("train-head", work / "labels.csv", "--model", "pixels", "--size", "8", "--set", "C=1", "--json"),
        *("--cache", work / "cache", "--runs", work / "runs"),
    )
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result["classes"] == CLASSES
    return str(result["run"])


def as_json(*arguments: object) -> dict[str, Any]:
    done = call(*arguments, "--json")
    assert done.code == 0, done.err
    result: dict[str, Any] = json.loads(done.out)
    return result


def test_predictions_have_one_column_for_each_class(run: str) -> None:
    """CSV and JSON hold the same floats; read as a table, no column hides another."""
    images = as_json("predict", run, "0-0.png", "5-1.png", "--csv", "out.csv")["predictions"]
    with Path("out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "strength", *(f"p:{name}" for name in CLASSES)]
    assert [row["path"] for row in rows] == ["0-0.png", "5-1.png"]
    for row, image in zip(rows, images, strict=True):
        assert list(image["probabilities"]) == CLASSES
        assert {name: float(row[f"p:{name}"]) for name in CLASSES} == image["probabilities"]
        assert row["label"] == spreadsheet_text(image["label"])
        assert row["strength"] == image["strength"]
        assert image["probability"] == image["probabilities"][image["label"]]
    assert len(call("predict", run, "0-0.png").out.splitlines()) == 2


def test_quoted_texts_stay_different() -> None:
    """What was quoted for a spreadsheet is not what another class is called."""
    quoted = [spreadsheet_text(name) for name in CLASSES]
    assert len(set(quoted)) == len(CLASSES)
    assert [text.removeprefix("'") for text in quoted] == CLASSES


def test_evaluate_and_compare_keep_their_columns(run: str) -> None:
    """Metrics are by split, and rows are by cell, whatever the classes are called."""
    assert list(as_json("evaluate", run, "labels.csv")["metrics"]) == ["train", "val", "test"]
    [row] = as_json("compare", "labels.csv", "--model", "pixels", "--size", "8", "--csv", "rows.csv")["rows"]
    with Path("rows.csv").open(newline="") as file:
        [written] = list(csv.DictReader(file))
    assert [name for name in written if not name.endswith(("_low", "_high"))] == [
        name for name in row if not name.endswith("_ci95")
    ]
    assert [float(written[f"accuracy_{end}"]) for end in ("low", "high")] == row["accuracy_ci95"]
    with Path(run, "images.csv").open() as file:
        assert {line["split"] for line in csv.DictReader(file)} == {"train", "val", "test"}
