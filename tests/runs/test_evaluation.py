"""Evaluation: a run on its own data has its own metrics, and it is measured on any other labelled data."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featstore
from featstore.bases.build import load_base
from featstore.bases.source import parse_source
from featstore.datasets.file_lists import list_files
from featstore.datasets.sources import scan
from featstore.errors import DataError, RunError
from featstore.evaluation.metrics import Metrics, UsedFor, compute_metrics, describe_splits
from featstore.extraction.recipe import Recipe
from featstore.heads.logistic import LogisticHead
from featstore.runs.evaluation import evaluate_run
from featstore.runs.files import load_run, load_splits
from featstore.runs.measuring import used_for
from featstore.runs.run import Run
from featstore.training.head_recipe import HeadRecipe
from featstore.training.job import train
from helpers.cli import Cli, call
from helpers.light import forbid_tensorflow
from helpers.photos import draw, write_photos

FRACTIONS = {"val_fraction": 0.15, "test_fraction": 0.4}  # not the defaults


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the run's data `own`, which has a broken file, and new images `new` without splits."""
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "own", 20)
    (folder / "own" / "discs" / "broken.png").write_bytes(b"x")
    write_photos(folder / "new", 6, first=100)
    return folder


def train_on(work: Path, **options: Any) -> Run:
    recipe = Recipe(model="tiny", **options)
    return train(work / "own", recipe, cache=work / "cache", runs=work / "runs", **FRACTIONS).run


@pytest.fixture(scope="module")
def run(work: Path) -> Run:
    return train_on(work)


def rounded(metrics: dict[str, Metrics]) -> dict[str, Metrics]:
    """Return the metrics with the log loss to 6 digits: sums may be in another order."""
    return {split: replace(m, log_loss=pytest.approx(m.log_loss, rel=1e-6)) for split, m in metrics.items()}


