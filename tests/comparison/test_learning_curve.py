"""The learning curve: its training sets, the law through it, and what it says of more photos."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featstore
from featstore.comparison.curve_fit import fit
from featstore.comparison.learning_curve import _about_half
from featstore.datasets.manifest import Manifest, Picture
from featstore.datasets.subsets import nested_subsets
from featstore.errors import DataError, UsageError
from featstore.evaluation.units import Units
from featstore.system.files import FileStat
from helpers.cli import call
from helpers.photos import write_photos

PIXELS = ("--model", "pixels", "--size", 8, "--set", "C=1", "--cache", "cache")


def manifest(groups: int = 0) -> Manifest:
    """60 training images of a, 20 of b, and 8 of each to test; groups of both classes if there are any."""
    pictures = []
    for n in range(96):
        split = "train" if n < 80 else "test"
        label = ("b" if n % 4 == 0 else "a") if n < 80 else "ab"[n % 2]
        digest = hashlib.sha256(str(n).encode()).hexdigest()
        group = f"g{n % groups}" if groups and split == "train" else None
        pictures.append(Picture(f"{n}.png", FileStat(1, 1, 1, 1), label, split, group, digest))
    return Manifest("d", tuple(pictures))


def test_a_larger_training_set_holds_the_smaller_one() -> None:
    """Each class has its share, the other splits are whole, and the images decide, not their order or place."""
    subsets = nested_subsets(manifest(), (0.25, 0.5), 0)
    trained = [{p.digest for p in subset.of_split("train")} for subset in subsets]
    assert trained[0] < trained[1]
    for subset, share in zip(subsets, (0.25, 0.5), strict=True):
        labels = [p.label for p in subset.of_split("train")]
        assert (labels.count("a"), labels.count("b")) == (60 * share, 20 * share)
        assert len(subset.of_split("test")) == 16
        assert len(subset.pictures) == 96
    turned = Manifest("e", manifest().pictures[::-1])
    assert {p.digest for p in nested_subsets(turned, (0.25,), 0)[0].of_split("train")} == trained[0]
    assert {p.digest for p in nested_subsets(manifest(), (0.25,), 1)[0].of_split("train")} != trained[0]


def test_groups_are_drawn_whole() -> None:
    [subset] = nested_subsets(manifest(groups=10), (0.3,), 0)
    drawn = {p.group for p in subset.of_split("train")}
    assert not drawn & {p.group for p in subset.pictures if p.split is None}
    assert 24 <= len(subset.of_split("train")) <= 48


def answers(errors: list[float], n: int = 400, draws: int = 5, seed: int = 0) -> list[np.ndarray]:
    """Whether n images are right by heads of these errors, a few draws of each and one of the last."""
    random = np.random.default_rng(seed)
    hardness = random.random(n)
    sets = [draws] * (len(errors) - 1) + [1]
    return [(hardness + random.normal(0, 0.02, (d, n)) > e).astype(float) for e, d in zip(errors, sets, strict=True)]


def test_a_power_law_is_found_and_says_what_more_is_worth() -> None:
    """Of an error of 0.8 / sqrt(n), with an interval that holds it; the same seed gives the same interval."""
    sizes = [10, 20, 40, 80, 160]
    errors = [0.8 * n**-0.5 for n in sizes]
    found, again = (fit(sizes, answers(errors), Units.single(400)) for _ in range(2))
    assert found is not None
    assert again is not None
    assert found.holds
    assert found.law.exponent[0] == pytest.approx(0.5, abs=0.15)
    gain = found.gain(160, 240)
    assert gain.low < errors[-1] - 0.8 * 240**-0.5 < gain.high
    assert gain == again.gain(160, 240)
    assert 0 < gain.low < gain.value < gain.high < found.gain(160, 480).high


@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_no_law_goes_through_answers_that_are_all_alike(answer: float) -> None:
    """Where no image is wrong the bootstrap has no spread: a gain of 0 would have the interval 0 to 0."""
    right = [np.full((draws, 16), answer) for draws in (5, 5, 1)]
    assert fit([6, 12, 24], right, Units.single(16)) is None
    right[0][0, 0] = 1 - answer
    found = fit([6, 12, 24], right, Units.single(16))
    assert found is not None
    assert found.gain(24, 34).low < found.gain(24, 34).high


def test_images_of_one_group_count_as_less() -> None:
    """The bootstrap draws groups; alike images in tens make the interval wider."""
    sizes, right = [10, 20, 40, 80], answers([0.3, 0.25, 0.2, 0.17], n=60)
    tens = [np.repeat(of_size, 10, axis=1) for of_size in right]
    grouped, single = (fit(sizes, tens, units) for units in (Units(np.arange(600) // 10), Units.single(600)))
    assert grouped is not None
    assert single is not None
    (g, s) = (found.gain(80, 160) for found in (grouped, single))
    assert g.high - g.low > 1.5 * (s.high - s.low)


def test_what_cannot_be_told_is_not_told() -> None:
    """Two sizes have no course; one that breaks off was predicted otherwise; and no gain has zero in its interval."""
    assert fit([10, 20], answers([0.3, 0.2]), Units.single(400)) is None
    broken = fit([10, 20, 40, 80], answers([0.4, 0.28, 0.2, 0.45]), Units.single(400))
    assert broken is not None
    assert not broken.holds
    flat = fit([10, 20, 40, 80], answers([0.2] * 4), Units.single(400))
    assert flat is not None
    assert flat.gain(80, 120).low <= 0 <= flat.gain(80, 120).high


@pytest.mark.parametrize(("size", "more"), [(1, 1), (3, 1), (4, 2), (12, 5), (39, 10), (300, 100), (2000, 1000)])
def test_the_question_is_a_round_number(size: float, more: int) -> None:
    assert _about_half(size) == more


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 30)
    return folder


def test_the_command_and_the_verb(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows from few images to all, a sentence, a chart; the largest size is the run that train-head makes."""
    monkeypatch.chdir(work)
    options = ("--draws", 2, "--more", 7, "--chart", "curve.png")
    found = json.loads(call("learning-curve", "photos", *PIXELS, *options, "--json").out)
    points = found["points"]
    assert [point["draws"] for point in points] == [2, 2, 1]
    assert [point["per_class"] for point in points] == [4, 9, 18]  # 4.5 is rounded to even
    assert all(point["accuracy_ci95"][0] <= point["accuracy"] <= point["accuracy_ci95"][1] for point in points)
    assert found["more_per_class"] == 7
    assert "7 more photos per class" in found["findings"][0]
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG")
    run = json.loads(call("train-head", "photos", *PIXELS, "--json").out)
    assert points[-1]["accuracy"] == run["metrics"]["test"]["accuracy"]
    curve = featstore.learning_curve(
        "photos", "logistic", {"C": 1}, model="pixels", size=8, cache="cache", draws=2, more=7
    )
    assert [point.describe() | {"seconds_fit": 0} for point in curve.heads["logistic"].points] == [
        point | {"seconds_fit": 0} for point in points
    ]
    assert str(curve).startswith(found["findings"][0])
    assert "measured on the test split, 12 images" in str(curve)
    [picture] = curve.plots()
    assert picture.png.startswith(b"\x89PNG")


