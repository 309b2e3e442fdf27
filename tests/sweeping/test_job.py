"""A sweep from images to a run: the test split is left alone, the seed decides, and an interruption costs nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import featstore
from featstore.errors import RunError, UsageError
from featstore.extraction.recipe import Recipe
from featstore.sweeping import ensemble, job, standing
from featstore.sweeping.journal import Journal
from featstore.sweeping.result import Sweep
from featstore.sweeping.searching import Scope
from helpers.cli import call
from helpers.photos import write_photos

PIXELS: dict[str, Any] = {"model": "pixels", "size": 8}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    for split, each, first in (("train", 24, 0), ("val", 8, 24), ("test", 10, 32)):
        write_photos(folder / "photos" / split, each, first)
    return folder


def run(work: Path, tmp_path: Path, **options: Any) -> Sweep:
    given = {"heads": "logistic", "trials": 4, "folds": 3, "jobs": 1, **PIXELS, **options}
    return featstore.sweep(work / "photos", cache=work / "cache", runs=tmp_path / "runs", **given)


def scores(found: Sweep) -> list[tuple[str, float, float]]:
    return [(row.name, row.accuracy, row.log_loss) for row in found.rows]


def test_the_winner_is_a_run_as_train_head_makes_it(work: Path, tmp_path: Path) -> None:
    found = run(work, tmp_path)
    best = found.rows[0]
    alone = featstore.train_head(
        work / "photos", "logistic", best.parameters, cache=work / "cache", runs=tmp_path / "alone", **PIXELS
    )
    for split, metrics in found.run.metrics.items():
        use = "choosing" if split == "val" else metrics.used_for
        assert metrics == replace(alone.metrics[split], used_for=use)
    assert found.run.metrics["test"].n == 20
    assert featstore.load_run(found.run.folder).parameters == found.run.parameters
    assert (found.tried, found.n, found.folds) == (4, 64, 3)
    assert best.log_loss == min(row.log_loss for row in found.rows)


def test_no_image_of_the_test_split_is_used(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even loaded: the scores are the same where the features of that split cannot be read before the end."""
    from featstore.features import views

    loaded: list[str] = []
    load = views.load_views

    def spy(pictures: Any, *rest: Any) -> Any:
        loaded.extend(Path(picture.path).parts[-3] for picture in pictures)
        return load(pictures, *rest)

    monkeypatch.setattr(views, "load_views", spy)
    monkeypatch.setattr(job, "train", lambda *_, **__: pytest.fail("stop here"))
    with pytest.raises(pytest.fail.Exception, match="stop here"):
        run(work, tmp_path)
    assert (loaded.count("train"), loaded.count("val"), len(loaded)) == (48, 16, 64)


def test_features_and_settings_are_searched_too(work: Path, tmp_path: Path) -> None:
    found = run(work, tmp_path, size=[8, 12], preprocess=["raw", "rescale"], parameters={"C": 0.01})
    assert {row.name for row in found.rows} == {
        f"logistic C=0.01 on preprocess {variant}, size {size}" for variant in ("raw", "rescale") for size in (8, 12)
    }
    assert found.run.recipes[0].size == found.rows[0].recipe.size


def test_the_same_seed_gives_the_same_scores_with_any_number_of_processes(work: Path, tmp_path: Path) -> None:
    one, two = (run(work, tmp_path / str(jobs), jobs=jobs) for jobs in (1, 2))
    assert scores(one) == scores(two)
    assert one.run.parameters == two.run.parameters


def stop_after(lines: int, patch: pytest.MonkeyPatch) -> None:
    """Interrupt the sweep as Ctrl-C would, when so many trials are in the journal."""
    add: Callable[..., None] = Journal.add

    def stopping(self: Any, *arguments: Any) -> None:
        add(self, *arguments)
        if len(self.scores) >= lines:
            raise KeyboardInterrupt

    patch.setattr(Journal, "add", stopping)


