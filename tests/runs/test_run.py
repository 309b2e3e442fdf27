"""Runs: trained, saved in folders of their own, and read safely if they are untrusted."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featstore.datasets.manifest import Picture
from featstore.errors import DataError, FeatstoreError, RunError
from featstore.evaluation.metrics import compute_metrics
from featstore.extraction.recipe import Recipe
from featstore.heads.interface import Curve
from featstore.runs.files import load_curve, load_run, load_splits, save_run
from featstore.runs.run import Run
from featstore.system.files import FileStat
from featstore.training.job import train
from helpers.paths import TESTS
from helpers.photos import write_photos

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 80 drawn images."""
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos.v2", 40)
    return folder


def train_in(work: Path) -> Run:
    return train(work / "photos.v2", Recipe(model="tiny"), cache=work / "cache", runs=work / "runs").run


@pytest.fixture(scope="module")
def saved(work: Path) -> Run:
    """Return the run of a head trained on them."""
    return train_in(work)


@pytest.fixture
def run(saved: Run, tmp_path: Path) -> Run:
    """Return a copy of it that a test may damage."""
    shutil.copytree(saved.folder, tmp_path / "run")
    return load_run(tmp_path / "run")


def rewrite(run: Run, change: Change) -> None:
    content = json.loads((run.folder / "run.json").read_text())
    changed = change(content)
    (run.folder / "run.json").write_text(json.dumps(content if changed is None else changed))


def test_a_run_classifies_stripes_and_discs(saved: Run) -> None:
    """It has metrics for each split, an interval around each accuracy, and no top-5 for two classes."""
    assert saved.classes == ("discs", "stripes")
    assert sum(m.n for m in saved.metrics.values()) == 80
    assert list(saved.metrics) == ["train", "val", "test"]
    for metrics in saved.metrics.values():
        assert metrics.top5 is None
        low, high = metrics.accuracy_ci95
        assert low <= metrics.accuracy <= high
    assert saved.metrics["test"].accuracy > 0.8


def test_a_run_folder_is_complete(saved: Run) -> None:
    """It has the head, run.json, the images with their splits, and the curve as numbers and as a plot."""
    names = ["curve.csv", "curve.png", "head.npz", "images.csv", "run.json"]
    assert sorted(p.name for p in saved.folder.iterdir()) == names
    assert (saved.folder / "curve.csv").read_text().startswith("C,cv_log_loss,cv_accuracy\n1e-05,")
    with Image.open(saved.folder / "curve.png") as curve:
        assert curve.format == "PNG"


def test_the_second_run_has_a_folder_of_its_own(work: Path, saved: Run) -> None:
    """Nothing is overwritten, and the same input gives the same metrics."""
    again = train_in(work)
    assert again.folder != saved.folder
    assert again.metrics == saved.metrics