def test_large_groups_make_fewer_sizes(work: Path) -> None:
    """Photos in tens: a quarter of the training images is no smaller than one group of each class."""
    curve = featstore.learning_curve(
        work / "photos", "logistic", {"C": 1}, model="pixels", size=8, cache=work / "cache", group_by=r"(\d)\d\.",
        val_fraction=0.3, test_fraction=0.3, draws=2,
    )  # fmt: skip
    sizes = [point.per_class for point in curve.heads["logistic"].points]
    assert sizes == sorted(set(sizes))
    assert "cannot be told" in next(curve.findings())


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"draws": 0}, UsageError, "draws=0: expected 1 or more"),
        ({"more": 0}, UsageError, "more=0: expected 1 or more"),
        ({"size": [8, 16]}, UsageError, "2 sets of features, but a learning curve takes one"),
        ({"test_fraction": 0.5, "val_fraction": 0.3}, DataError, "a class has 5 training images; .* takes 8 or more"),
    ],
)
def test_what_makes_no_curve_is_refused(
    given: dict[str, Any], error: type[Exception], message: str, work: Path
) -> None:
    """In one line, with what was expected."""
    options: dict[str, Any] = {"model": "pixels", "size": 8} | given
    with pytest.raises(error, match=message):
        featstore.learning_curve(work / "photos", cache=work / "cache", **options)