def test_an_interrupted_sweep_goes_on(work: Path, tmp_path: Path) -> None:
    """With what is in its journal, and to the same end; how is said."""
    whole = run(work, tmp_path / "whole", size=[8, 9], trials=8)
    with pytest.MonkeyPatch.context() as patch:
        stop_after(4, patch)
        with pytest.raises(KeyboardInterrupt) as stopped:
            run(work, tmp_path, size=[8, 9], trials=8)
    [told] = stopped.value.__notes__
    assert re.fullmatch(r"4 trials are done and kept in .*\.jsonl; the same command goes on from there", told)
    again = run(work, tmp_path, size=[8, 9], trials=8)
    assert scores(again) == scores(whole)
    assert len(again.journal.read_text().splitlines()) == 1 + 8


def test_a_path_is_solved_as_a_whole(work: Path, tmp_path: Path) -> None:
    """Its heads start from one another: the rest of it alone would be slightly different heads."""
    whole = run(work, tmp_path)
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    whole.journal.write_bytes(b"".join(lines[:3]))
    assert scores(run(work, tmp_path)) == scores(whole)


@pytest.mark.parametrize("changed", [{"seed": 1}, {"size": 9}, {"folds": 4}, {"parameters": {"max_iter": 50}}])
def test_another_sweep_has_another_journal(work: Path, tmp_path: Path, changed: dict[str, Any]) -> None:
    first = run(work, tmp_path, trials=2)
    other = run(work, tmp_path, trials=2, **changed)
    assert first.journal != other.journal
    with pytest.raises(RunError, match="is of another sweep"):
        run(work, tmp_path, trials=2, journal=first.journal, **changed)
    assert run(work, tmp_path, trials=4).journal == first.journal


