"""`featstore compare` and `train-head` with several bases and views, as a user meets them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from featstore.extraction.recipe import AXES
from helpers.cli import call

GRID = ("--model", "tiny", "--preprocess", "keras", "--preprocess", "raw", "--head", "logistic", "--head", "bn-dropout")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)


def test_the_table_the_json_the_csv_and_the_chart_agree(photos: Path, tmp_path: Path) -> None:
    """One grid, four ways; the findings come first, and each row has its command."""
    files = ("--csv", tmp_path / "grid.csv", "--chart", tmp_path / "grid.png")
    done = call("compare", photos, *GRID, "--set", "epochs=2", "--json", *files)
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert set(result) == {"rows", "findings", "split", "failed", "notes", "remarks", "data", "shared", "skipped"}
    assert result["shared"] == ["bn-dropout epochs=2"]
    assert [set(row) for row in result["rows"]] == 4 * [
        {"name", "model", "weights", "alpha", "preprocess", "size", "views", "head", "n", "groups", "accuracy"}
        | {"weights_seed", "parameters", *AXES, "bits"}
        | {"accuracy_ci95", "accuracy_by_fold", "spread_folds", "spread_seeds", "log_loss", "macro_f1", "brier"}
        | {"commonest_class", "commonest_share", "balanced_accuracy", "balanced_accuracy_ci95", "never_found"}
        | {"difference_to_best", "difference_ci95", "seconds_extract", "seconds_fit", "width", "bytes", "command"}
    ]
    with (tmp_path / "grid.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in rows] == [row["accuracy"] for row in result["rows"]]
    for shown, row in zip(rows, result["rows"], strict=True):  # one number in each cell
        for name in ("accuracy", "difference"):
            assert [float(shown[f"{name}_low"]), float(shown[f"{name}_high"])] == row[f"{name}_ci95"]
    assert [row["command"] for row in rows] == [row["command"] for row in result["rows"]]
    with Image.open(tmp_path / "grid.png") as chart:
        assert chart.format == "PNG"
    shown = call("compare", photos, *GRID, "--set", "epochs=2")
    lines = shown.out.splitlines()
    assert lines[0] == result["findings"][0]
    assert all(any(row["command"] in line for line in lines) for row in result["rows"])
    assert "measured on the test split" in shown.out


def test_what_does_not_pair_is_a_usage_error(photos: Path) -> None:
    """With one line that says what to give."""
    for arguments, message in (
        (("train-head", photos), "--model is missing"),
        (("train-head", photos, "--model", "tiny", "--model", "pixels"), "give --concat"),
        (("train-head", photos, "--model", "tiny", "--concat"), "give more than one --model"),
        (("check-base", photos, "--model", "tiny", "--views", "ten"), "needs --labels"),
    ):
        done = call(*arguments)
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 1


def test_scratch_cnn_needs_no_base_to_be_named(photos: Path) -> None:
    """It has its own; and several bases side by side make one run, which predicts, with the mode on the screen."""
    done = call("train-head", photos, "--head", "scratch-cnn", "--size", "16", "--set", "epochs=1")
    assert "photos-pixels-rescale-16-scratch-cnn" in done.out
    both = call("train-head", photos, "--model", "tiny", "--model", "pixels", "--concat", "--views", "flip")
    assert both.code == 0, both.err
    assert "views: trained on the plain view; predictions average the probabilities of 2 views" in both.out
    folder = both.out.split("saved in ")[1].strip()
    predicted = call("predict", folder, photos / "discs", "--json")
    assert predicted.code == 0, predicted.err
    assert len(json.loads(predicted.out)["predictions"]) == 12


def test_the_mode_of_augmentation_is_said(photos: Path) -> None:
    """Random augmentation believed active while it is not is an old mistake, and the other way round."""
    done = call("train-head", photos, "--model", "tiny", "--views", "augment:2")
    assert (
        "augmented: trained on the plain view and 2 random versions of each training image; "
        "validation and test on the plain view"
    ) in done.out
    extracted = call("extract", photos, "--model", "tiny", "--views", "augment:2")
    lines = extracted.out.splitlines()
    assert lines[0].split()[:4] == ["preprocess", "images", "rows", "computed"]
    assert [line.split()[3] for line in lines[1:]] == ["0", "0"]


def test_rows_say_all_that_makes_them_differ(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pooling, fit and random weights in table, JSON, CSV and chart; what all rows share is told once."""
    drawn: list[list[str]] = []
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(
        "featstore.plots.comparison.draw_comparison", lambda labels, *_, **__: drawn.append(labels) or b"x"
    )
    axes = ("--pool", "avg", "--pool", "max", "--fit", "Crop", "--weights", "random", "--weights", "default")
    files = ("--csv", tmp_path / "rows.csv", "--chart", tmp_path / "rows.png")
    done = call("compare", photos, "--model", "tiny", "--model", "TINY", *axes, "--seed", "3", *files)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    header = next(line for line in lines if line.startswith("model "))
    assert header.split()[:6] == ["model", "preprocess", "size", "views", "head", "pool"]
    assert "all rows: fit crop, seed 3" in lines
    names = {f"tiny ({weights}), pool {pool}" for weights in ("random, seed 3", "shipped") for pool in ("avg", "max")}
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["name"] for row in rows} == names == {*drawn[0]}
    assert {(row["weights"], row["weights_seed"], row["pool"], row["fit"]) for row in rows} == {
        (weights, seed, pool, "crop") for weights, seed in (("random", "3"), ("", "")) for pool in ("avg", "max")
    }


def test_one_random_base_is_marked(photos: Path) -> None:
    """Weights that are drawn for all bases must not look as those that a base came with."""
    done = call("compare", photos, "--model", "tiny", "--model", "pixels", "--size", "32", "--weights", "random")
    assert done.code == 0, done.err
    assert any(line.startswith("tiny (random)  ") for line in done.out.splitlines())


def test_a_narrow_screen_gets_a_narrow_table(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left out is said, with its value if all rows have the same."""
    grid = ("compare", photos, "--model", "tiny", "--preprocess", "rgb-mean", "--preprocess", "rescale")
    monkeypatch.setenv("COLUMNS", "200")
    wide = call(*grid).out
    monkeypatch.setenv("COLUMNS", "80")
    narrow = call(*grid).out
    table, wide_table = (text.split("; always answering ")[1].splitlines()[1:] for text in (narrow, wide))
    rows = [line for line in table[: table.index("")] if not line.startswith(("left out at 80 columns: ", "remark: "))]
    assert max(map(len, rows)) <= 80 < len(wide_table[0])
    assert "width (256)" in narrow
    assert "left out" not in wide


@pytest.mark.parametrize("option", ["--csv", "--chart"])
def test_files_are_tried_first_and_lose_no_table(photos: Path, tmp_path: Path, option: str) -> None:
    """A folder that does not exist is told before anything is extracted; a full disk only at the end."""
    done = call("compare", photos, "--model", "tiny", option, "nowhere/rows.png", "--cache", tmp_path / "cache")
    assert (done.code, done.out) == (1, "")
    assert option in done.err
    assert not (tmp_path / "cache").exists()


def test_a_full_disk_at_the_end(photos: Path) -> None:
    """The table is printed, and the exit code says that a file is missing."""
    done = call("compare", photos, "--model", "tiny", "--csv", "/dev/full")
    assert done.code == 1
    assert "measured on the test split" in done.out
    assert done.err.endswith("/dev/full: cannot be written: No space left on device; choose another file for --csv\n")
