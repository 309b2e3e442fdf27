"""Suspect labels: those flipped on purpose are found, right ones are not; nothing is said where nothing is known."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from featstore.auditing.confident_learning import (
    confident_classes,
    confident_joint,
    doubts,
    other_classes,
    pruned,
)
from featstore.auditing.findings import Check
from featstore.auditing.labels import SUSPECT, check_labels
from featstore.auditing.out_of_fold import out_of_fold
from featstore.auditing.wrong_share import wrong_share
from helpers.paths import ROOT


def clouds(each: int = 100, classes: int = 3, apart: float = 6.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rows around the centre of their class, and their classes."""
    random = np.random.default_rng(seed)
    y = np.arange(classes).repeat(each)
    X = random.normal(size=(len(y), 8))
    X[np.arange(len(y)), y] += apart
    return X.astype(np.float32), y


def flipped(y: np.ndarray, rate: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels with some of them flipped at random, and the places of these."""
    random, classes = np.random.default_rng(seed), int(y.max()) + 1
    places = random.choice(len(y), round(rate * len(y)), replace=False)
    labels = y.copy()
    labels[places] = (y[places] + random.integers(1, classes, len(places))) % classes
    return labels, np.sort(places)


def check(X: np.ndarray, y: np.ndarray, units: list[str] | None = None) -> Check:
    """Check labels of images that are named by their number; classes are a, b, ..."""
    subject: Any = SimpleNamespace(
        X=X,
        y=y,
        units=tuple(units or map(str, range(len(y)))),
        labelled=tuple(SimpleNamespace(path=str(place)) for place in range(len(y))),
        manifest=SimpleNamespace(classes=tuple("abcdefgh"[: int(y.max()) + 1])),
        seed=0,
        progress=None,
    )
    return check_labels(subject)


def suspects(found: Check) -> list[int]:
    return sorted(int(finding.paths[0]) for finding in found.findings if finding.kind == SUSPECT)


def test_flipped_labels_are_listed_with_what_they_should_be() -> None:
    X, right = clouds()
    labels, places = flipped(right, 0.05)
    found = check(X, labels)
    listed = suspects(found)
    assert np.isin(listed, places).mean() > 0.9 and np.isin(places, listed).mean() > 0.9
    assert {finding.suggestion for finding in found.findings if int(finding.paths[0]) in places} <= set("abc")
    for finding in found.findings[:5]:
        assert finding.suggestion == "abc"[right[int(finding.paths[0])]]
    assert [finding.score for finding in found.findings] == sorted((f.score for f in found.findings), reverse=True)
    assert found.weight == "look" and "look at" in found.verdict and "error" not in found.verdict


def test_a_finding_says_both_probabilities() -> None:
    X, right = clouds()
    labels, places = flipped(right, 0.02)
    first = check(X, labels).findings[0]
    place = int(first.paths[0])
    assert place in places
    assert first.text.startswith(f"labelled {'abc'[labels[place]]} (0.0")
    assert f"looks like {first.suggestion} (0.9" in first.text


def test_right_labels_are_left_alone() -> None:
    found = check(*clouds())
    assert not found.findings and found.weight == "fine"
    assert found.verdict.startswith("no label is suspect (at most ")
    assert found.figures["wrong_share"] < 0.005 < found.figures["wrong_share_bound"] < 0.03


@pytest.mark.parametrize("rate", [0.02, 0.1])
def test_the_share_is_about_right_and_the_bound_holds_it(rate: float) -> None:
    X, right = clouds(200)
    figures = check(X, flipped(right, rate)[0]).figures
    assert abs(figures["wrong_share"] - rate) < 0.25 * rate
    assert rate <= figures["wrong_share_bound"] < 2.5 * rate


def test_hard_images_are_not_taken_for_wrong_labels() -> None:
    """Classes that overlap: the head is wrong in a third of the images, and hardly any label is suspect."""
    X, right = clouds(300, apart=1.2)
    found = check(X, right)
    assert 0.5 < found.figures["accuracy"] < 0.75
    assert found.figures["suspects"] < 0.03 * len(right)
    assert found.figures["unclear"] > 0.05 * len(right)


def test_of_labels_at_random_nothing_is_said() -> None:
    X, right = clouds()
    found = check(X, np.random.default_rng(2).permutation(right))
    assert found.weight == "note" and not found.findings
    assert "may be chance" in found.verdict


def test_a_rare_class_that_is_told_is_above_chance() -> None:
    """97 of 100 images are of one class: an accuracy of 0.97 is no better than that, and yet the features tell."""
    X, right = clouds(300, classes=2)
    some = np.concatenate([np.flatnonzero(right == 0), np.flatnonzero(right == 1)[:12]])
    assert check(X[some], right[some]).figures["above_chance"]


def test_one_class_or_single_images_say_nothing() -> None:
    X, right = clouds()
    assert check(X[:100], right[:100]).weight == "note"
    assert check(X[[0, 100]], np.array([0, 1])).weight == "note"


def test_a_class_of_one_picture_is_said_not_to_be_judged() -> None:
    X, right = clouds(50, classes=3)
    some = np.concatenate([np.arange(100), [100, 101]])
    found = check(X[some], right[some], [*map(str, range(100)), "same", "same"])
    assert "2 images of c could not be judged" in found.verdict
    assert found.figures["not_judged"] == 2


def test_copies_do_not_vouch_for_each_other() -> None:
    """Each image is there twice, with the same wrong label: only folds by picture find it."""
    X, right = clouds(60, apart=5.0)
    labels, places = flipped(right, 0.05)
    twice, names = np.concatenate([X, X]), [str(k) for k in range(len(X))] * 2
    found = out_of_fold(twice, np.concatenate([labels, labels]), 3, names, 0)
    assert found is not None
    for train, held_out in found.folds:
        assert not {names[k] for k in train} & {names[k] for k in held_out}
    assert np.isin(places, np.asarray(suspects(check(twice, np.concatenate([labels, labels]), names)))).mean() > 0.8


def test_every_image_is_held_out_once_and_every_class_is_trained_on_in_each_fold() -> None:
    X, right = clouds()
    found = out_of_fold(X, right, 3, [str(k) for k in range(len(X))], 0)
    assert found is not None and found.held_out.all()
    assert sorted(np.concatenate([held_out for _, held_out in found.folds])) == list(range(len(X)))
    assert all(set(right[train]) == {0, 1, 2} for train, _ in found.folds)
    assert np.allclose(found.probabilities.sum(axis=1), 1)


def test_probabilities_are_as_sure_as_they_are_right() -> None:
    X, right = clouds(400, apart=1.5)
    found = out_of_fold(X, right, 3, [str(k) for k in range(len(X))], 0)
    assert found is not None
    is_right = found.probabilities.argmax(axis=1) == right
    assert abs(found.probabilities.max(axis=1).mean() - is_right.mean()) < 0.03


def test_the_confident_joint_is_as_defined() -> None:
    """By hand: thresholds are the means of the label's probability, 0.7 and 0.6."""
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.2, 0.8], [0.75, 0.25], [0.15, 0.85]])
    y = np.array([0, 0, 0, 1, 1, 1])  # means: 0.7, and (0.8 + 0.25 + 0.85) / 3 = 0.633
    assert confident_classes(probabilities, y).tolist() == [0, 0, -1, 1, 0, 1]
    assert confident_joint(probabilities, y).tolist() == [[2, 0], [1, 2]]
    assert other_classes(probabilities, y).tolist() == [1, 1, 1, 0, 0, 0]
    assert np.allclose(doubts(probabilities, y)[[0, 4]], [np.log(1 / 9), np.log(3)])


