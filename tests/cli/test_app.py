"""The command line from end to end: what it promises to programs and to people, and what it says of mistakes."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from featstore.bases.catalog import BASES
from featstore.cli import quickstart
from featstore.datasets.digests import DigestMemory
from helpers.cli import Cli, call
from helpers.json_shapes import changes, shapes_in
from helpers.photos import draw

TINY = ("--model", "tiny")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)


def imported_by(*arguments: object) -> tuple[set[str], str]:
    """The modules that `featstore ARGUMENTS` imports in a process of its own, and what it prints."""
    command = [sys.executable, "-X", "importtime", "-m", "featstore", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[-1].strip() for line in lines}, done.stdout


def test_help_is_light() -> None:
    """No TensorFlow, Keras, scikit-learn, numpy or Rich is imported for it, and every command is listed."""
    imported, printed = imported_by("--help")
    assert "featstore.cli.app" in imported
    assert not imported & {"tensorflow", "keras", "sklearn", "numpy", "h5py", "rich", "PIL"}
    for command in ("quickstart", "extract", "train-head", "predict", "models"):
        assert command in printed


HEAVY = ("tensorflow", "keras", "openvino", "sklearn", "scipy", "matplotlib", "numpy", "h5py", "rich", "PIL")
ONE_AFTER_ANOTHER = f"""
import json, sys
from featstore.cli.app import main
for command in json.load(sys.stdin):
    sys.argv = ["featstore", *command.split()]
    try:
        main()
    except SystemExit as end:
        assert not end.code, command
    loaded = [name for name in {HEAVY} if name in sys.modules]
    print(f"after {{command}}: {{loaded}}", file=sys.__stderr__)
"""


def test_no_command_loads_what_it_does_not_need(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing to do none loads even numpy: in one process, so that the first one that does is named."""
    features = f"{photos} --model pixels"
    monkeypatch.setattr(DigestMemory.__init__, "__defaults__", (lambda: 10**19, False))  # files are remembered at once
    assert call("extract", *features.split()).code == 0
    light = ("extract --help", f"extract {features}", "models", "heads", "cache ls", f"cache explain {features}")
    commands = {command: set[str]() for command in (*light, "cache prune --older-than 30d")}
    commands["cache verify"] = {"numpy", "h5py"}
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_ANOTHER], input=json.dumps([*commands]), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for command, needed in commands.items():
        assert f"after {command}: {[name for name in HEAVY if name in needed]}\n" in done.stderr


def test_a_logistic_head_from_the_cache_is_light(photos: Path) -> None:
    """Training it loads scikit-learn, and answering not even that; nothing that takes longer than the work itself."""
    assert call("extract", photos, *TINY).code == 0
    heavy = {"tensorflow", "keras", "skops", "matplotlib", "pytest"}
    imported, printed = imported_by("train-head", photos, *TINY, "--head", "logistic", "--json")
    assert "sklearn" in imported
    assert not imported & heavy
    run = json.loads(printed)["run"]
    assert (Path(run) / "curve.png").is_file()
    imported, printed = imported_by("predict", run, photos, "--json")
    assert len(json.loads(printed)["predictions"]) == 24
    assert "numpy" in imported
    assert not imported & (heavy | {"sklearn", "scipy"})


def test_models_lists_every_base() -> None:
    """As a table, and as JSON with what is known of each."""
    table, listed = call("models").out, json.loads(call("models", "--json").out)
    assert all(name in table for name in ("tiny", "pixels", *BASES))
    assert {m["name"] for m in listed["models"]} == {"tiny", "pixels", *BASES}
    assert call("models", "--quiet").out.split() == ["tiny", "pixels", *BASES]


def test_the_whole_way(cli: Cli, photos: Path, tmp_path: Path) -> None:
    """Extract, train and predict: the JSON of each is as promised, and nothing else is on standard output.

    A process of its own predicts, with TensorFlow's start-up, and draws the same random weights: others are refused.
    """
    random = (*TINY, "--weights", "random")
    (photos / "discs" / "broken.png").write_bytes(b"x")
    extracted = call("extract", photos, *random, "--preprocess", "keras", "--preprocess", "raw", "--json")
    result = json.loads(extracted.out)
    assert [(f["preprocess"], f["images"], f["computed"], f["reused"]) for f in result["features"]] == [
        ("keras", 24, 24, 0),
        ("raw", 24, 24, 0),
    ]
    assert result["features"][0]["size"] == [32, 32]
    assert [set(s) for s in result["skipped"]] == [{"path", "reason"}]

    run = json.loads(call("train-head", photos, *random, "--json").out)
    assert {"run", "head", "key", "classes", "metrics", "notes", "seconds", "skipped"} <= set(run)
    assert set(run["seconds"]) == {"features", "fit", "total"}
    assert run["key"] == result["features"][0]["key"]
    assert set(run["metrics"]) == {"train", "val", "test"}

    draw("discs", 99).save(tmp_path / "=new.png")
    predicted = cli("predict", run["run"], "=new.png", photos / "stripes", "--csv", "labels.csv", "--json")
    assert predicted.returncode == 0, predicted.stderr
    prediction = json.loads(predicted.stdout)
    assert len(prediction["predictions"]) == 13
    known = {"path", "label", "strength", "probability", "top", "probabilities", "answers"}
    assert set(prediction["predictions"][0]) == known
    rows = list(csv.reader((tmp_path / "labels.csv").read_text().splitlines()))
    assert rows[0] == ["path", "label", "strength", "p:discs", "p:stripes"]
    assert rows[1][0] == "'=new.png"