def test_a_run_on_its_own_data_has_its_own_metrics(work: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of the data may differ; no network is needed, and unreadable files are listed."""
    forbid_tensorflow(monkeypatch)
    monkeypatch.chdir(work)
    for data in (work / "own", "own", "new/../own"):
        found = featstore.evaluate(run, data, cache=work / "cache")
        assert found.run is run
        assert found.metrics == rounded(run.metrics)
        assert list(found.metrics) == ["train", "val", "test"]
        assert [Path(item.path).name for item in found.skipped] == ["broken.png"]
        assert found.unlabelled == 0


def test_a_notebook_shows_the_reliability(work: Path, run: Run) -> None:
    """Where there are images enough for one."""
    found = featstore.evaluate(run, work / "own", cache=work / "cache")
    assert not list(found.plots())
    probabilities = np.linspace(0.01, 0.99, 20)
    metrics = compute_metrics(np.stack([probabilities, 1 - probabilities], axis=1), ["discs"] * 20, run.classes)
    [picture] = replace(found, metrics={"test": metrics}).plots()
    assert picture.png.startswith(b"\x89PNG")


def test_each_split_says_what_else_it_was_used_for(work: Path, run: Run) -> None:
    """Training images, and those that chose an epoch, give figures that are too good; also where they come again."""
    stopped = train(
        work / "own", Recipe(model="tiny"), HeadRecipe(head="bn-dropout", parameters={"epochs": 2}),
        cache=work / "cache", runs=work / "runs", **FRACTIONS,
    ).run  # fmt: skip
    for trained, uses in ((run, ["training", "calibrating"]), (stopped, ["training", "stopping"])):
        for metrics in (trained.metrics, featstore.evaluate(trained, work / "own", cache=work / "cache").metrics):
            assert [m.used_for for m in metrics.values()] == [*uses, "measuring"]
    [new] = featstore.evaluate(stopped, work / "new", cache=work / "cache").metrics.values()
    assert new.used_for == "measuring"
    assert "used for" in str(stopped)


def test_runs_on_several_views_and_on_augmented_images_have_their_own_metrics(work: Path) -> None:
    """Evaluation uses all views of the run, but no augmented version."""
    for options in ({"views": "flip"}, {"views": "augment:1"}):
        run = train_on(work, **options)
        assert featstore.evaluate(run, work / "own", cache=work / "cache").metrics == rounded(run.metrics)


def test_other_data_without_splits_is_the_split_new(work: Path, run: Run) -> None:
    """The metrics are those of the predictions; missing features are computed and stored."""
    found = featstore.evaluate(run, work / "new", cache=work / "cache")
    predicted = featstore.predict(run, [work / "new"], cache=work / "cache").images
    probabilities = np.array([image.probabilities for image in predicted])
    labels = [Path(image.path).parent.name for image in predicted]
    assert found.metrics == rounded({"new": compute_metrics(probabilities, labels, run.classes, used_for="measuring")})
    assert found.metrics["new"].n == 12
    assert found.skipped == ()


def test_the_head_is_read_once_for_all_splits_and_calls(work: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head may be large, and reading it hashes its file."""
    read: list[Path] = []
    load = LogisticHead.load
    monkeypatch.setattr(LogisticHead, "load", lambda head, file: (read.append(file), load(head, file))[1])
    run = load_run(run.folder)
    found = featstore.evaluate(run, work / "own", cache=work / "cache").metrics
    assert len(found) == 3
    assert featstore.evaluate(run, work / "own", cache=work / "cache").metrics == found
    featstore.predict(run, [work / "new"], cache=work / "cache")
    assert [file.name for file in read] == [run.head_file]


def test_a_copy_of_the_data_has_the_splits_of_the_run(work: Path, run: Run, tmp_path: Path) -> None:
    """Images are identified by their content, not by their path; added images are in the split new."""
    shutil.copytree(work / "own", tmp_path / "copy")
    shutil.copytree(work / "new" / "discs", tmp_path / "copy" / "discs", dirs_exist_ok=True)
    for image in (work / "new" / "discs").iterdir():
        shutil.copy(image, tmp_path / "copy" / "discs" / f"new-{image.name}")
    found = featstore.evaluate(run, tmp_path / "copy", cache=work / "cache").metrics
    assert found["train"].n + found["val"].n + found["test"].n + found["new"].n >= 40
    assert found["new"].n >= 6


def test_held_out_images_that_were_trained_on_are_noted(work: Path, run: Run, tmp_path: Path) -> None:
    """The note says how many they are, so that a metric that is too good is not taken for real."""
    splits = load_splits(run)
    pictures = scan(work / "own").pictures
    trained = [p.path for p in pictures if splits.get(hashlib.sha256(Path(p.path).read_bytes()).hexdigest()) == "train"]
    for kind in ("discs", "stripes"):
        (tmp_path / "data" / "test" / kind).mkdir(parents=True)
        for path in [p for p in trained if Path(p).parent.name == kind][:2]:
            shutil.copy(path, tmp_path / "data" / "test" / kind)
    with pytest.warns(featstore.LeakWarning):
        found = featstore.evaluate(run, tmp_path / "data", cache=work / "cache")
    assert found.notes[0].startswith("4 of the 4 images of the split test are among those that the run was trained on")
    assert featstore.evaluate(run, work / "own", cache=work / "cache").notes == ()


def test_splits_of_other_data_are_kept_apart(work: Path, run: Run, tmp_path: Path) -> None:
    """The splits of the data are used in their order, and no validation split is made from them."""
    for split, each in (("test", 3), ("train", 2), ("validation", 1)):
        write_photos(tmp_path / "data" / split, each, first=200)
    found = featstore.evaluate(run, tmp_path / "data", cache=work / "cache").metrics
    assert [(split, m.n) for split, m in found.items()] == [("train", 4), ("val", 2), ("test", 6)]
    shutil.rmtree(tmp_path / "data" / "validation")
    found = featstore.evaluate(run, tmp_path / "data", cache=work / "cache").metrics
    assert [(split, m.n) for split, m in found.items()] == [("train", 4), ("test", 6)]


def test_images_without_a_label_are_counted(work: Path, run: Run, tmp_path: Path) -> None:
    """They do not count in the metrics; images with a label but no split have the split of the run."""
    lines = ["path,label,split", "own/discs/000.png,discs,test", "own/discs/001.png,discs,"]
    lines += ["own/stripes/000.png,,test", "own/stripes/001.png,,"]
    (work / "some.csv").write_text("\n".join(lines))
    found = featstore.evaluate(run, work / "some.csv", cache=work / "cache")
    assert {split: m.n for split, m in found.metrics.items()} == {"train": 1, "test": 1}
    assert found.unlabelled == 2


def test_some_of_the_classes_are_enough(work: Path, run: Run, tmp_path: Path) -> None:
    """The probabilities are still those of all classes of the run."""
    shutil.copytree(work / "new" / "stripes", tmp_path / "data" / "stripes")
    evaluation = featstore.evaluate(run, tmp_path / "data", cache=work / "cache")
    assert evaluation.remarks[0] == "no image of `discs`: nothing is measured of it"
    assert evaluation.remarks[1].startswith("all images of new are `stripes`")
    found = evaluation.metrics["new"]
    images = featstore.predict(run, [tmp_path / "data"], cache=work / "cache").images
    assert found.n == 6
    assert found.accuracy == np.mean([image.label == "stripes" for image in images])
    assert found.log_loss == pytest.approx(-np.log([image.probabilities[1] for image in images]).mean())


def test_labels_that_are_not_classes_of_the_run_are_refused(run: Run, tmp_path: Path) -> None:
    """The error comes before anything is computed, and names one such label and the classes of the run."""
    data = write_photos(tmp_path / "data", 1)
    (data / "squares").mkdir()
    draw("discs", 1).save(data / "squares" / "1.png")
    with pytest.raises(DataError, match=r"data: has the label 'squares'; expected those of the run: discs, stripes$"):
        featstore.evaluate(run, data, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*/*/*.h5"))


def test_data_without_labels_are_answered(work: Path, run: Run) -> None:
    """Nothing can be measured, and that is said; what was answered is counted, and the least sure images are named."""
    images = list_files([work / "new"])
    found = featstore.evaluate(run, images, cache=work / "cache")
    predicted = featstore.predict(run, images, cache=work / "cache").images
    assert (found.metrics, found.unlabelled, found.answers.wrong()) == ({}, 12, [])
    seen = found.unmeasured
    assert seen is not None
    assert {one.name: one.answers for one in seen.classes} == {
        name: sum(image.label == name for image in predicted) for name in run.classes
    }
    surest_last = sorted(image.probability for image in predicted)
    assert [one.probability for one in seen.least_sure] == pytest.approx(surest_last[:5])
    assert [one.probability + one.probability_of_second for one in seen.least_sure] == pytest.approx([1.0] * 5)
    assert (seen.quantiles[0.0], seen.quantiles[1.0]) == pytest.approx((surest_last[0], surest_last[-1]))
    lines = str(found).splitlines()
    assert lines[0] == "12 images without a label: nothing can be measured of them; what was answered:"
    assert any("; half of the answers have a probability of at least 0." in line for line in lines)
    assert sum(seen.strengths.values()) == 12
    assert seen.strengths["sure"] == sum(image.strength == "sure" for image in predicted)
    assert seen.least_sure[0].path in str(found)


def test_a_hint_where_labels_were_expected(work: Path, run: Run, tmp_path: Path) -> None:
    """Names that look like labels are no labels until somebody says so."""
    for number in range(3):
        for kind in run.classes:
            draw(kind, 400 + number).save(tmp_path / f"{kind}.{number}.png")
    found = featstore.evaluate(run, tmp_path, cache=work / "cache")
    assert len(found.remarks) == 1
    assert found.remarks[0].startswith("no labels were found; ")
    assert "{label}.#" in found.remarks[0]


def test_wrong_answers_are_listed_the_most_confident_first(work: Path, run: Run, tmp_path: Path) -> None:
    """With label, answer and both probabilities; the CSV has all images, and the screen as many as are asked for."""
    data = write_photos(tmp_path / "data", 3, first=500)
    for kind, other in (("discs", "stripes"), ("stripes", "discs")):
        draw(other, 600).save(data / kind / "swapped.png")
    command = ("evaluate", run.folder, data, "--cache", work / "cache")
    found = featstore.evaluate(run, data, cache=work / "cache")
    wrong = found.answers.wrong()
    assert len(wrong) == round((1 - found.metrics["new"].accuracy) * 8) > 0
    assert all(one.label != one.answer and one.label == Path(one.path).parent.name for one in wrong)
    assert [one.probability for one in wrong] == sorted((one.probability for one in wrong), reverse=True)
    assert all(one.probability + (one.probability_of_label or 0) == pytest.approx(1) for one in wrong)
    done = call(*command, "--wrong", "1", "--csv", tmp_path / "answers.csv")
    assert wrong[0].path in done.out.splitlines()[-1]
    if len(wrong) > 1:
        assert wrong[1].path not in done.out
    assert json.loads(call(*command, "--wrong", "9", "--json").out)["wrong"] == [one._asdict() for one in wrong]
    assert json.loads(call(*command, "--json").out)["wrong"] == []
    rows = list(csv.DictReader((tmp_path / "answers.csv").read_text().splitlines()))
    assert [row["path"] for row in rows] == list(found.answers.paths)
    assert sum(row["label"] != row["answer"] for row in rows) == len(wrong)
    assert [float(row["p:discs"]) for row in rows] == found.answers.probabilities[:, 0].tolist()
    assert call(*command, "--csv", "-").out.splitlines() == (tmp_path / "answers.csv").read_text().splitlines()
    assert "wrong answer" in call("evaluate", run.folder, work / "own", "--cache", work / "cache", "--wrong", "3").out


def test_all_metrics_are_printed(work: Path, run: Run) -> None:
    """A row for each, a column for each split, each with its interval."""
    done = call("evaluate", run.folder, work / "own", "--cache", work / "cache", "--all").out
    header, *rows = done.split("all metrics, with 95 % intervals:\n")[1].splitlines()
    assert header.split() == ["train", "val", "test"]
    names = ["accuracy", "balanced accuracy", "macro F1", "Matthews", "AUROC", "average precision", "log loss", "Brier"]
    assert [name for row, name in zip(rows, names, strict=False) if row.startswith(name)] == names
    m = featstore.evaluate(run, work / "own", cache=work / "cache").metrics["test"]
    assert rows[0].endswith(f"{m.accuracy:.3f} [{m.accuracy_ci95[0]:.3f}, {m.accuracy_ci95[1]:.3f}]")


def test_data_whose_labelled_images_cannot_be_read_is_refused(work: Path, run: Run, tmp_path: Path) -> None:
    """Readable images without a label do not help."""
    (work / "broken.csv").write_text("path,label\nown/discs/broken.png,discs\nown/discs/000.png,\n")
    with pytest.raises(DataError, match="broken.png"):
        featstore.evaluate(run, work / "broken.csv", cache=work / "cache")


def test_other_weights_are_refused(work: Path, run: Run, tmp_path: Path) -> None:
    """The metrics would be those of another network."""
    load_base(parse_source("tiny", "random", None, 2), 32, 32).save_weights(tmp_path / "2.weights.h5")
    with pytest.raises(RunError, match="was trained on other features"):
        featstore.evaluate(run, work / "new", weights=str(tmp_path / "2.weights.h5"), cache=tmp_path / "cache")


def test_data_may_be_a_manifest(work: Path, run: Run) -> None:
    """The metrics are those of the folder."""
    found = featstore.evaluate(run, scan(work / "new"), cache=work / "cache")
    assert found.metrics == featstore.evaluate(run, work / "new", cache=work / "cache").metrics


@pytest.fixture
def odd(work: Path, tmp_path: Path) -> Path:
    """Return a folder with training images, test images without labels, and a broken file."""
    write_photos(tmp_path / "odd" / "train", 2, first=300)
    (tmp_path / "odd" / "train" / "discs" / "broken.png").write_bytes(b"x")
    (tmp_path / "odd" / "test").mkdir()
    for number in range(3):
        draw("stripes", 300 + number).save(tmp_path / "odd" / "test" / f"{number}.png")
    return tmp_path / "odd"


def test_json_is_the_only_thing_on_standard_output(work: Path, run: Run, odd: Path, cli: Cli, tmp_path: Path) -> None:
    """A process that starts TensorFlow prints one object; skipped files are in it, not on standard error."""
    done = cli("evaluate", run.folder, odd, "--cache", work / "cache", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    figures = {"metrics", "per_class", "wrong", "probing", "unlabelled", "unmeasured"}
    assert set(result) == {"run", "notes", "remarks", "data", "skipped"} | figures
    assert (result["wrong"], result["probing"], result["unmeasured"]["n"]) == ([], None, 3)
    assert result["run"] == str(run.folder)
    assert {split: list(m) for split, m in result["metrics"].items()} == {
        "train": [
            *("n", "accuracy", "accuracy_ci95", "by_class", "log_loss"),
            *("scores", "per_class", "confusion", "confused", "used_for"),
        ]
    }
    by_class = result["metrics"]["train"]["by_class"]
    assert (by_class["classes"], by_class["commonest"], by_class["commonest_share"]) == (2, "discs", 0.5)
    assert [(c["name"], c["n"]) for c in result["per_class"]["train"]] == [("discs", 2), ("stripes", 2)]
    assert (result["metrics"]["train"]["n"], result["unlabelled"]) == (4, 3)
    assert [set(item) for item in result["skipped"]] == [{"path", "reason"}]
    assert "broken.png" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["odd"]  # nothing is written next to the data


def test_a_table_for_people(work: Path, run: Run, odd: Path) -> None:
    """It has a line for each split; files and images that were left out are on standard error."""
    done = call("evaluate", run.folder, odd, "--cache", work / "cache")
    assert done.code == 0
    header, line, confused, remark, *rest = done.out.splitlines()
    assert header == "split  n  accuracy   95 % interval  commonest  by class  log loss  used for"
    assert confused == "most confused on train: `stripes` taken for `discs` 1 of 2"
    assert remark.startswith("remark: few images in train: 4 images")
    assert rest[0] == "3 images without a label: nothing can be measured of them; what was answered:"
    assert line.split()[:2] == ["train", "4"]
    assert "1 skipped:" in done.err
    assert "broken.png: " in done.err
    quiet = call("evaluate", run.folder, odd, "--cache", work / "cache", "--quiet")
    assert (quiet.code, quiet.out) == (0, "")
    plain = call("evaluate", run.folder, work / "new", "--cache", work / "cache")
    assert "label" not in plain.err
    flat = call("evaluate", run.folder, work / "new" / "discs", "--cache", work / "cache", "--wrong", 3)
    assert flat.out.splitlines()[-1] == "no wrong answers are listed: no image has a label to tell them by"


def test_the_figures_of_each_class_and_the_confusion_matrix(work: Path, run: Run, tmp_path: Path) -> None:
    """Both are counts of the answers; the matrix goes into a CSV, or alone onto standard output."""
    command = ("evaluate", run.folder, work / "own", "--cache", work / "cache", "--per-class")
    done = call(*command, "--confusion", tmp_path / "confusion.csv")
    tables = done.out.split("\n\n")
    assert [table.split(",")[0] for table in tables[1:]] == ["train", "val", "test"]
    assert tables[3].splitlines()[1].startswith("class")
    header, *rows = list(csv.reader((tmp_path / "confusion.csv").read_text().splitlines()))
    assert header == ["split", "label", "discs", "stripes"]
    assert [row[:2] for row in rows] == [[s, c] for s in ("train", "val", "test") for c in ("discs", "stripes")]
    found = featstore.evaluate(run, work / "own", cache=work / "cache")
    for split, metrics in found.metrics.items():
        counts = np.array([row[2:] for row in rows if row[0] == split], int)
        assert counts.sum() == metrics.n
        assert np.trace(counts) == round(metrics.accuracy * metrics.n)
        assert np.array_equal(counts, found.confusion[split].counts)
    alone = call(*command, "--confusion", "-")
    assert alone.out.splitlines() == (tmp_path / "confusion.csv").read_text().splitlines()
    refused = call(*command, "--confusion", tmp_path / "no" / "file.csv")
    assert refused.code == 1
    assert "choose another file for --confusion" in refused.err


def test_moved_weights_are_given_on_the_command_line(work: Path, tmp_path: Path) -> None:
    """The run then has its own metrics on its own data."""
    load_base(parse_source("tiny", "random", None, 3), 32, 32).save_weights(tmp_path / "old.weights.h5")
    run = train_on(work, weights=str(tmp_path / "old.weights.h5"))
    (tmp_path / "hidden").mkdir()
    (tmp_path / "old.weights.h5").rename(tmp_path / "hidden" / "new.weights.h5")
    command = ("evaluate", run.folder, work / "own", "--cache", tmp_path / "cache", "--json")
    lost = call(*command)
    assert lost.code == 1
    assert "old.weights.h5, and are neither there nor" in lost.err
    assert "give their place with --weights" in lost.err
    done = call(*command, "--weights", tmp_path / "hidden" / "new.weights.h5")
    assert json.loads(done.out)["metrics"] == describe_splits(rounded(run.metrics))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("norun", "new"), "no finished run"), (("RUN", "nowhere"), "nowhere: no such file or folder")],
)
def test_mistakes_are_one_line(
    work: Path, run: Run, arguments: tuple[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has no traceback."""
    monkeypatch.chdir(work)
    done = call("evaluate", *(run.folder if a == "RUN" else a for a in arguments), "--cache", work / "cache")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert message in done.err


def test_new_images_of_groups_that_were_trained_on_are_noted(work: Path, tmp_path: Path) -> None:
    """They were not seen, but others of the same patient were; the names of groups are not kept with the run."""
    pictures = [p for p in scan(work / "own").pictures if "broken" not in p.path]
    lines = [f"{p.path},{p.label},patient {n // 2}" for n, p in enumerate(pictures)]
    (tmp_path / "own.csv").write_text("\n".join(["path,label,group", *lines, ""]))
    run = train(tmp_path / "own.csv", Recipe(model="tiny"), cache=work / "cache", runs=tmp_path / "runs").run
    assert "patient" not in (run.folder / "images.csv").read_text()
    new = scan(work / "new").pictures
    for names, noted in (
        (["patient 0", "patient 1", "patient 2", "patient 3", "patient 4"], True),
        (["x", "y"], False),
    ):
        lines = [f"{p.path},{p.label},{names[n % len(names)]}" for n, p in enumerate(new)]
        (tmp_path / "new.csv").write_text("\n".join(["path,label,group", *lines, ""]))
        found = evaluate_run(run, tmp_path / "new.csv", cache=work / "cache")
        assert found.metrics["new"].used_for == "measuring"
        assert bool(found.notes) == noted
        assert all("12 images that are new to the run are of groups that it was trained on" in n for n in found.notes)


def test_a_split_with_a_copy_of_a_training_image_is_partly_training(work: Path, tmp_path: Path) -> None:
    """Its figure is too good by that share, and not as that of the training split is."""
    split_of = {"a": "train", "b": "val"}
    pictures = [p.with_digest(name) for p, name in zip(scan(work / "new").pictures, "abcd", strict=False)]
    a, b, c, _ = pictures
    uses: tuple[UsedFor, ...] = ("stopping", "calibrating", "measuring")
    assert used_for([a, c], split_of, "stopping") == "partly training"
    assert used_for([a], split_of, "stopping") == "training"
    assert tuple(used_for([b, c], split_of, use) for use in uses) == uses