def test_of_several_confident_classes_the_most_probable_one_counts() -> None:
    probabilities = np.array([[0.3, 0.4, 0.3], [0.3, 0.3, 0.4], [0.4, 0.3, 0.3]])
    y = np.array([0, 1, 2])  # thresholds 0.3 each
    assert confident_classes(probabilities, y).tolist() == [1, 2, 0]


def test_pruning_takes_as_many_as_the_joint_says_of_all_images() -> None:
    """Of 4 images labelled b one is confidently a and one confidently b: 2 of the 4 are taken, the most doubtful."""
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.95, 0.05], [0.05, 0.95], [0.6, 0.4], [0.55, 0.45]])
    y = np.array([0] * 4 + [1] * 4)
    assert confident_joint(probabilities, y).tolist() == [[4, 0], [1, 1]]
    assert np.flatnonzero(pruned(probabilities, y)).tolist() == [4, 6]


def test_small_classes_are_not_flipped() -> None:
    X, right = clouds(60, classes=3)
    some = np.concatenate([np.arange(60), np.arange(60, 65), np.arange(120, 125)])
    names = [str(k) for k in some]
    found = out_of_fold(X[some], right[some], 3, names, 0)
    assert found is not None and wrong_share(X[some], right[some], names, found, 0) is None
    assert check(X[some], right[some]).weight == "note"


def test_another_process_finds_the_same() -> None:
    X, right = clouds(60)
    code = (
        "import sys; sys.path.insert(0, 'tests'); from auditing.test_labels import *; "
        "X, right = clouds(60); print(check(X, flipped(right, 0.05)[0]).describe())"
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    found = check(X, flipped(right, 0.05)[0])
    assert found.findings and other.stdout.strip() == str(found.describe())
