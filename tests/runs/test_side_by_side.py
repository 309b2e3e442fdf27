"""Runs side by side: on the same images, with the figures that each has there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featstore
from featstore import Run
from featstore.errors import DataError, RunError, UsageError
from featstore.evaluation.paired import paired_difference
from featstore.runs import side_by_side
from featstore.runs.files import load_splits
from featstore.runs.settings import settings_of
from helpers.cli import call
from helpers.photos import write_photos


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos with splits; 20 of them for testing."""
    folder = tmp_path_factory.mktemp("work")
    for split, each, first in (("train", 8, 0), ("val", 3, 8), ("test", 10, 11)):
        write_photos(folder / "photos" / split, each, first)
    return folder


def train(work: Path, data: str = "photos", head: Any = "logistic", parameters: Any = None, **options: Any) -> Run:
    places = {"cache": work / "cache", "runs": work / "runs"}
    return featstore.train_head(work / data, head, parameters, **{"model": "pixels", "size": 8, **places, **options})


@pytest.fixture(scope="module")
def runs(work: Path) -> list[Run]:
    """Of images of 8 px and of 2 px."""
    return [train(work, name="wide"), train(work, parameters={"C": 1e-4}, size=2, name="small")]


def right(work: Path, run: Run, data: str = "photos/test") -> np.ndarray:
    """Whether each image is answered rightly, by `predict`."""
    images = featstore.predict(run, work / data, cache=work / "cache").images
    return np.array([Path(image.path).parent.name == image.label for image in images], float)


def test_the_figures_are_those_of_the_runs(work: Path, runs: Sequence[Run]) -> None:
    """Accuracy and log loss on the test split, and the paired difference of the predictions."""
    found = featstore.compare_runs(runs)
    best, other = found.rows
    assert {best.name, other.name} == {"wide", "small"}
    assert best.accuracy >= other.accuracy
    for row in found.rows:
        assert row.accuracy == row.run.metrics["test"].accuracy == right(work, row.run).mean()
        assert row.log_loss == pytest.approx(row.run.metrics["test"].log_loss, rel=1e-9)
    assert other.difference_to_best == paired_difference(right(work, other.run), right(work, best.run))
    assert (found.n, found.groups, found.notes) == (20, None, ())
    assert found.images == "the images that are in the test split of every run"


def test_what_differs_is_listed(runs: Sequence[Run]) -> None:
    """And nothing else, with the values in the order of the rows."""
    found = featstore.compare_runs(runs)
    by_run = {
        row.name: {name: values[place] for name, values in found.differences.items()}
        for place, row in enumerate(found.rows)
    }
    assert (by_run["wide"]["size"], by_run["wide"]["C"]) == ("8", "-")
    assert (by_run["small"]["size"], by_run["small"]["C"]) == ("2", "0.0001")
    assert found.differences.keys() == {"size", "C", "C (chosen)"}


def test_the_command_prints_it(work: Path, runs: Sequence[Run]) -> None:
    done = call("runs", "compare", *(run.folder for run in runs))
    found = featstore.compare_runs(runs)
    assert done.out == f"{found}\n"
    assert done.out.startswith(f"best: {found.rows[0].name}: ")
    assert done.out.splitlines()[2].split() == [
        "run",
        "accuracy",
        "95",
        "%",
        "interval",
        "log",
        "loss",
        "to",
        "the",
        "best",
    ]
    printed = json.loads(call("runs", "compare", *(run.folder for run in runs), "--json").out)
    assert printed == json.loads(json.dumps(found.describe()))
    assert call("runs", "compare", *(run.folder for run in runs), "--quiet").out == ""


def test_images_are_the_same_wherever_they_lie(work: Path, runs: Sequence[Run], tmp_path: Path) -> None:
    """By their content; the data may have moved, and images may be missing."""
    shutil.copytree(work / "photos" / "test", tmp_path / "moved")
    assert featstore.compare_runs(runs, tmp_path / "moved").rows == featstore.compare_runs(runs).rows
    gone = [replace(run, data=str(tmp_path / "gone")) for run in runs]
    with pytest.raises(UsageError, match=r"expected at .*gone, and are not there: give their place with `data`"):
        featstore.compare_runs(gone)
    (tmp_path / "moved" / "discs" / "011.png").unlink()
    found = featstore.compare_runs(gone, tmp_path / "moved")
    assert (found.n, found.notes) == (19, ("1 image of these is not in the data any more",))


def test_images_that_do_not_count_need_no_features(work: Path, runs: Sequence[Run], tmp_path: Path) -> None:
    """Thousands may have been added since; they are hashed, and not run through a base."""
    shutil.copytree(work / "photos" / "test", tmp_path / "photos")
    expected, cache = featstore.compare_runs(runs).rows, featstore.Cache(work / "cache")
    before = [key.rows for key in cache.keys()]  # noqa: SIM118
    write_photos(tmp_path / "photos", 3, first=90)
    (tmp_path / "photos" / "discs" / "broken.png").symlink_to("nowhere")
    assert featstore.compare_runs(runs, tmp_path / "photos").rows == expected
    assert [key.rows for key in cache.keys()] == before  # noqa: SIM118


