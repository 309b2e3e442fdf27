"""The grid: its cells, how they are measured, and that the command of each cell gives its figures again."""

from __future__ import annotations

import functools
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.comparison.grid import GridCell, Measurement, command_line, make_grid
from featstore.comparison.job import measure_grid
from featstore.comparison.result import Comparison
from featstore.datasets.digests import DigestMemory
from featstore.datasets.manifest import Manifest
from featstore.datasets.sources import scan
from featstore.datasets.splits import fold_splits
from featstore.errors import DataError, UsageError
from featstore.extraction import cache as cache_module
from featstore.extraction.pipeline import extract_features
from featstore.extraction.recipe import Recipe
from featstore.heads.bn_dropout import BnDropoutHead
from featstore.heads.logistic import LogisticHead
from featstore.training.head_recipe import HeadRecipe
from helpers.cli import call
from helpers.photos import draw, write_photos

TINY = [Recipe(model="tiny", preprocess=variant) for variant in ("keras", "raw")]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 24)
    return folder


@pytest.fixture(scope="module", autouse=True)
def no_file_is_young() -> Iterator[None]:
    """Digests are remembered although the files have just been drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_module, "DigestMemory", functools.partial(DigestMemory, clock=lambda: 10**19))
        yield


@pytest.fixture(scope="module")
def comparison(work: Path) -> Comparison:
    heads = ("logistic", "bn-dropout", "scratch-cnn")
    return measure(work, TINY, heads, {"epochs": 3})


def measure(work: Path, *arguments: Any, **options: Any) -> Comparison:
    return measure_grid(work / "photos", *arguments, cache=work / "cache", **options)


def digests(work: Path) -> Manifest:
    return extract_features(work / "photos", TINY[:1], work / "cache").manifest


def test_a_head_with_a_base_of_its_own_gets_one_cell_per_preparation() -> None:
    """scratch-cnn gets the pixels of each variant once, whichever bases are in the grid."""
    recipes = [
        Recipe(model=model, weights="random", preprocess=variant)
        for model in ("MobileNetV2", "DenseNet121")
        for variant in ("keras", "raw", "scale=1/100")
    ]
    cells = make_grid(recipes, ("logistic", "scratch-cnn"), {"epochs": "5", "C": "1"}, HeadRecipe())
    assert [cell.head.head for cell in cells] == ["logistic"] * 6 + ["scratch-cnn"] * 4
    assert [(c.recipe.model, c.recipe.preprocess) for c in cells[6:]] == [
        ("pixels", variant) for variant in ("tf", "raw", "scale=1/100", "torch")
    ]
    assert [dict(cell.head.parameters) for cell in cells[5:7]] == [{"C": 1.0}, {"epochs": 5}]


@pytest.mark.parametrize(
    ("heads", "settings", "message"),
    [
        (("forest",), {}, "head 'forest' is not known"),
        (
            ("logistic",),
            {"epochs": "5"},
            "has such a parameter: logistic takes C, folds, max_iter",
        ),
        (("logistic",), {"C": "much"}, "head logistic: C=much: expected a number above 0, or none"),
    ],
)
def test_heads_and_settings_are_checked_first(heads: Any, settings: Any, message: str, tmp_path: Path) -> None:
    """Wrong ones raise before anything is extracted."""
    write_photos(tmp_path / "photos", 3)
    with pytest.raises(UsageError, match=message):
        measure_grid(tmp_path / "photos", TINY, heads, settings, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("option", [{"pool": "max"}, {"layer": "block1a_out"}, {"weights": "random"}])
def test_options_of_a_base_that_no_head_sees_are_refused(option: dict[str, Any]) -> None:
    """A head on pixels; beside a head on the base, they have an effect."""
    recipe = Recipe(model="tiny", **option)
    [(name, value)] = option.items()
    with pytest.raises(UsageError, match=f"{name}='{value}': has no effect, since scratch-cnn is trained on pixels"):
        make_grid([recipe], ("scratch-cnn",), {}, HeadRecipe())
    assert len(make_grid([recipe], ("scratch-cnn", "logistic"), {}, HeadRecipe())) == 2


def test_commands_say_all_that_is_not_the_default() -> None:
    """Words with spaces are quoted for a shell."""
    recipe = Recipe(model="MobileNet", weights="my weights.h5", alpha=0.25, preprocess="raw", size="150", views="ten")
    cell = GridCell(recipe, HeadRecipe(head="bn-dropout", parameters={"p": 0.6}, seed=3, average="logits"))
    words = shlex.split(command_line("my photos", cell, Measurement(seed=3, val_fraction=0.3), "my cache"))
    expected = "featstore train-head|my photos|--model|MobileNet|--weights|my weights.h5|--alpha|0.25|--preprocess|raw"
    assert "|".join(words[:1]) + " " + "|".join(words[1:11]) == expected
    assert words[11:] == shlex.split(
        "--size 150 --views ten --head bn-dropout --set p=0.6 --average logits --seed 3 --val-fraction 0.3 "
        "--cache 'my cache'"
    )
    assert command_line("d", cell, Measurement(folds=5), None).startswith("featstore compare d ")
    assert "--seeds 2" in command_line("d", cell, Measurement(seeds=2), None)


def test_rows_are_ranked_and_hold_their_figures(comparison: Comparison) -> None:
    """Best first, on the same images, each with its interval and its cost."""
    accuracies = [row.accuracy for row in comparison.rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert len({row.n for row in comparison.rows}) == 1
    assert [row.cell.head.head for row in comparison.rows].count("scratch-cnn") == 2
    for row in comparison.rows:
        assert row.accuracy_ci95[0] <= row.accuracy <= row.accuracy_ci95[1]
        assert row.difference_to_best == pytest.approx(row.accuracy - accuracies[0])
        assert row.difference_ci95[0] <= row.difference_to_best <= row.difference_ci95[1]
        pixels = row.cell.recipe.model == "pixels"
        assert (row.width, row.bytes) == ((64 * 64 * 3, 48 * 64 * 64 * 3 * 2) if pixels else (256, 48 * 256 * 2))
    assert json.dumps([row.describe() for row in comparison.rows], allow_nan=False)
    assert comparison.findings[0].startswith("no cell is significantly better than always answering ")  # of 13 images
    assert comparison.findings[1].startswith("best: ")
    assert comparison.split == "the test split"
    assert {cell.head.head for cell in comparison.curves} == {"bn-dropout", "scratch-cnn"}
    assert {len(curve.x) for curve in comparison.curves.values()} == {3}


def test_a_cell_by_itself_is_what_it_was_in_the_grid(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of its row gives the same accuracy and log loss; its interval need not allow for a choice."""
    monkeypatch.chdir(tmp_path)
    for head in ("logistic", "bn-dropout", "scratch-cnn"):
        row = next(row for row in comparison.rows if row.cell.head.head == head)
        metrics = json.loads(call(*shlex.split(row.command)[1:], "--json", "--quiet").out)["metrics"]["test"]
        assert (metrics["n"], metrics["accuracy"]) == (row.n, row.accuracy)
        assert metrics["log_loss"] == pytest.approx(row.log_loss, rel=1e-5)
        low, high = metrics["accuracy_ci95"]
        assert row.accuracy_ci95[0] <= low + 1e-9
        assert row.accuracy_ci95[1] >= high - 1e-9