def test_time_ends_the_search_and_not_the_training(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was finished by then is enough. One path always is, so that there is something to save: the quickest."""
    short = run(work, tmp_path / "short", heads=["logistic", "ridge"], trials=6, time=1e-9)
    assert {row.head for row in short.rows} == {"ridge"}
    assert short.findings[0] == "3 trials, when the time was over: the same command with more time goes on"
    found = run(work, tmp_path, trials=3)
    again = run(work, tmp_path, trials=3, time=1e-9)
    assert scores(again) == scores(found)
    few = run(work, tmp_path, size=[8, 9], parameters={"C": 0.1})
    assert few.findings[0] == "2 trials, which are all that there are"
    path = few.journal
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    late = run(work, tmp_path, size=[8, 9], parameters={"C": 0.1}, time=1e-9)
    assert late.findings[0] == "1 trial, when the time was over: the same command with more time goes on"


def test_the_command_line_says_the_same(work: Path, tmp_path: Path) -> None:
    options = [
        "--model",
        "pixels",
        "--size",
        "8",
        "--folds",
        "3",
        "--jobs",
        "1",
        "--time",
        "10m",
        "--head",
        "logistic",
        "--trials",
        "4",
    ]
    places = ["--cache", work / "cache", "--runs", tmp_path / "runs"]
    done = call("sweep", work / "photos", *options, *places, "--json", "--quiet")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert [(row["name"], row["accuracy"], row["log_loss"]) for row in content["rows"]] == scores(run(work, tmp_path))
    assert content["run"]["command"].startswith("featstore sweep")
    shown = call("sweep", work / "photos", *options, *places)
    assert "4 trials" in shown.out
    assert "no image of a test split was used" in shown.out
    assert "the best so far: logistic" in call("sweep", work / "photos", *options, *places, "--seed", "1").err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": "scratch-cnn", "model": "tiny"}, "head scratch-cnn: is for the base pixels only"),
        ({"heads": []}, "expected at least one head"),
        ({"time": 0.0}, "expected a time above 0"),
        ({"trials": 0}, "expected a whole number of at least 1"),
        ({"parameters": {"epochs": 5}}, "has such a parameter"),
        ({"by": "f1"}, "use one of log-loss, accuracy"),
    ],
)
def test_what_makes_no_sense_is_refused(work: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(work, tmp_path, **options)


def test_keras_heads_are_drawn_raced_and_refined(work: Path, tmp_path: Path) -> None:
    found = run(work, tmp_path, heads=["logistic", "bn-dropout"], trials=19, parameters={"epochs": 2, "units": 8})
    assert found.tried == 19
    assert {row.head for row in found.rows} == {"logistic", "bn-dropout"}
    assert found.run.head == found.rows[0].head


def test_an_ensemble_is_saved_only_if_it_is_better(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a run like any other; else the best trial is saved, and why is said."""
    heads = ["logistic", "ridge", "lda"]
    one = run(work, tmp_path, heads=heads, ensemble=True)
    assert one.run.head == one.rows[0].head
    assert one.findings[-1].startswith("no ensemble is better beyond noise, so the best trial is saved: ")
    monkeypatch.setattr(ensemble.Ensemble, "is_better", True)
    several = run(work, tmp_path, heads=heads, ensemble=True)
    assert several.run.head == "ensemble"
    assert several.findings[-1].endswith("so it is saved")
    again = featstore.evaluate(several.run.folder, work / "photos", cache=work / "cache")
    assert again.metrics == several.run.metrics
    alone = run(work, tmp_path, ensemble=True)
    assert alone.findings[-1].startswith("no ensemble: it takes two heads")


def test_the_run_says_that_it_was_chosen(work: Path, tmp_path: Path) -> None:
    found = run(work, tmp_path)
    said = "chosen by a sweep: the best of 4 heads in log loss, by 3-fold cross-validation on 64 images"
    loaded = featstore.load_run(found.run.folder)
    remarks = loaded.remarks
    assert (remarks[0], loaded.chosen_by) == (said, said)
    again = featstore.evaluate(found.run.folder, work / "photos", cache=work / "cache").metrics
    uses = {"test": "measuring", "val": "choosing", "train": "training"}
    assert {split: m.used_for for split, m in again.items()} == uses
    assert "few images in test" in " ".join(remarks)
    assert "a cross-validation would say more" not in " ".join(remarks)


def test_a_trial_scores_what_a_comparison_in_folds_finds(work: Path, tmp_path: Path) -> None:
    """The same images in the same folds, the same head with the same seed, and the same temperature."""
    data = tmp_path / "pool"
    for split in ("train", "val"):  # without a test split, as `compare` has none to leave out
        write_photos(data, 24 if split == "train" else 8, 0 if split == "train" else 24)
    options = {**PIXELS, "folds": 3, "parameters": {"C": 0.1}, "cache": tmp_path / "cache"}
    found = featstore.sweep(data, "logistic", jobs=1, test_fraction=0.0, runs=tmp_path / "runs", **options)
    row = featstore.compare(data, "logistic", **options).rows[0]
    assert (found.rows[0].accuracy, found.n) == (row.accuracy, row.n)
    assert found.rows[0].accuracy_ci95 == pytest.approx(row.accuracy_ci95)
    assert found.rows[0].log_loss == pytest.approx(row.log_loss, rel=1e-3)  # the solver of a path starts elsewhere


def test_a_head_of_ones_own_is_tried_and_kept_if_it_can_be(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that would have to be pickled may win; then the best of the others is saved, and that is said."""
    own = "sklearn.naive_bayes:BernoulliNB"
    found = run(work, tmp_path, heads=[own, "logistic"], trials=3)
    assert own in {row.head for row in found.rows}
    monkeypatch.setattr(job, "_can_be_kept", lambda head, fixed: head != own)
    monkeypatch.setattr(standing, "order", lambda scores, by: sorted(scores, key=lambda trial: trial.head != own))
    found = run(work, tmp_path, heads=[own, "logistic"], trials=3)
    assert (found.rows[0].head, found.run.head) == (own, "logistic")
    assert f"a run cannot keep {own}, so the best of the others is saved: logistic C=" in found.findings[-1]
    monkeypatch.undo()
    with pytest.raises(UsageError, match="helpers.light:needs_tensorflow"):
        run(work, tmp_path, heads="helpers.light:needs_tensorflow")


def test_a_head_has_the_pooling_that_it_prefers(work: Path, tmp_path: Path) -> None:
    """As `train_head` gives it; else the winner would be trained on other features than it was chosen on."""
    scope = Scope.of([Recipe(model="tiny")], ["vgg-fc", "logistic"], {})
    assert [(scope.recipes[recipe].pool, head) for recipe, head in scope.places] == [
        ("none", "vgg-fc"),
        (None, "logistic"),
    ]
    assert Scope.of([Recipe(model="tiny", pool="max")], ["vgg-fc"], {}).recipes[0].pool == "max"
