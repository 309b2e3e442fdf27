"""Runs that are moved or handed on: with their cache and data, without their weights, and to another home."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import featstore
from featstore.bases.build import load_base
from featstore.bases.source import parse_source
from featstore.errors import BaseUnavailable, RunError
from featstore.extraction.recipe import Recipe
from featstore.runs.files import load_run
from featstore.runs.hints import from_hint, to_hint, without_home
from featstore.runs.run import Run
from featstore.system.progress import Silent
from featstore.training.head_recipe import HeadRecipe
from featstore.training.job import train
from helpers.light import forbid_tensorflow
from helpers.photos import draw, write_photos


class Told(Silent):
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a folder of its own, in which no cache may appear."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)
    yield tmp_path / "elsewhere"
    assert not list((tmp_path / "elsewhere").iterdir())


def train_in(work: Path, **options: Any) -> Run:
    """Train a head in a folder `work` that holds the data, the cache and the runs."""
    data = write_photos(work / "photos", 8)
    return train(
        data, Recipe(**options), HeadRecipe(parameters={"C": 1.0}), cache=work / "cache", runs=work / "runs"
    ).run


def moved(run: Run, old: Path, new: Path) -> Path:
    shutil.move(old, new)
    return new / run.folder.relative_to(old)


@pytest.mark.parametrize("kind", ["weights", "network"])
def test_a_tree_that_was_moved_predicts_from_its_rows_without_weights(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cached rows are found where the tree is now, by the hint in the run; the weights are not even looked for."""
    work = tmp_path / "one"
    work.mkdir()
    if kind == "weights":
        file, options = work / "w.weights.h5", {"model": "tiny", "weights": str(work / "w.weights.h5")}
        load_base(parse_source("tiny", "random", None, 1), 32, 32).save_weights(file)
    else:
        import keras

        file, inputs = work / "own.keras", keras.Input((16, 16, 3))
        keras.Model(inputs, keras.layers.Conv2D(8, 3, strides=2)(inputs)).save(file)
        options = {"model": str(file), "preprocess": "rescale"}
    run = train_in(work, **options)
    expected = [image.probabilities for image in featstore.predict(run, work / "photos").images]
    file.unlink()
    folder = moved(run, work, tmp_path / "two" / "deep")
    forbid_tensorflow(monkeypatch)
    monkeypatch.setattr("featstore.runs.recipes.find_weights", pytest.fail)
    images = featstore.predict(folder, tmp_path / "two" / "deep" / "photos").images
    assert [image.probabilities for image in images] == expected
    assert featstore.evaluate(folder, tmp_path / "two" / "deep" / "photos").metrics.keys() == run.metrics.keys()
    draw("discs", 777).save(tmp_path / "new.png")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(
        BaseUnavailable,
        match=rf"{folder}: the weights of the run are expected at .*{file.name}, and are neither there nor",
    ):
        featstore.predict(folder, tmp_path / "new.png")


def test_a_run_names_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its paths are relative to the run, or begin with `~`; a program that loads it has them in full."""
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "somebody"))
    run = train_in(tmp_path / "home" / "somebody" / "work", model="pixels", size=8)
    text = (run.folder / "run.json").read_text()
    assert "somebody" not in text
    content = json.loads(text)
    assert (content["data"], content["cache"]) == ("../../photos", "../../cache")
    loaded = load_run(run.folder)
    assert (loaded, loaded.data) == (run, str(tmp_path / "home" / "somebody" / "work" / "photos"))


@pytest.mark.parametrize(
    ("path", "folder", "hint"),
    [
        ("/home/me/work/photos", "/home/me/work/runs/a", "../../photos"),
        ("/home/me/models/w.h5", "/home/me/work/runs/a", "../../../models/w.h5"),
        ("/home/me/models/w.h5", "/data/runs/a", "~/models/w.h5"),
        ("/home/other/w.h5", "/home/me/runs/a", "/home/other/w.h5"),
        ("/data/w.h5", "/home/me/runs/a", "/data/w.h5"),
        ("/home/me", "/data/runs/a", "/home/me"),
        ("/home/me2/w.h5", "/data/runs/a", "/home/me2/w.h5"),
    ],
)
def test_a_hint_leads_back_to_the_path(path: str, folder: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to the run where they share a folder, else in full, with `~` for the home folder."""
    monkeypatch.setenv("HOME", "/home/me")
    assert to_hint(path, Path(folder)) == hint
    assert from_hint(hint, Path(folder)) == path


def test_without_a_home_paths_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is not known."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert without_home("/data/x") == "/data/x"


def test_a_run_is_used_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hints are relative to where the run really is."""
    run = train_in(tmp_path / "deep" / "work", model="pixels", size=8)
    (tmp_path / "link").symlink_to(run.folder)
    assert load_run(tmp_path / "link").cache == tmp_path / "deep" / "work" / "cache"


def test_the_cache_of_the_run_is_used_unless_another_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By argument, or by the variable; `elsewhere` checks that the default is not made."""
    run = train_in(tmp_path / "work", model="pixels", size=8)
    draw("discs", 777).save(tmp_path / "new.png")
    featstore.predict(run.folder, tmp_path / "new.png")
    featstore.predict(run.folder, tmp_path / "new.png", cache=tmp_path / "given")
    assert (tmp_path / "given" / run.specs[0].folder).is_dir()
    monkeypatch.setenv("FEATSTORE_CACHE", str(tmp_path / "variable"))
    featstore.evaluate(run.folder, tmp_path / "work" / "photos")
    assert (tmp_path / "variable" / run.specs[0].folder).is_dir()


def test_a_cache_that_is_gone_is_told(tmp_path: Path, elsewhere: Path) -> None:
    """The default takes its place; where the cache of the run is the default, there is nothing to tell."""
    run = train_in(tmp_path / "work", model="pixels", size=8)
    draw("discs", 777).save(tmp_path / "new.png")
    shutil.rmtree(tmp_path / "work" / "cache")
    told = Told()
    featstore.predict(run.folder, tmp_path / "new.png", progress=told)
    assert told.lines == [
        f"the cache of the run is expected at {tmp_path / 'work' / 'cache'}, and is not there: features go to cache"
    ]
    shutil.rmtree(elsewhere / "cache")
    os.chdir(tmp_path / "work")
    told = Told()
    featstore.predict(run.folder, tmp_path / "new.png", progress=told)
    assert told.lines == []


def test_a_recipe_that_contradicts_the_features_is_refused(tmp_path: Path) -> None:
    """Also without weights: the rows of another size would be those of another head."""
    run = train_in(tmp_path / "work", model="pixels", size=8)
    content = json.loads((run.folder / "run.json").read_text())
    content["recipes"][0]["size"] = 16
    (run.folder / "run.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"was trained on other features \(reading differs\)"):
        featstore.predict(run.folder, tmp_path / "work" / "photos")