def test_a_second_run_extracts_nothing(work: Path, comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features come from the cache; the heads are trained again and give the same figures."""
    monkeypatch.setattr("featstore.extraction.job.fetch_all", pytest.fail)
    again = measure(work, TINY, ("logistic",))
    before = {r.cell.recipe: r for r in comparison.rows if r.cell.head.head == "logistic"}
    assert [r.accuracy for r in again.rows] == [before[r.cell.recipe].accuracy for r in again.rows]


def test_folds_hold_out_every_image_once(work: Path) -> None:
    """Stratified, made from content, each image in the test split of one fold; copies of an image together."""
    manifest = digests(work)
    copies = manifest.with_pictures([*manifest.pictures, *(p._replace(path=f"{p.path}.x") for p in manifest.pictures)])
    folds = fold_splits(copies, 4)
    held_out = [{p.digest for p in fold.of_split("test")} for fold in folds]
    assert sorted(digest for fold in held_out for digest in fold) == sorted(p.digest for p in manifest.pictures)
    for fold, mine in zip(folds, held_out, strict=True):
        assert not mine & {p.digest for p in fold.pictures if p.split != "test"}
        assert {p.split for p in fold.pictures} == {"train", "val", "test"}
        assert [sum(p.label == c for p in fold.of_split("test")) for c in fold.classes] == [12, 12]
    again = fold_splits(copies.with_pictures(copies.pictures[::-1]), 4)
    assert [{p.digest for p in fold.of_split("test")} for fold in again] == held_out


def test_a_given_test_split_takes_no_part_in_folds(work: Path) -> None:
    """It is kept for the final test; a class with too few images is an error."""
    manifest = digests(work)
    marked = manifest.with_pictures(
        [p._replace(split="test" if n % 4 == 0 else "train") for n, p in enumerate(manifest.pictures)]
    )
    clean = {p.digest for p in marked.of_split("test")}
    assert all(not clean & {p.digest for p in fold.pictures} for fold in fold_splits(marked, 3))
    with pytest.raises(DataError, match="are too few for 30 folds"):
        fold_splits(manifest, 30)


def test_splits_that_folds_do_not_use_leak_nothing(work: Path) -> None:
    """A copy in the given training and validation splits lies in one fold; what is told is true of the folds."""
    manifest = scan(work / "photos")
    pictures = [p._replace(split="val" if n % 4 == 0 else "train") for n, p in enumerate(manifest.pictures)]
    copy = pictures[0]._replace(split="train", path=str(work / "copy.png"))
    (work / "copy.png").write_bytes(Path(pictures[0].path).read_bytes())
    given = manifest.with_pictures([*pictures, copy])
    measured = measure_grid(given, TINY[:1], measurement=Measurement(folds=3), cache=work / "cache")
    assert measured.data.splits == []
    assert measured.notes == ()
    plain = measure_grid(given, TINY[:1], cache=work / "cache")
    assert "byte for byte in the training split" in plain.notes[0]


def test_seeds_and_folds_are_averaged(work: Path) -> None:
    """Each head is trained once for each; every image counts once, as the share of seeds that were right about it."""
    fitted: list[int] = []
    real = LogisticHead.fit

    def watch(self: LogisticHead, X: Any, y: Any, validation: Any, seed: int, *rest: Any) -> None:
        fitted.append(seed)
        real(self, X, y, validation, seed, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LogisticHead, "fit", watch)
        found = measure(work, TINY[:1], measurement=Measurement(seed=5, seeds=2, folds=3))
    assert fitted == [5, 5, 5, 6, 6, 6]
    assert found.rows[0].n == 48
    assert found.split == "3-fold cross-validation"
    assert (found.rows[0].accuracy * 96) % 1 == pytest.approx(0, abs=1e-9)


def test_augmented_versions_follow_the_folds(work: Path) -> None:
    """Each image is for training in some fold, so all of them have their versions."""
    found = measure(work, [Recipe(model="tiny", views="augment:2")], measurement=Measurement(folds=3))
    assert found.rows[0].n == 48


def test_a_cell_that_fails_does_not_cost_the_others(work: Path) -> None:
    """It is listed with the reason and its command; where all fail, that is an error."""
    found = measure(work, TINY[:1], ("logistic", "bn-dropout"), {"rate": "1e30", "epochs": "2"})
    assert [row.cell.head.head for row in found.rows] == ["logistic"]
    [(command, reason)] = found.failed
    assert "--head bn-dropout" in command
    assert "diverged" in reason
    with pytest.raises(DataError, match="no cell of the grid could be measured"):
        measure(work, TINY[:1], ("bn-dropout",), {"rate": "1e30", "epochs": "2"})


def test_without_a_labelled_test_split_the_validation_split_is_measured_on(work: Path, tmp_path: Path) -> None:
    """The result says which split it was."""
    for split, first in (("train", 0), ("val", 40)):
        write_photos(tmp_path / "data" / split, 6, first)
    found = measure_grid(tmp_path / "data", TINY[:1], cache=work / "cache")
    assert (found.split, found.rows[0].n) == ("the val split", 12)
    assert scan(tmp_path / "data").of_split("test") == ()


def test_what_stops_a_head_does_not_measure_it(work: Path, tmp_path: Path) -> None:
    """Without a test split, training images stop the heads that need it, for all cells; each command does the same."""
    for split, first, number in (("train", 0, 16), ("val", 40, 6)):
        write_photos(tmp_path / "data" / split, number, first)
    given = {p.digest for p in extract_features(tmp_path / "data" / "val", TINY[:1], work / "cache").manifest.pictures}
    fitted: list[int] = []
    real = BnDropoutHead.fit

    def watch(self: BnDropoutHead, X: Any, y: Any, validation: Any, *rest: Any) -> None:
        fitted.append(len(validation[1]))
        real(self, X, y, validation, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BnDropoutHead, "fit", watch)
        found = measure_grid(
            tmp_path / "data", TINY[:1], ("logistic", "bn-dropout"), {"epochs": 3}, cache=work / "cache"
        )
    assert len(given) == found.rows[0].n == 12
    assert found.split == "the val split, with training images to stop on instead"
    assert all(0 < number < 12 for number in fitted)
    assert all("--val-as-test" in row.command for row in found.rows)
    for row in found.rows:
        run = json.loads(call(*shlex.split(row.command)[1:], "--runs", tmp_path / "runs", "--json").out)
        assert run["metrics"]["test"]["accuracy"] == row.accuracy
        assert run["metrics"]["test"]["used_for"] == "measuring"


def test_folds_have_their_own_images_to_measure_on() -> None:
    """With folds the option would do nothing."""
    with pytest.raises(UsageError, match="val_as_test.*not with .*folds"):
        Measurement(folds=3, val_as_test=True)


def test_groups_widen_all_intervals(work: Path, tmp_path: Path) -> None:
    """Of a cell and of a difference; the number of groups is told."""
    pictures = scan(work / "photos").pictures
    splits = ["train", "train", "val", "test"]
    for name, groups in (("single", ["" for _ in pictures]), ("grouped", [f"g{n // 6}" for n in range(48)])):
        lines = [
            f"{p.path},{p.label},{splits[n // 6 % 4]},{g}"
            for n, (p, g) in enumerate(zip(pictures, groups, strict=True))
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(["path,label,split,group", *lines, ""]))
    single, grouped = (
        measure_grid(tmp_path / f"{name}.csv", TINY, cache=work / "cache").rows for name in ("single", "grouped")
    )
    assert (single[0].groups, grouped[0].groups, grouped[0].n) == (None, 2, 12)
    for one, other in zip(single, grouped, strict=True):
        assert one.accuracy == other.accuracy
        assert np.diff(one.accuracy_ci95) < np.diff(other.accuracy_ci95)
    assert np.diff(single[1].difference_ci95) < np.diff(grouped[1].difference_ci95)


def test_right_answers_are_paired_by_image(work: Path) -> None:
    """A recipe against itself differs by nothing in any image, so its interval is as narrow as can be."""
    found = measure(work, [TINY[0], Recipe(model="tiny", preprocess="tf"), TINY[0]], ("logistic", "logistic"))
    assert len(found.rows) == 2  # what is named twice is measured once
    assert found.rows[1].difference_to_best == 0
    assert np.ptp(found.rows[1].difference_ci95) < 0.6
    assert "the other cell is not significantly different" in found.findings[1]


def test_nothing_to_measure_on_is_one_line(tmp_path: Path) -> None:
    """The only image of a class is trained on."""
    write_photos(tmp_path / "two", 1)
    with pytest.raises(DataError, match="two: no image is left to measure on"):
        measure_grid(tmp_path / "two", [Recipe(model="tiny")], cache=tmp_path / "cache")


def test_the_bar_and_the_remarks_are_in_the_result(tmp_path: Path) -> None:
    """Classes that look alike cannot be told apart: nothing beats the commonest, and the rare one is never found."""
    for name, first, each in (("common", 0, 60), ("rare", 100, 6)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(first, first + each):
            draw("discs", number).save(tmp_path / "data" / name / f"{number}.png")
    found = measure_grid(
        tmp_path / "data", [Recipe(model="tiny", preprocess=p) for p in ("tf", "raw")], cache=tmp_path / "cache",
        settings={"C": 1e-5},
    )  # fmt: skip
    row = found.rows[0]
    assert found.findings[0].startswith("no cell is significantly better than always answering `common`, 0.")
    assert not any("beats" in text for text in found.findings)
    assert row.by_class.balanced_accuracy == 0.5
    assert list(row.describe()["never_found"]) == ["rare"]
    assert "some classes are never found on test: all 2 rows" in found.remarks
    text = str(found)
    assert "always answering `common`: 0." in text
    header = next(line for line in text.splitlines() if "95 % interval" in line)
    assert {"by class", "never found"} <= set(re.split(r"  +", header))
