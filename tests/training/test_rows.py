"""Heads on features that do not fit into memory: the rows are those in memory, block by block, and a line says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featstore
from featstore.errors import UsageError
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import make_head
from featstore.runs.files import load_run
from featstore.store.places import Places
from featstore.store.reader import RowReader
from featstore.system.machine import Memory
from featstore.system.progress import Silent
from featstore.training import rows as rows_module
from featstore.training.fit import HeadFit, Prepared, prepare
from featstore.training.head_recipe import HeadRecipe
from featstore.training.job import train
from featstore.training.rows import HeadRows, InMemory, OnDisk
from helpers.cli import call
from helpers.photos import write_photos

PLAIN = Recipe(model="pixels", size="8")
SETS = {
    "plain": ([PLAIN], {}),
    "one of two views": ([Recipe(model="pixels", size="8", views="flip")], {"average": "logits"}),
    "all views": ([Recipe(model="pixels", size="8", views="flip")], {"train_on": "all"}),
    "augmented": ([Recipe(model="pixels", size="8", views="augment:2", augment="rotation=20")], {}),
    "side by side": ([PLAIN, Recipe(model="pixels", size="6", dtype="float32")], {}),
}


class Told(Silent):
    """Notes the lines that are told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 20)
    return folder


def prepared(work: Path, *recipes: Recipe) -> Prepared:
    return prepare(work / "photos", recipes, cache=work / "cache")


def rows_of(where: type, found: Prepared, recipe: HeadRecipe) -> HeadRows:
    pictures = {split: found.manifest.of_split(split) for split in ("train", "val", "test")}
    rows: HeadRows = where(pictures, found.manifest.classes, found.plans, recipe, found.cache)
    return rows


def mean_of_halves(X: np.ndarray) -> np.ndarray:
    """Something that could be probabilities of rows."""
    share = X.reshape(len(X), -1)[:, ::2].mean(axis=1, dtype=np.float64) / 255
    return np.stack([share, 1 - share], axis=1)


@pytest.mark.parametrize("name", SETS)
def test_rows_on_disk_are_those_in_memory(work: Path, name: str) -> None:
    """To the last bit and in the same order, with their classes and units; and so are the answers."""
    recipes, how = SETS[name]
    found, recipe = prepared(work, *recipes), HeadRecipe(memory=5_000, **how)
    on_disk, in_memory = rows_of(OnDisk, found, recipe), rows_of(InMemory, found, recipe)
    (X, y, groups), expected = on_disk.training(), in_memory.training()
    assert not isinstance(X, np.ndarray)
    assert X.shape == expected.X.shape
    assert X[:].dtype == np.float32
    assert np.array_equal(X[:], expected.X)
    some = np.random.default_rng(0).permutation(len(y))[:9]
    assert np.array_equal(X[some], expected.X[some])
    assert np.array_equal(y, expected.y)
    assert (groups is None) == (expected.groups is None)
    assert groups is None or np.array_equal(groups, expected.groups)
    validation, held_out = on_disk.validation(), in_memory.validation()
    assert validation and held_out
    assert np.array_equal(validation[0][2:7], held_out[0][2:7])
    assert np.array_equal(validation[1], held_out[1])
    for split in ("train", "val", "test"):
        average = recipe.average or "probabilities"
        expected_answers = in_memory.predict(split, mean_of_halves, average)
        assert on_disk.predict(split, mean_of_halves, average) == pytest.approx(expected_answers, abs=1e-6)


