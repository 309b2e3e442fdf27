"""The cross-validation of a single head: what is measured, recorded and advised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featstore
from featstore.comparison.grid import Measurement
from featstore.comparison.job import measure_grid
from featstore.errors import UsageError
from featstore.extraction.recipe import Recipe
from helpers.cli import call
from helpers.photos import write_photos

OPTIONS: dict[str, Any] = {"model": "pixels", "size": 8}
PIXELS = ("--model", "pixels", "--size", 8, "--set", "C=1")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 12)
    return folder


def train(work: Path, **options: Any) -> featstore.Run:
    return featstore.train_head(
        work / "photos", "logistic", {"C": 1.0}, **OPTIONS, cache=work / "cache", runs=work / "runs", **options
    )


def test_a_run_records_its_folds_and_is_the_same_head(work: Path) -> None:
    """What compare measures, in run.json and back; the head is that of the splits, as without folds."""
    plain, run = train(work), train(work, folds=4, seeds=3)
    recipe = Recipe(model="pixels", size=8)
    measured = measure_grid(
        work / "photos", [recipe], settings={"C": 1.0}, measurement=Measurement(folds=4, seeds=3), cache=work / "cache"
    )
    [row], found = measured.rows, featstore.load_run(run.folder).folds
    assert found == run.folds
    assert found is not None
    assert (found.folds, found.seeds, found.n, len(found.by_fold)) == (4, 3, 24, 3)
    assert found.accuracy == pytest.approx(np.mean(found.by_fold))
    assert (found.accuracy, found.accuracy_ci95) == (row.accuracy, row.accuracy_ci95)
    assert found.spread_seeds == row.describe()["spread_seeds"]
    assert found.by_fold == tuple(map(tuple, row.describe()["accuracy_by_fold"]))
    assert len(set(found.by_fold)) > 1  # each seed divides the images in another way
    assert run.metrics == plain.metrics
    assert plain.folds is None
    assert "4-fold cross-validation: accuracy 0." in str(run)
    [table] = [part for part in measured.parts() if not isinstance(part, str)]
    assert {"sd of folds", "sd of seeds"} <= set(table.header)


def test_few_held_out_images_are_told_with_what_to_type(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that was typed with --folds; with it there is no such remark, and its figures can be read."""
    monkeypatch.chdir(work)
    plain = json.loads(call("train-head", "photos", *PIXELS, "--json").out)
    [advice] = [text for text in plain["remarks"] if "cross-validation" in text]
    expected = "featstore train-head photos --model pixels --size 8 --set C=1 --json --folds 5"
    assert advice == f"a cross-validation would say more: test has 4 images, and it measures on all 24: {expected}"
    assert plain["folds"] is None
    told = json.loads(call(*expected.split()[1:]).out)
    assert (told["folds"]["folds"], told["folds"]["n"]) == (5, 24)
    assert not any("cross-validation" in text for text in told["remarks"])
    assert any("give folds=5" in text for text in train(work).remarks)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"folds": 1}, "folds=1: expected 2 or more"),
        ({"seeds": 3}, "seeds=3: repeats a cross-validation; give folds=5 too"),
        ({"folds": 3, "seeds": 0}, "seeds=0: expected 1 or more"),
    ],
)
def test_numbers_that_make_no_cross_validation_are_refused(given: dict[str, int], message: str, tmp_path: Path) -> None:
    """At once, before the data are looked for."""
    with pytest.raises(UsageError, match=message):
        featstore.train_head(tmp_path / "nowhere", **OPTIONS, **given, runs=tmp_path / "runs")


def test_the_folds_of_a_head_keep_their_own_option(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`logistic` chooses C in folds too: `--set folds=3`."""
    monkeypatch.chdir(work)
    done = call("train-head", "photos", "--model", "pixels", "--size", 8, "--set", "folds=3", "--folds", 4, "--json")
    run = json.loads(done.out)
    assert (run["parameters"]["folds"], run["folds"]["folds"]) == (3, 4)


def test_the_scores_of_a_row_are_those_of_its_run(work: Path) -> None:
    """Macro F1 and Brier on the same images; a mean over the seeds, which `logistic` does not depend on."""
    scores, recipe = train(work).metrics["test"].scores, Recipe(model="pixels", size=8)
    measured = measure_grid(
        work / "photos", [recipe], settings={"C": 1.0}, measurement=Measurement(seeds=2), cache=work / "cache"
    )
    [row] = measured.rows
    assert scores is not None
    assert (row.macro_f1, row.brier) == (pytest.approx(scores.macro_f1), pytest.approx(scores.brier, abs=1e-6))
    assert (row.describe()["macro_f1"], row.describe()["brier"]) == (row.macro_f1, row.brier)
