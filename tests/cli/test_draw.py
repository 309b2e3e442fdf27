"""`featstore draw`: the network of a run as a picture."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from featstore.runs.files import load_run
from featstore.runs.titles import title_of
from helpers.cli import call
from helpers.photos import write_photos

TINY = ("--model", "tiny", "--size", "32")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    write_photos(tmp_path_factory.getbasetemp() / "draw" / "photos", 8)
    return tmp_path_factory.getbasetemp() / "draw"


@pytest.fixture(autouse=True)
def in_it(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)


def train(*options: str) -> str:
    return str(json.loads(call("train-head", "photos", *options, "--json").out)["run"])


def words(path: str) -> str:
    """The text of an SVG; matplotlib draws letters as shapes and keeps each line as a comment."""
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    found = ET.parse(path, parser).iter()
    return "\n".join(str(element.text) for element in found if element.tag is ET.Comment)


def test_the_picture_names_every_layer_of_the_head() -> None:
    """With the size of an image, so that it stands in for a picture that Keras makes."""
    run = train(*TINY, "--head", "vgg-fc", "--set", "epochs=1")
    done = call("draw", run)
    assert (done.code, done.out) == (0, f"drawn in {run}/network.png\n")
    assert Path(run, "network.png").read_bytes().startswith(b"\x89PNG")
    done = call("draw", run, "--output", "network.svg", "--json")
    assert json.loads(done.out) == {"run": run, "picture": "network.svg"}
    found = words("network.svg")
    for text in ("32×32×3", "Flatten", "Dense 256", "Dropout 0.5", "Dense 1", "head, sigmoid", "cached"):
        assert text in found
    assert title_of(load_run(run)) + ", the base frozen" in found


def test_a_logistic_head_and_pixels_can_be_drawn_too() -> None:
    """A linear head is one layer."""
    for options in (TINY, ("--model", "pixels", "--size", "8")):
        assert call("draw", train(*options), "--output", "network.pdf").code == 0
        assert Path("network.pdf").read_bytes().startswith(b"%PDF")


def test_what_cannot_be_drawn_is_told() -> None:
    """Two bases side by side, another kind of file, a head without layers, and a run that has its picture."""
    both = train("--model", "tiny", "--model", "pixels", "--size", "32", "--concat")
    done = call("draw", both)
    assert (done.code, "has 2 bases side by side; only one base can be drawn" in done.err) == (2, True)
    done = call("draw", both, "--output", "network.jpg")
    assert (done.code, "expected a name that ends in .png, .pdf or .svg" in done.err) == (2, True)
    done = call("draw", train(*TINY, "--head", "knn"))
    assert (done.code, "head knn: has no layers, so it cannot be fine-tuned or drawn" in done.err) == (2, True)
    tuned = json.loads(call("fine-tune", train(*TINY), "photos", "--epochs", "1", "--json").out)["run"]
    done = call("draw", tuned)
    assert (done.code, "has the pictures network.png and network.svg already" in done.err) == (2, True)
