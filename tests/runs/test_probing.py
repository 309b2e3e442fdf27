"""Probes of a run: the same images, changed, with rows of their own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featstore
from featstore.datasets.file_lists import list_files
from featstore.errors import DataError, UsageError
from featstore.extraction.recipe import Recipe
from featstore.images.probe import parse_probe
from featstore.images.probing import change_image
from featstore.runs.run import Run
from featstore.training.job import train
from helpers.cli import call
from helpers.light import forbid_tensorflow
from helpers.photos import write_photos

PROBES = ("greyscale", "rotate=30")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "own", 12)
    write_photos(folder / "new", 6, first=100)
    return folder


@pytest.fixture(scope="module")
def run(work: Path) -> Run:
    return train(work / "own", Recipe(model="tiny", views="flip"), cache=work / "cache", runs=work / "runs").run


def test_a_probe_is_the_same_as_changed_copies(
    work: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures are those of the copies; the images as they are have the figures and rows that they had."""
    plain = featstore.evaluate(run, work / "new", cache=work / "cache")
    before = {path.name for path in (work / "cache").glob("*/*/s-*.h5")}
    found = featstore.evaluate(run, work / "new", probes=PROBES, cache=work / "cache")
    assert found.metrics == plain.metrics
    assert found.probing is not None
    assert (found.probing.split, found.probing.metrics) == ("new", plain.metrics["new"])
    for effect in found.probing.effects:
        for image in (work / "new").glob("*/*.png"):
            copy = tmp_path / effect.probe.name / image.relative_to(work / "new")
            copy.parent.mkdir(parents=True, exist_ok=True)
            change_image(Image.open(image), effect.probe).save(copy)
        copies = featstore.evaluate(run, tmp_path / effect.probe.name, cache=tmp_path / "cache")
        assert copies.metrics["new"].accuracy == effect.accuracy
        assert copies.metrics["new"].accuracy_ci95 == effect.accuracy_ci95
        stays = copies.answers.probabilities.argmax(axis=1) == plain.answers.probabilities.argmax(axis=1)
        assert np.mean(stays) == effect.same_answers
    forbid_tensorflow(monkeypatch)  # all rows are stored, each probe's under a key of its own
    again = featstore.evaluate(run, work / "new", probes=PROBES, cache=work / "cache")
    assert again.probing == found.probing
    after = {path.name for path in (work / "cache").glob("*/*/s-*.h5")}
    assert before < after
    sizes = [line.split("flip")[0] for line in call("cache", "ls", "--cache", work / "cache").out.splitlines()]
    assert all(sum(str(effect.probe) in line for line in sizes) == 1 for effect in found.probing.effects)


def test_probes_are_measured_on_the_test_split_alone(work: Path, run: Run) -> None:
    """It is the one that is judged: training images would say what was learnt by heart, and cost rows."""
    command = ("evaluate", run.folder, work / "own", "--cache", work / "cache", "--probe", "grey")
    result = json.loads(call(*command, "--probe", "blur=5", "--json").out)
    assert result["probing"]["split"] == "test"
    assert result["probing"]["n"] == result["metrics"]["test"]["n"]
    assert [effect["probe"] for effect in result["probing"]["effects"]] == ["greyscale", "blur=5"]
    table = call(*command).out
    assert "the images of test, changed:" in table
    assert table.splitlines()[-1].startswith("greyscale")


def test_what_cannot_be_probed_is_refused(work: Path, run: Run, tmp_path: Path) -> None:
    """Before anything is read, where that is possible."""
    missing = call("evaluate", run.folder, tmp_path / "nowhere", "--probe", "sepia")
    assert missing.code == 2
    assert missing.err.startswith("featstore: --probe sepia: is not known: use one of greyscale")
    with pytest.raises(UsageError, match="is given twice"):
        featstore.evaluate(run, work / "new", probes=["blur", "blur=2"], cache=work / "cache")
    with pytest.raises(DataError, match="has no labels, so what `?probe='greyscale'"):
        featstore.evaluate(run, list_files([work / "new"]), probes="greyscale", cache=work / "cache")
    data = write_photos(tmp_path / "data", 1, first=100)
    Image.new("RGB", (70_000, 40)).save(data / "discs" / "strip.png")
    with pytest.raises(DataError, match=r"strip\.png: cannot be changed for probe='jpeg=20': is 70000x40 pixels"):
        featstore.evaluate(run, data, probes=parse_probe("jpeg"), cache=work / "cache")
