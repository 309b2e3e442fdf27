"""The command line, each test a process of its own."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Cli, draw

from featstore.catalog import BASES
from featstore.images.manifest import scan

TINY = ("--model", "tiny")


def test_help_is_light() -> None:
    """No TensorFlow, Keras, scikit-learn, numpy or Rich is imported for it, and every command is listed."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "featstore", "--help"], capture_output=True, text=True, check=True
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "featstore.cli.app" in imported
    assert not imported & {"tensorflow", "keras", "sklearn", "numpy", "h5py", "rich", "PIL"}
    for command in ("quickstart", "extract", "train-head", "predict", "models"):
        assert command in done.stdout


def test_models_lists_every_base(cli: Cli) -> None:
    """As a table, and as JSON with what is known of each."""
    table, listed = cli("models"), cli("models", "--json")
    assert all(name in table.stdout for name in ("tiny", "pixels", *BASES))
    assert {m["name"] for m in json.loads(listed.stdout)["models"]} == {"tiny", "pixels", *BASES}


def test_the_whole_way(cli: Cli, photos: Path, tmp_path: Path) -> None:
    """Extract, train and predict: the JSON of each is as promised, and nothing else is on standard output."""
    (photos / "discs" / "broken.png").write_bytes(b"x")
    extracted = cli("extract", photos, *TINY, "--preprocess", "keras", "--preprocess", "raw", "--json")
    assert extracted.returncode == 0, extracted.stderr
    result = json.loads(extracted.stdout)
    assert [set(f) for f in result["features"]] == 2 * [
        {"key", "model", "preprocess", "size", "views", "layer", "pool", "shape", "dtype"}
        | {"path", "images", "rows", "computed", "reused", "seconds"}
    ]
    assert [(f["preprocess"], f["images"], f["computed"], f["reused"]) for f in result["features"]] == [
        ("keras", 24, 24, 0),
        ("raw", 24, 24, 0),
    ]
    assert result["features"][0]["size"] == [32, 32]
    assert [set(s) for s in result["skipped"]] == [{"path", "reason"}]

    trained = cli("train-head", photos, *TINY, "--json")
    run = json.loads(trained.stdout)
    assert set(run) == {"run", "head", "key", "classes", "metrics", "seconds"}
    assert set(run["seconds"]) == {"features", "fit", "total"}
    assert run["key"] == result["features"][0]["key"]
    assert set(run["metrics"]) == {"train", "val", "test"}

    draw("discs", 99).save(tmp_path / "=new.png")
    predicted = cli("predict", run["run"], "=new.png", photos / "stripes", "--csv", "labels.csv", "--json")
    prediction = json.loads(predicted.stdout)
    assert len(prediction["predictions"]) == 13
    assert set(prediction["predictions"][0]) == {"path", "label", "probability", "probabilities"}
    rows = list(csv.reader((tmp_path / "labels.csv").read_text().splitlines()))
    assert rows[0] == ["path", "label", "discs", "stripes"]
    assert rows[1][0] == "'=new.png"


def test_tables_and_notes_for_people(cli: Cli, photos: Path) -> None:
    """Without --json: a table on standard output, skipped files with their reasons on standard error."""
    odd = photos / "discs" / "[red]\x1b[31m\u202e.png"
    odd.write_bytes(b"x")
    first = cli("train-head", photos, *TINY, "--head", "bn-dropout", "--set", "epochs=2")
    assert first.returncode == 0, first.stderr
    assert "95 % interval" in first.stdout
    assert "\x1b" not in first.stderr
    assert r"[red]\x1b[31m\u202e.png: no JPEG" in first.stderr
    assert cli("extract", photos, *TINY, "--strict", "--quiet").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("extract", "nowhere", *TINY), 1, "nowhere: no such file or folder"),
        (("extract", ".", "--model", "ResNet5O"), 2, "did you mean"),
        (("extract", ".", "--model", "VGG16", "--size", "16"), 2, "at least 32 px"),
        (("extract", ".", *TINY, "--preprocess", "imagenet"), 2, "use one of keras, caffe"),
        (("extract", ".", *TINY, "--pool", "sum"), 2, "use one of avg, max, none"),
        (("extract", "."), 2, "--model"),
        (("train-head", ".", *TINY, "--head", "svm"), 2, "use one of logistic, bn-dropout"),
        (("predict", "norun", "x.png"), 1, "no finished run"),
    ],
)
def test_mistakes_are_one_line(cli: Cli, tmp_path: Path, arguments: tuple, code: int, message: str) -> None:
    """What was expected, what was found, what to do; no traceback; 1 for failures and 2 for usage."""
    draw("discs", 1).save(tmp_path / "a.png")
    done = cli(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_quickstart(cli: Cli, tmp_path: Path) -> None:
    """Both heads recognise 97 % or more of the held-out digits, and a second quickstart computes no features."""
    done = cli("quickstart", "--json")
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert {run["head"] for run in runs} == {"logistic", "bn-dropout"}
    for run in runs:
        assert run["metrics"]["test"]["accuracy"] >= 0.97
    assert len(list((tmp_path / "featstore-quickstart" / "digits").glob("*/*.png"))) == 1797


@pytest.mark.realdata
def test_cats_and_dogs(cli: Cli, real_data: Path) -> None:
    """MobileNet 0.75 tells them apart, and raw pixels make it clearly worse: the point of the product, in words too."""
    weights = real_data / "weights" / "mobilenet_7_5_224_tf_no_top.h5"
    flags = (
        "--model",
        "MobileNet",
        "--alpha",
        0.75,
        "--weights",
        weights,
        "--preprocess",
        "keras",
        "--preprocess",
        "raw",
    )
    done = cli("compare", real_data / "images" / "cats_dogs", *flags, "--json")
    result = json.loads(done.stdout)
    keras, raw = result["rows"]
    assert (keras["preprocess"], keras["n"], raw["n"]) == ("keras", 400, 400)
    assert keras["accuracy"] >= 0.97
    assert raw["difference_ci95"][1] < -0.1
    assert result["findings"][1].startswith("`keras` beats `raw` by ")


@pytest.mark.realdata
def test_densenet_on_cats_and_dogs(cli: Cli, real_data: Path, tmp_path: Path) -> None:
    """On every third photo, which takes a minute less: 97 % or more of 133 (all 400: 0.998)."""
    weights = real_data / "weights" / "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"
    pictures = scan(real_data / "images" / "cats_dogs").pictures[::3]
    lines = [f"{p.path},{p.label},{p.split}" for p in pictures]
    (tmp_path / "some.csv").write_text("\n".join(["path,label,split", *lines]))
    done = cli("train-head", tmp_path / "some.csv", "--model", "DenseNet121", "--weights", weights, "--json")
    assert json.loads(done.stdout)["metrics"]["test"]["accuracy"] >= 0.97


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["flowers5", "mnist"])
def test_other_layouts_run(cli: Cli, real_data: Path, tmp_path: Path, name: str) -> None:
    """Five kinds of flowers and ten digits, through tiny."""
    done = cli("train-head", real_data / "images" / name, *TINY, "--json")
    run = json.loads(done.stdout)
    assert run["metrics"]["test"]["n"] == 1000
    assert run["metrics"]["test"]["accuracy"] > 1.5 / len(run["classes"])
    assert ("top5" in run["metrics"]["test"]) == (name == "mnist")
