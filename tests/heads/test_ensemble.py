"""The head `ensemble`: the mean of its members, which are what they would be alone; and its file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.errors import RunError, UsageError
from featstore.heads.knn import KnnHead
from featstore.heads.registry import make_head, stops_on_val

MEMBERS = "logistic C=0.1 + ridge penalty=1 + knn neighbours=3"
RANDOM = np.random.default_rng(0)
Y = np.arange(60) % 3
X = (RANDOM.normal(size=(60, 8)) + 2 * np.eye(3, 8)[Y]).astype(np.float32)


def test_it_is_the_mean_of_heads_that_are_trained_alone() -> None:
    together = make_head("ensemble", {"members": MEMBERS})
    together.fit(X, Y, None, 0)
    alone = []
    for name, parameters in (("logistic", {"C": 0.1}), ("ridge", {"penalty": 1}), ("knn", {"neighbours": 3})):
        head = make_head(name, parameters)
        head.fit(X, Y, None, 0)
        alone.append(head.predict_proba(X))
    np.testing.assert_array_equal(together.predict_proba(X), np.mean(alone, axis=0))


def test_its_members_know_the_names_of_the_classes() -> None:
    """As a member would alone: the weights of classes are given by their names."""
    head = make_head("ensemble", {"members": "logistic C=1 + linear epochs=1 class_weights=cat=2,dog=1"})
    head.name_classes(("cat", "dog", "owl"))
    head.fit(X, Y, None, 0)
    assert head.is_trained


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    trained, loaded = (make_head("ensemble", {"members": MEMBERS}) for _ in range(2))
    trained.fit(X, Y, None, 0)
    name = trained.save(tmp_path)
    loaded.load(tmp_path / name)
    np.testing.assert_array_equal(loaded.predict_proba(X), trained.predict_proba(X))
    assert loaded.row_shape == (8,)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_of_other_members_is_refused(tmp_path: Path) -> None:
    two, three = make_head("ensemble"), make_head("ensemble", {"members": MEMBERS})
    two.fit(X, Y, None, 0)
    with pytest.raises(RunError, match="does not have the 3 heads of this run"):
        three.load(tmp_path / two.save(tmp_path))
    swapped = make_head("ensemble", {"members": "knn + ridge"})
    with pytest.raises(RunError, match="not a head that can be trusted"):
        swapped.load(tmp_path / "head.zip")
    (tmp_path / "torn.zip").write_bytes((tmp_path / "head.zip").read_bytes()[:100])
    with pytest.raises(RunError, match="not a head that can be trusted"):
        two.load(tmp_path / "torn.zip")


def test_a_member_cannot_write_elsewhere(tmp_path: Path) -> None:
    """The names in the archive are not used as paths."""
    with zipfile.ZipFile(tmp_path / "head.zip", "w") as archive:
        for name in ("0-../../evil.npz", "1-/tmp/evil.npz"):
            archive.writestr(name, b"")
    with pytest.raises(RunError):
        make_head("ensemble").load(tmp_path / "head.zip")
    assert [path.name for path in tmp_path.rglob("*")] == ["head.zip"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ("logistic + forst", "head 'forst' is not known"),
        ("logistic C", "expected KEY=VALUE after logistic, found 'C'"),
        ("logistic C=much", "head logistic: C=much"),
        ("logistic + ", "expected KEY=VALUE after logistic, found '\\+'"),
        ("ensemble + ridge", "cannot be a member"),
    ],
)
def test_members_that_make_no_sense_are_refused(members: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_head("ensemble", {"members": members})


def test_the_validation_split_stops_an_ensemble_if_it_stops_a_member() -> None:
    """So its figures on that split are fair only if none of its members has stopped on it."""
    assert not stops_on_val("ensemble", {})
    assert not stops_on_val("ensemble", {"members": MEMBERS})
    assert stops_on_val("ensemble", {"members": f"{MEMBERS} + mlp p=0.3"})
    assert stops_on_val("mlp", {})


def test_an_ensemble_whose_training_was_interrupted_is_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though each member is: what the last one has learnt by then makes another ensemble, which nobody asked for."""
    head = make_head("ensemble", {"members": MEMBERS})
    head.fit(X, Y, None, 0)
    again = make_head("ensemble", {"members": MEMBERS})
    fit = KnnHead.fit

    def interrupted(self: KnnHead, *arguments: Any) -> None:
        fit(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(KnnHead, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        again.fit(X, Y, None, 0)
    assert (head.is_trained, again.is_trained) == (True, False)


def test_members_are_told_the_names_of_the_classes() -> None:
    """Weights of a member may name them, as they may where it is alone."""
    head = make_head("ensemble", {"members": "linear class_weights=cat=2,dog=1 + ridge"})
    head.name_classes(("cat", "dog"))
    member, other = head._heads  # type: ignore[attr-defined]
    assert member._classes == ("cat", "dog")
    assert not hasattr(other, "_classes")


def test_a_parameter_of_a_member_is_given_once() -> None:
    """The last one would win without a word."""
    with pytest.raises(UsageError, match="C of logistic is given twice"):
        make_head("ensemble", {"members": "logistic C=0.1 C=0.2 + ridge"})