def test_tables_and_notes_for_people(photos: Path) -> None:
    """Without --json: a table on standard output, skipped files with their reasons on standard error."""
    odd = photos / "discs" / "[red]\x1b[31m\u202e.png"
    odd.write_bytes(b"x")
    done = call("train-head", photos, *TINY, "--head", "bn-dropout", "--set", "epochs=2")
    assert done.code == 0
    assert "95 % interval" in done.out
    assert "\x1b" not in done.err
    assert r"[red]\x1b[31m\u202e.png: is not a readable JPEG" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("extract", "nowhere", *TINY), 1, "nowhere: no such file or folder"),
        (("extract", ".", "--model", "ResNet5O"), 2, "did you mean"),
        (("extract", ".", "--model", "VGG16", "--size", "16"), 2, "at least 32 px"),
        (("extract", ".", *TINY, "--preprocess", "imagenet"), 2, "use one of keras, caffe"),
        (("extract", ".", *TINY, "--pool", "sum"), 2, "'sum' is not one of 'avg', 'max', 'none'"),
        (("extract", "."), 2, "--model"),
        (("train-head", ".", *TINY, "--head", "svm"), 2, "'svm' is not one of 'logistic', 'logistic-sgd', 'linear'"),
        (("predict", "norun", "x.png"), 1, "no finished run"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, arguments: tuple, code: int, message: str) -> None:
    """What was expected, what was found, what to do; no traceback; 1 for failures and 2 for usage."""
    draw("discs", 1).save(tmp_path / "a.png")
    done = call(*arguments)
    assert done.code == code
    assert message in done.err
    assert done.out == ""


@pytest.mark.parametrize("ignored", [True, False])
def test_a_closed_terminal_interrupts_unless_it_is_ignored(ignored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under `nohup`, where a job is to go on."""
    set_handlers: list[int] = []
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_IGN if ignored else signal.SIG_DFL)
    monkeypatch.setattr(signal, "signal", lambda number, handler: set_handlers.append(number))
    assert call("--version").code == 0
    usual = [signal.SIGINT, signal.SIGTERM] + ([] if ignored else [signal.SIGHUP])
    assert set_handlers[: len(usual)] == usual
    assert set_handlers.count(signal.SIGHUP) == (1 if ignored else 2)  # the last one: `call` puts it back


def test_quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both heads recognise 97 % or more of the held-out digits; for programs it prints what it has always printed."""
    printed = call("quickstart", "--json").out
    assert changes(shapes_in("quickstart", printed, {})) == []
    runs = json.loads(printed)["runs"]
    assert {run["head"] for run in runs} == {"logistic", "bn-dropout"}
    for run in runs:
        assert run["metrics"]["test"]["accuracy"] >= 0.97
    assert len(list((tmp_path / "featstore-quickstart" / "digits").glob("*/*.png"))) == 1797
    [logistic] = [run["run"] for run in runs if run["head"] == "logistic"]
    monkeypatch.setattr(quickstart, "POOL_OF_HEAD", {"logistic": "avg", "majority": "avg"})  # no long training again
    folders = [f"{logistic}-2", logistic.replace("logistic", "majority")]
    assert call("quickstart", "--quiet").out.splitlines() == folders


def test_pillows_warning_about_large_images_is_not_shown(tmp_path: Path) -> None:
    """The file is listed with the reason, in our words."""
    Image.new("1", (10_000, 9_500)).save(tmp_path / "large.png")
    draw("discs", 1).save(tmp_path / "small.png")
    done = subprocess.run(
        [sys.executable, "-m", "featstore", "extract", tmp_path, "--model", "pixels", "--size", "8", "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "decompression bomb" not in done.stderr
    assert "large.png: declares 10000x9500 pixels, the limit is 50 million" in done.stderr