def test_a_class_without_a_readable_image_is_an_error(tmp_path: Path) -> None:
    """The error names the class."""
    data = write_photos(tmp_path / "data", 4)
    (data / "empty").mkdir()
    (data / "empty" / "x.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"no image of class 'empty' could be read \(.*x\.png: "):
        train(data, Recipe(model="tiny"), cache=tmp_path / "cache", runs=tmp_path / "runs")


def test_what_was_saved_is_what_is_loaded(saved: Run) -> None:
    """Every field is equal, and it reads the same: `run.json` has its keys in another order."""
    assert load_run(saved.folder) == saved
    assert str(load_run(saved.folder)) == str(saved)


def test_run_json_describes_the_run(saved: Run) -> None:
    """It has the format and version, the specs and their key, the classes, seed, fractions, versions and metrics."""
    content = json.loads((saved.folder / "run.json").read_text())
    assert (content["format"], content["format_version"]) == ("featstore-run", 6)
    assert content["key"] == saved.key == saved.specs[0].key
    assert content["specs"] == [saved.specs[0].describe()]
    assert content["classes"] == ["discs", "stripes"]
    assert content["seed"] == 0
    assert (content["fractions"], content["fine_tuning"]) == ({"val": 0.2, "test": 0.2}, {})
    assert content["versions"]["scikit-learn"]
    assert set(content["metrics"]) == {"train", "val", "test"}
    assert "folder" not in content


@pytest.mark.parametrize(
    "field, value",
    [
        ("head", 5),
        ("parameters", []),
        ("chosen", None),
        ("recipes", {"model": "tiny"}),
        ("recipes", [{"model": 5}]),
        ("recipes", [{"model": "tiny", "size": [32]}]),
        ("recipes", [{"model": "tiny", "dtype": None}]),
        ("recipes", [{"model": "tiny", "surprise": 1}]),
        ("specs", []),
        ("specs", [{}]),
        ("specs", None),
        ("classes", [1, 2]),
        ("classes", 5),
        ("metrics", "good"),
        ("metrics", {"test": {"n": 5}}),
        ("metrics", {"test": {"n": 5, "accuracy": "all", "accuracy_ci95": [0, 1], "log_loss": 0.1}}),
        ("metrics", {"test": {"n": 5, "accuracy": 1, "accuracy_ci95": [0], "log_loss": 0.1}}),
        ("metrics", {"test": {"n": 5.5, "accuracy": 1, "accuracy_ci95": [0, 1], "log_loss": 0.1}}),
        ("seconds", []),
        ("seconds", {"fit": "1"}),
        ("seed", "0"),
        ("seed", True),
        ("data", None),
        ("cache", 5),
        ("date", 2026),
        ("command", ["featstore"]),
        ("interrupted", None),
        ("fractions", [0.2, 0.2]),
        ("fractions", {"val": 0.2}),
        ("fine_tuning", None),
        ("fine_tuning", []),
        ("fine_tuning", {"cut": "block5_pool"}),
        ("temperature", "1.5"),
        ("conformal", 0.5),
        ("conformal", ["a"]),
        ("versions", 3),
        ("head_file", 5),
        ("head_file", "../head.npz"),
        ("head_file", "/etc/passwd"),
        ("head_sha256", None),
        ("key", "0" * 64),
        ("surprise", 1),
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_refused(run: Run, field: str, value: object) -> None:
    """A run may be untrusted: every field is checked before it is used."""
    rewrite(run, lambda content: content.update({field: value}))
    with pytest.raises(RunError, match=r"run\.json: cannot be read") as caught:
        load_run(run.folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [lambda c: [], lambda c: "text", lambda c: 5, lambda c: c.pop("specs") and None, lambda c: c.pop("seed") and None],
)
def test_json_of_another_shape_is_refused(run: Run, change: Change) -> None:
    """Anything but a complete run is an expected error."""
    rewrite(run, change)
    with pytest.raises(RunError, match=r"run\.json: cannot be read"):
        load_run(run.folder)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b"[" * 100_000, b"NaN"])
def test_a_damaged_run_is_refused(run: Run, content: bytes) -> None:
    """Damaged bytes are an expected error."""
    (run.folder / "run.json").write_bytes(content)
    with pytest.raises(RunError, match=r"run\.json: cannot be read"):
        load_run(run.folder)


def test_a_run_of_a_newer_featstore_says_so(run: Run) -> None:
    """An unknown version is an error that names the release that wrote it, as for files of the cache."""
    rewrite(run, lambda content: content.update(format_version=7, versions={"featstore-keras": "7.1"}))
    reason = "format version 7, this featstore reads 6: it was written by featstore-keras 7.1: install that release"
    with pytest.raises(RunError, match=reason):
        load_run(run.folder)
    rewrite(run, lambda content: content.update(versions="unknown"))
    with pytest.raises(RunError, match="format version 7, this featstore reads 6: upgrade it"):
        load_run(run.folder)


def test_a_run_keeps_its_fractions(work: Path) -> None:
    """The same data can be split in the same way again."""
    recipe = Recipe(model="tiny")
    found = train(
        work / "photos.v2", recipe, val_fraction=0.1, test_fraction=0, cache=work / "cache", runs=work / "others"
    ).run
    assert load_run(found.folder).fractions == {"val": 0.1, "test": 0}
    assert list(found.metrics) == ["train", "val"]


@pytest.mark.parametrize("version", [1, 2])
def test_a_run_of_an_older_featstore_says_so(run: Run, version: int) -> None:
    """Version 1 has no views and version 2 no list of images; neither is guessed."""
    rewrite(run, lambda content: content.update(format_version=version))
    with pytest.raises(RunError, match="was made by an older featstore; train the head again"):
        load_run(run.folder)


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    """run.json is written last: a folder without it is not a run, and neither is a file."""
    (tmp_path / "head.npz").write_bytes(b"x")
    with pytest.raises(RunError, match="no finished run"):
        load_run(tmp_path)
    with pytest.raises(RunError):
        load_run(tmp_path / "head.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"head": "svm"},
        {"parameters": {"C": "x"}},
        {"parameters": {"C": []}},
        {"parameters": {"surprise": 1}},
        {"head": "bn-dropout", "parameters": {}},
        {"head_file": ".."},
    ],
)
def test_a_head_that_does_not_fit_its_run_is_refused(run: Run, change: dict[str, Any]) -> None:
    """If run.json is well formed but wrong, the head is not loaded."""
    rewrite(run, lambda content: content.update(change))
    with pytest.raises(FeatstoreError):
        load_run(run.folder).load_head()


def test_a_head_that_was_replaced_is_not_loaded(run: Run) -> None:
    """Its digest is checked first; the error names a missing head."""
    file = run.folder / run.head_file
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(RunError, match="SHA-256"):
        run.load_head()
    file.unlink()
    with pytest.raises(RunError, match="cannot be opened"):
        run.load_head()


def test_threads_share_one_head(run: Run) -> None:
    """It is read once, by the first thread."""
    with ThreadPoolExecutor(8) as pool:
        heads = list(pool.map(lambda _: run.load_head(), range(24)))
    assert len({id(head) for head in heads}) == 1


def test_a_head_that_changes_later_is_noticed_by_the_next_run(run: Run) -> None:
    """A run keeps the head whose digest it has checked; a new object checks again."""
    X = np.zeros((1, 256), np.float32)
    expected = run.predict_proba(X)
    (run.folder / run.head_file).write_bytes(b"x")
    assert (run.predict_proba(X) == expected).all()
    with pytest.raises(RunError, match="SHA-256"):
        load_run(run.folder).predict_proba(X)


def test_a_run_with_its_head_in_memory_is_the_same_run(run: Run) -> None:
    """It equals a run without, has the same description, and can be pickled."""
    run.load_head()
    assert load_run(run.folder) == run
    assert load_run(run.folder).describe() == run.describe()
    copied = pickle.loads(pickle.dumps(run))
    assert (copied, copied.load_head() is run.load_head()) == (run, False)


def test_a_head_for_other_classes_is_refused(run: Run) -> None:
    """A class that was added by hand would shift the names of the others."""
    rewrite(run, lambda content: content.update(classes=["discs", "other", "stripes"]))
    with pytest.raises(RunError, match="does not have 3 classes"):
        load_run(run.folder).predict_proba(np.zeros((2, 256), np.float32))


def test_a_head_that_is_not_a_classifier_is_refused(run: Run) -> None:
    """An archive of other arrays is not a head."""
    from featstore.system.files import file_digest

    file = run.folder / run.head_file
    np.savez(file, no=np.ones(3))
    rewrite(run, lambda content: content.update(head_sha256=file_digest(file)))
    with pytest.raises(RunError, match="not a head that can be trusted: it has the arrays no"):
        load_run(run.folder).load_head()


@pytest.mark.parametrize("version", [3, 4, 5, 6])
def test_a_run_of_every_version_predicts_as_before(version: int) -> None:
    """Its predictions are those of the release that made it; what that did not record is not made up."""
    run = load_run(TESTS / "format" / f"run-version-{version}")
    with np.load(run.folder / "answers.npz") as kept:
        assert run.predict_proba(kept["X"]) == pytest.approx(kept["probabilities"], abs=1.2e-7)
    assert (run.notes, run.interrupted) == ((), False)
    if version < 5:
        assert (run.cache, run.date, run.command, run.data) == (None, None, None, "/photos")
    else:
        assert (run.cache, run.data) == (TESTS / "cache", str(TESTS / "photos"))
        assert (run.date or "")[:4] == "2026"
        assert (run.command or "").startswith("featstore train-head photos")
    assert (run.temperature, run.conformal) == ((1.25, (0.125, 0.25, 0.5)) if version > 5 else (None, None))
    assert len(load_splits(run)) == sum(metrics.n for metrics in run.metrics.values())


def test_a_head_without_a_curve_has_no_plot(run: Run) -> None:
    """Without a curve nothing is drawn, and the run is complete."""
    for name in ("curve.csv", "curve.png", "run.json"):
        (run.folder / name).unlink()
    save_run(run, [], Curve("C", [], {}))
    assert sorted(path.name for path in run.folder.iterdir()) == ["head.npz", "images.csv", "run.json"]
    assert load_run(run.folder) == run


def test_a_run_has_a_picture_of_its_reliability(run: Run) -> None:
    """For 20 images that were held out, or more."""
    probabilities = np.linspace(0.01, 0.99, 20)
    metrics = compute_metrics(np.stack([probabilities, 1 - probabilities], axis=1), ["discs"] * 20, run.classes)
    picture = run.folder / "reliability.png"
    for test, is_there in ((replace(metrics, reliability=None), False), (metrics, True)):
        save_run(replace(run, metrics={"test": test}), [], Curve("C", [], {}))
        assert picture.is_file() == is_there
    with Image.open(picture) as image:
        assert image.format == "PNG"


def test_a_notebook_shows_the_pictures_of_a_run(run: Run) -> None:
    """As they are in its folder, which may lack them by now, or hold something else under their names."""
    [curve] = run.plots()  # too few images for a reliability
    assert curve.png == (run.folder / "curve.png").read_bytes()
    assert curve.width == 826
    assert run._repr_html_().count("<img ") == 1
    (run.folder / "curve.png").write_text("<script>")
    (run.folder / "reliability.png").mkdir()
    assert not list(run.plots())


def test_a_run_keeps_the_splits_of_its_images(saved: Run) -> None:
    """Images are identified by their content, so they may be moved; each has the split that it was in."""
    splits = load_splits(saved)
    counts = {split: list(splits.values()).count(split) for split in saved.metrics}
    assert counts == {split: metrics.n for split, metrics in saved.metrics.items()}


@pytest.mark.parametrize("text", ["", "digest\n", "digest,split\nx\n", "a,b\n"])
def test_a_list_of_images_that_cannot_be_read_is_an_error(run: Run, text: str) -> None:
    """Without it the training images are not known."""
    (run.folder / "images.csv").write_text(text)
    with pytest.raises(RunError, match=r"images\.csv: cannot be read"):
        load_splits(run)
    (run.folder / "images.csv").unlink()
    with pytest.raises(RunError, match=r"images\.csv: cannot be read"):
        load_splits(run)


def test_a_copy_in_the_training_split_counts(run: Run) -> None:
    """An image with copies in several splits is in the training split."""
    stat = FileStat(0, 0, 0, 0)
    copies = [Picture(f"{s}.png", stat, "a", s, known_digest="d" * 64) for s in ("val", "train", "test")]
    save_run(run, copies, Curve("C", [], {}))
    assert load_splits(run) == {"d" * 64: "train"}


def test_the_curve_is_kept_as_numbers(run: Run) -> None:
    """The file has a column for the steps and one for each series, in full precision."""
    save_run(run, [], Curve("epoch", [1.0, 2.0], {"loss": [0.1, 1 / 3], "accuracy": [0.5, 1.0]}))
    assert (run.folder / "curve.csv").read_text() == f"epoch,loss,accuracy\n1.0,0.1,0.5\n2.0,{1 / 3},1.0\n"


def test_a_saved_curve_is_read_again(run: Run) -> None:
    """Steps and series are equal, including NaN, which is the loss before the first epoch."""
    curve = Curve("epoch", [0.0, 1.0], {"loss": [float("nan"), 1 / 3], "val_loss": [0.5, 1e-9]})
    save_run(run, [], curve)
    found = load_curve(run)
    assert (found.x_name, found.x, list(found.series)) == ("epoch", [0.0, 1.0], ["loss", "val_loss"])
    assert found.series["loss"] == pytest.approx(curve.series["loss"], nan_ok=True)
    assert found.series["val_loss"] == curve.series["val_loss"]


def test_a_saved_curve_over_c_has_its_logarithmic_axis(run: Run) -> None:
    curve = Curve("C", [0.1, 10.0], {"cv_log_loss": [0.5, 0.25]}, log_x=True)
    save_run(run, [], curve)
    assert load_curve(run) == curve


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"epoch,loss\n",
        b"epoch,loss\n1.0\n",
        b"epoch,loss\n1.0,high\n",
        b"epoch,loss\n1.0,inf\n",
        b"\xff\xfe",
        b"epoch,loss\n1," + b"9" * 200_000,
    ],
)
def test_a_curve_that_cannot_be_read_has_no_points(run: Run, content: bytes | None) -> None:
    """The curve is for display only, so this is not an error."""
    (run.folder / "curve.csv").unlink()
    if content is not None:
        (run.folder / "curve.csv").write_bytes(content)
    assert load_curve(run) == Curve("epoch", [], {})


def test_predictions_in_blocks_equal_those_in_one_call(saved: Run) -> None:
    """Blocks have any size, and hold all views of their images."""
    X = np.random.default_rng(0).normal(size=(10, 2, 256)).astype(np.float32)
    expected = saved.predict_views(X)
    assert expected.shape == (10, 2)
    assert saved.predict_blocks(iter(np.split(X, [1, 4]))) == pytest.approx(expected, abs=1e-6)
    assert saved.predict_proba(X[:, 0]) == pytest.approx(saved.predict_blocks([X[:, :1]]), abs=1e-6)
    assert not np.allclose(saved.predict_proba(X[:, 0]), expected)


def test_rows_of_another_width_are_told_the_right_one(run: Run) -> None:
    """The head is fine, the features are those of something else; a list of rows is an array to it."""
    with pytest.raises(RunError, match="takes rows of 256 values, found 12: load the features of the run's own specs"):
        run.predict_proba(np.zeros((2, 12), np.float32))
    rows = np.zeros((2, 256), np.float32)
    assert np.array_equal(run.predict_proba(rows.tolist()), run.predict_proba(rows))  # type: ignore[arg-type]
