"""The summary: trust first, then each figure with its interval and its bar, and only what the figures support."""

from __future__ import annotations

from dataclasses import replace

import pytest

import featstore
from featstore.reporting.summary import summarize_report
from featstore.runs.run import Run
from helpers.photos import write_photos


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A head that always answers `discs`, on 12 test images."""
    work = tmp_path_factory.mktemp("work")
    write_photos(work / "photos", 30)
    return featstore.train_head(
        work / "photos", "majority", model="pixels", size=4, cache=work / "cache", runs=work / "runs"
    )


def sentences(run: Run, *leaks: str) -> tuple[str, ...]:
    return summarize_report(run=run, leaks=leaks, audit=None, sweep=None, comparison=None, learning=None)


def test_an_accuracy_has_its_interval_and_its_bar(run: Run) -> None:
    trust, accuracy, bar, look, place = sentences(run)
    low, high = run.metrics["test"].accuracy_ci95
    assert trust.startswith("The data were not audited")
    assert accuracy == (
        f"The head, majority on pixels, 4 px, is right for 6 of 12 test images: accuracy 0.500 [{low:.3f}, {high:.3f}]."
    )
    assert bar.startswith("Always answering `discs` would be right for 0.500 of them, and the head is not better")
    assert look == "Look at the 6 wrong test answers; most often, `stripes` taken for `discs` 6 of 6."
    assert place.startswith(f"The head is saved in {run.folder}")


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("partly training", "the head was trained on copies of some of these images"),
        ("choosing", "these images also chose the head"),
        ("stopping", "these images also decided when the training ended"),
    ],
)
def test_what_flatters_a_figure_is_said_with_it(run: Run, use: str, words: str) -> None:
    metrics = replace(run.metrics["test"], used_for=use)  # type: ignore[arg-type]
    assert sentences(replace(run, metrics={"val": metrics}))[1].endswith(f"; too good: {words}.")


def test_a_run_without_held_out_images_has_no_accuracy(run: Run) -> None:
    metrics = replace(run.metrics["train"], used_for="training")
    found = sentences(replace(run, metrics={"train": metrics}))
    assert found[1] == "Nothing tells how good the head is: no image was held out."
    assert not any("accuracy" in sentence for sentence in found)


def test_known_copies_are_said_first_where_there_is_no_audit(run: Run) -> None:
    first, second, *_ = sentences(run, "3 held-out images are in the training split too")
    assert first == "Do not believe the figures yet: 3 held-out images are in the training split too."
    assert second.startswith("The data were not audited")


def test_a_near_miss_is_not_rounded_to_all(run: Run) -> None:
    metrics = replace(run.metrics["test"], n=20000, accuracy=19999 / 20000, accuracy_ci95=(0.9997, 0.99999))
    assert "19,999 of 20,000 test images: accuracy 0.99995" in sentences(replace(run, metrics={"test": metrics}))[1]