def test_images_that_one_was_trained_on_are_left_out(work: Path, runs: Sequence[Run], tmp_path: Path) -> None:
    """Another run of the same photos, with other splits."""
    for split in ("train", "test"):
        shutil.copytree(work / "photos" / split, tmp_path / "other" / split)
    for number in (11, 12):
        (tmp_path / "other" / "test" / "discs" / f"{number:03}.png").rename(
            tmp_path / "other" / "train" / "discs" / f"{number:03}.png"
        )
    options = {"name": "other", "val_fraction": 0.1, "runs": tmp_path / "runs"}
    other = train(tmp_path, "other", cache=work / "cache", **options)
    splits = load_splits(other)
    test_images = [digest for digest, split in load_splits(runs[0]).items() if split == "test"]
    trained = sum(splits[digest] == "train" for digest in test_images)
    held_out = sum(splits[digest] == "test" for digest in test_images)
    found = featstore.compare_runs([runs[0], other])
    assert (found.n, trained) == (held_out, 2)
    [note] = found.notes
    assert note.startswith(f"wide: {20 - held_out} of its 20 held-out images are left out, 2 of them since another run")


def test_runs_of_other_data_cannot_be_compared(work: Path, runs: Sequence[Run], tmp_path: Path) -> None:
    """There is no image that both held out."""
    write_photos(tmp_path / "photos", 8, first=50)
    other = train(tmp_path, name="other")
    with pytest.raises(RunError, match="no image is held out by all of wide, other"):
        featstore.compare_runs([runs[0], other])
    with pytest.raises(DataError, match="has none of the images that the runs held out"):
        featstore.compare_runs(runs, tmp_path / "photos")


def test_without_a_test_split_validation_counts(work: Path, tmp_path: Path) -> None:
    """And a run that chose its epoch there says so."""
    for split in ("train", "val"):
        shutil.copytree(work / "photos" / split, tmp_path / "photos" / split)
    made = [train(tmp_path, name="a"), train(tmp_path, size=4, name="b")]
    found = featstore.compare_runs(made)
    assert (found.n, found.images) == (6, "the images that every run has in its validation or test split")
    assert found.notes == tuple(
        f"{name}: 6 of the images chose its temperature, which flatters its log loss" for name in "ab"
    )
    splits = [load_splits(run) for run in made]
    shared = side_by_side._held_out_by_all(splits, "ab")
    stopped = replace(made[1], head="bn-dropout", interrupted=True)
    assert list(side_by_side._on_images(stopped, splits[1], splits, shared)) == [
        "6 of the images decided when its training ended, which flatters it",
        "its training was interrupted",
    ]


def test_changed_labels_are_told(work: Path, runs: Sequence[Run], tmp_path: Path) -> None:
    """The recorded figure was of other labels."""
    shutil.copytree(work / "photos" / "test", tmp_path / "photos")
    for name in ("011.png", "012.png"):
        (tmp_path / "photos" / "discs" / name).rename(tmp_path / "photos" / "stripes" / f"x{name}")
    found = featstore.compare_runs(runs, tmp_path / "photos")
    assert any(note.startswith("wide: recorded ") for note in found.notes)
    (tmp_path / "photos" / "discs").rename(tmp_path / "photos" / "rings")
    with pytest.raises(DataError, match="wide: does not know the class 'rings'"):
        featstore.compare_runs(runs, tmp_path / "photos")


def test_images_of_a_group_count_as_one(work: Path, tmp_path: Path) -> None:
    """In the intervals, as everywhere."""
    lines = ["path,label,split,group"]
    for path in sorted((work / "photos").glob("*/*/*.png")):
        group = f"{path.parent.parent.name}{int(path.stem) // 2}{path.parent.name}"
        lines.append(f"{path},{path.parent.name},{path.parent.parent.name},{group}")
    (tmp_path / "photos.csv").write_text("\n".join(lines))
    made = [train(tmp_path, "photos.csv", name="a"), train(tmp_path, "photos.csv", size=2, name="b")]
    found = featstore.compare_runs(made)
    assert (found.n, found.groups) == (20, 12)
    assert "on 20 images in 12 groups" in found.finding


@pytest.mark.parametrize("given", [0, 1, 2])
def test_two_different_runs_are_expected(runs: Sequence[Run], given: int) -> None:
    with pytest.raises(UsageError, match="expected two or more different runs"):
        featstore.compare_runs([runs[0]] * given)
    with pytest.raises(UsageError, match="`runs`: expected a list of two or more runs"):
        featstore.compare_runs("runs/a")


def test_data_without_labels(runs: Sequence[Run], tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    for path in sorted(Path(runs[0].data).glob("test/*/*.png")):
        shutil.copy(path, tmp_path / "flat" / f"{path.parent.name}.{int(path.stem)}.png")
    with pytest.raises(DataError, match="has no labels to compare by"):
        featstore.compare_runs(runs, tmp_path / "flat")
    named = featstore.compare_runs(runs, tmp_path / "flat", label_from="{label}.#")
    assert named.rows == featstore.compare_runs(runs).rows


def test_settings_are_resolved(runs: Sequence[Run]) -> None:
    """What the user left out is there with the value that it had."""
    settings = settings_of(runs[0])
    assert (settings["model"], settings["size"], settings["fit"], settings["head"]) == (
        "pixels",
        "8",
        "squash",
        "logistic",
    )
    assert (settings["weights_seed"], settings["folds"], settings["seed"]) == ("-", "5", "0")
    assert settings["data"] == runs[0].data
    several = replace(runs[0], recipes=runs[0].recipes + runs[1].recipes, specs=runs[0].specs + runs[1].specs)
    assert settings_of(several)["size"] == "8 + 2"