def read_at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list of how many rows each reading of the store asks for."""
    asked: list[int] = []
    real_at, real = RowReader.read_at, RowReader.read

    def read_at(self: RowReader, places: Places, mapped: bool = False) -> Any:
        asked.append(len(places.row))
        return real_at(self, places, mapped)

    def read(self: RowReader, ids: Any) -> Any:
        asked.append(len(ids))
        return real(self, ids)

    monkeypatch.setattr(RowReader, "read_at", read_at)
    monkeypatch.setattr(RowReader, "read", read)
    return asked


@pytest.mark.parametrize("head", ["logistic-sgd", "mlp"])
def test_no_more_rows_are_read_at_once_than_fit(work: Path, monkeypatch: pytest.MonkeyPatch, head: str) -> None:
    """In the whole of a training, its predictions and its calibration; with more memory all are read at once."""
    found, most = prepared(work, PLAIN), 10
    asked = read_at_once(monkeypatch)
    for memory, largest in ((most * 4 * 8 * 8 * 3, most), (2**30, 24)):
        asked.clear()
        recipe = HeadRecipe(head=head, parameters={"epochs": 2, "batch": 4}, memory=memory)  # type: ignore[arg-type]
        fit = HeadFit(found, found.plans, recipe, make_head(head, recipe.parameters))
        fit.run()
        assert fit.result().probabilities.keys() == {"train", "val", "test"}
        assert max(asked) == largest


def test_a_run_on_features_that_do_not_fit(work: Path) -> None:
    """It says so in a line and keeps the number of blocks, and an evaluation finds the figures of its training."""
    told = Told()
    recipe = HeadRecipe(head="logistic-sgd", parameters={"epochs": 5, "batch": 8}, memory=8_000)
    run = train(work / "photos", PLAIN, recipe, cache=work / "cache", runs=work / "runs", progress=told).run
    [line] = [line for line in told.lines if "memory" in line]
    assert line == (
        "features of 0.03 MB are more than the 0.01 MB for them in memory, so they are read from the cache block by "
        "block"
    )
    assert run.chosen["blocks"] == 3
    whole = HeadRecipe(head="logistic-sgd", parameters={"epochs": 5, "batch": 8})
    other = train(work / "photos", PLAIN, whole, cache=work / "cache", runs=work / "runs", name="whole").run
    assert "blocks" not in other.chosen
    evaluation = featstore.evaluate(load_run(run.folder), work / "photos", cache=work / "cache")
    for split, metrics in run.metrics.items():
        assert evaluation.metrics[split].log_loss == pytest.approx(metrics.log_loss, rel=1e-12)


@pytest.mark.parametrize(("total", "where"), [(40 * 768 * 2, InMemory), (40 * 768 * 2 - 2, OnDisk)])
def test_half_of_the_memory_is_for_features(
    work: Path, monkeypatch: pytest.MonkeyPatch, total: int, where: type
) -> None:
    """Where nothing is said, for a head that streams; any other holds all in memory, and is told what would not."""
    monkeypatch.setattr(rows_module, "find_memory", lambda: Memory(total, total, None))
    found = prepared(work, PLAIN)
    for head, expected in (("logistic-sgd", where), ("logistic", InMemory)):
        recipe, told = HeadRecipe(head=head), Told()  # type: ignore[arg-type]
        assert type(HeadFit(found, found.plans, recipe, make_head(head))._rows) is expected
        rows_module.tell_of_memory(found.manifest, found.plans, recipe, found.cache, told)
        assert bool(told.lines) == (where is OnDisk)
    if told.lines:
        assert "and logistic needs all of them at once; heads that do not: logistic-sgd, linear, mlp, " in told.lines[0]


def test_a_machine_that_does_not_say_its_memory_is_no_limit(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "find_memory", lambda: None)
    found = prepared(work, PLAIN)
    assert not rows_module.are_on_disk(found.manifest, found.plans, HeadRecipe(head="mlp"), found.cache)


def test_memory_without_effect_is_refused(work: Path) -> None:
    """Before anything is extracted."""
    done = call("train-head", work / "photos", "--model", "pixels", "--head", "ridge", "--memory", "1M")
    assert done.code == 2
    assert "--memory 1048576: head ridge needs all features in memory; use one of logistic-sgd, linear, " in done.err
    with pytest.raises(UsageError, match="memory"):
        featstore.train_head(work / "photos", "logistic-sgd", model="pixels", memory=0)
