"""The heads of scikit-learn against its own estimators, by hand: the same scores before the temperature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut, LeaveOneOut, StratifiedGroupKFold, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from threadpoolctl import threadpool_limits

from featstore.heads.folds import make_folds, unit_rows
from featstore.heads.registry import HEADS, make_head
from featstore.heads.ridge import RidgePath
from featstore.heads.selection import two_columns
from featstore.heads.temperature import fit_temperature

CLASSES = [2, 4]


def test_every_head_of_scikit_learn_has_a_twin() -> None:
    """A new one needs it too. That of `logistic` is next to those of the Keras heads."""
    tested = {name.removeprefix("test_").replace("_", "-") for name in globals()}
    baselines = {name for name, entry in HEADS.items() if entry.source == "scikit-learn"}
    assert baselines - tested == {"logistic", "random-forest", "extra-trees"}
    assert "forests" in tested


def rows_of(classes: int, count: int = 90, width: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return rows of classes that overlap and their labels, and new rows with theirs."""
    rng = np.random.default_rng(classes)
    centres = rng.normal(size=(classes, width)) / 2
    y = np.arange(2 * count) % classes
    X = (centres[y] + rng.normal(size=(2 * count, width))).astype(np.float32) * rng.uniform(0.1, 9, width)
    return X[:count].astype(np.float32), y[:count], X[count:].astype(np.float32), y[count:]


def head_of(name: str, parameters: dict[str, Any], X: np.ndarray, y: np.ndarray) -> Any:
    head = make_head(name, parameters)
    head.fit(X, y, None, 3)
    return head


def logits_of(head: Any, X: np.ndarray) -> np.ndarray:
    """Return the logits of a head, times its temperature; their mean over the classes is zero."""
    logits = np.log(head.predict_proba(X)) * head.selected()["fold_temperature"]
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))


def centred(scores: np.ndarray) -> np.ndarray:
    scores = two_columns(scores)
    return np.asarray(scores - scores.mean(axis=1, keepdims=True))


@pytest.mark.parametrize("classes", CLASSES)
def test_ridge(classes: int) -> None:
    """`Ridge` on 1 and -1, with a penalty for each image."""
    X, y, new, _ = rows_of(classes)
    head = head_of("ridge", {"penalty": 0.7}, X, y)
    scaler = StandardScaler().fit(X.astype(np.float64))
    targets = np.where(y[:, None] == np.arange(classes), 1.0, -1.0)[:, 1 if classes == 2 else 0 :]
    model = Ridge(alpha=0.7 * len(X)).fit(scaler.transform(X.astype(np.float64)), targets)
    assert logits_of(head, new) == pytest.approx(centred(model.predict(scaler.transform(new))), abs=1e-5)


@pytest.mark.parametrize("width", [5, 200])
@pytest.mark.parametrize("groups", [None, 12, 2])
def test_the_ridge_path_leaves_out_what_a_loop_leaves_out(width: int, groups: int | None) -> None:
    """Each row, each of many groups, or each of two groups that are larger than the rows are wide."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, width)), rng.normal(size=(40, 3))
    X -= X.mean(axis=0)
    names = None if groups is None else np.array([f"group {n % groups}" for n in range(40)])
    path = RidgePath(X, Y)
    for penalty in (0.01, 1.0):
        found = path.left_out(penalty, None if names is None else unit_rows(names))
        parts = LeaveOneOut().split(X) if names is None else LeaveOneGroupOut().split(X, groups=names)
        for train, held_out in parts:
            model = Ridge(alpha=penalty * 40).fit(X[train], Y[train])
            assert found[held_out] == pytest.approx(model.predict(X[held_out]), abs=1e-8)


@pytest.mark.parametrize("classes", CLASSES)
def test_linear_svm(classes: int) -> None:
    """`LinearSVC` on standardised rows, and a temperature from the scores of its folds."""
    X, y, new, _ = rows_of(classes)
    head = head_of("linear-svm", {"C": 0.02}, X, y)
    scaler = StandardScaler().fit(X)
    model = LinearSVC(C=0.02, random_state=3).fit(scaler.transform(X), y)
    assert logits_of(head, new) == pytest.approx(centred(model.decision_function(scaler.transform(new))), abs=1e-5)
    scores, truth = [], []
    for train, out in StratifiedKFold(5, shuffle=True, random_state=3).split(X, y):
        scaler = StandardScaler().fit(X[train])
        machine = LinearSVC(C=0.02, tol=1e-2, random_state=3).fit(scaler.transform(X[train]), y[train])
        scores.append(two_columns(machine.decision_function(scaler.transform(X[out]))))
        truth.append(y[out])
    expected = fit_temperature(np.concatenate(scores), np.concatenate(truth))
    assert head.selected()["fold_temperature"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("classes", CLASSES)
def test_rbf_svm(classes: int) -> None:
    """`SVC` on standardised rows: its margin, or the mean of those of all pairs that a class is in."""
    X, y, new, _ = rows_of(classes)
    head = head_of("rbf-svm", {"C": 2.0, "gamma": 0.02}, X, y)
    scaler = StandardScaler().fit(X)
    model = SVC(C=2.0, gamma=0.02, decision_function_shape="ovo").fit(scaler.transform(X), y)
    margins = model.decision_function(scaler.transform(new))
    if classes > 2:
        pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
        signs = np.array([[(c == i) - (c == j) for c in range(classes)] for i, j in pairs])
        margins = margins @ signs / (classes - 1)
    assert logits_of(head, new) == pytest.approx(centred(margins), abs=5e-3)


@pytest.mark.parametrize("width", [30, 200])
@pytest.mark.parametrize("classes", CLASSES)
def test_lda(classes: int, width: int) -> None:
    """`LinearDiscriminantAnalysis` with the same shrinkage, also for rows that are wider than many."""
    X, y, new, _ = rows_of(classes, width=width)
    head = head_of("lda", {"shrinkage": 0.3}, X, y)
    scaler = StandardScaler().fit(X)
    scaled = scaler.transform(X).astype(np.float64)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(scaled, y)
    within = np.concatenate([scaled[y == label] - scaled[y == label].mean(axis=0) for label in range(classes)])
    expected = centred(model.decision_function(scaler.transform(new))) * (within**2).mean()
    assert logits_of(head, new) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("distance", ["cosine", "scaled-cosine", "euclidean", "scaled-euclidean"])
def test_knn(distance: str) -> None:
    """The votes of `KNeighborsClassifier`, with one more that the classes share."""
    X, y, new, _ = rows_of(4)
    head = head_of("knn", {"neighbours": 7, "distance": distance}, X, y)
    if distance.startswith("scaled"):
        scaler = StandardScaler().fit(X)
        X, new_scaled = scaler.transform(X), scaler.transform(new)
    else:
        new_scaled = new
    model = KNeighborsClassifier(7, metric=distance.split("-")[-1]).fit(X, y)
    expected = (7 * model.predict_proba(new_scaled) + np.bincount(y) / len(y)) / 8
    assert head.predict_proba(new) == pytest.approx(expected)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize(
    ("name", "kind"), [("random-forest", RandomForestClassifier), ("extra-trees", ExtraTreesClassifier)]
)
def test_forests(name: str, kind: type, classes: int) -> None:
    """The votes of all trees, and one that the classes share, as logarithms."""
    X, y, new, _ = rows_of(classes)
    head = head_of(name, {"trees": 15, "leaf": 2}, X, y)
    model = kind(15, min_samples_leaf=2, random_state=3).fit(X, y)
    votes = 15 * model.predict_proba(new) + np.bincount(y) / len(y)
    assert logits_of(head, new) == pytest.approx(centred(np.log(votes)), abs=1e-5)


@pytest.mark.parametrize("classes", CLASSES)
def test_hist_gradient_boosting(classes: int) -> None:
    """The decision function after the rounds that the folds chose."""
    X, y, new, _ = rows_of(classes)
    head = head_of("hist-gradient-boosting", {"rounds": 15}, X, y)
    with threadpool_limits(1):
        model = HistGradientBoostingClassifier(
            max_iter=head.selected()["rounds"],
            max_leaf_nodes=8,
            min_samples_leaf=5,
            max_bins=32,
            max_features=0.1,
            early_stopping=False,
            random_state=3,
        ).fit(X, y)
    assert logits_of(head, new) == pytest.approx(centred(model.decision_function(new)), abs=1e-5)


@pytest.mark.parametrize("classes", CLASSES)
def test_naive_bayes(classes: int) -> None:
    """`GaussianNB` on standardised rows."""
    X, y, new, _ = rows_of(classes)
    head = head_of("naive-bayes", {"smoothing": 0.2}, X, y)
    scaler = StandardScaler().fit(X.astype(np.float64))
    model = GaussianNB(var_smoothing=0.2).fit(scaler.transform(X.astype(np.float64)), y)
    expected = model.predict_joint_log_proba(scaler.transform(new.astype(np.float64)))
    assert logits_of(head, new) == pytest.approx(centred(expected), abs=1e-6)


@pytest.mark.parametrize("classes", CLASSES)
def test_nearest_centroid(classes: int) -> None:
    """The answers of `NearestCentroid`, and half the mean squared distances."""
    X, y, new, _ = rows_of(classes)
    head = head_of("nearest-centroid", {}, X, y)
    scaler = StandardScaler().fit(X)
    model = NearestCentroid().fit(scaler.transform(X), y)
    assert np.array_equal(head.predict_proba(new).argmax(axis=1), model.predict(scaler.transform(new)))
    far = ((scaler.transform(new)[:, None] - model.centroids_) ** 2).mean(axis=2)
    assert logits_of(head, new) == pytest.approx(centred(-far / 2), abs=1e-5)


def test_majority() -> None:
    """The prior of `DummyClassifier`."""
    X, _, new, _ = rows_of(2)
    y = np.repeat([0, 1, 2], [50, 30, 10])
    expected = DummyClassifier(strategy="prior").fit(X, y).predict_proba(new)
    assert head_of("majority", {}, X, y).predict_proba(new) == pytest.approx(expected)


@pytest.mark.parametrize("groups", [None, 30])
def test_folds_are_those_of_scikit_learn(groups: int | None) -> None:
    """Where every class can be divided."""
    y = np.arange(90) % 3
    names = None if groups is None else np.array([f"{n % groups}" for n in range(90)])
    kind = StratifiedKFold if names is None else StratifiedGroupKFold
    expected = kind(5, shuffle=True, random_state=3).split(y, y, names)
    found = make_folds(y, 5, 3, names)
    assert [[part.tolist() for part in fold] for fold in found] == [
        [np.sort(part).tolist() for part in fold] for fold in expected
    ]


def test_the_temperature_has_the_smallest_loss() -> None:
    """Of the rows and of one more that is wrong by the median margin, which a grid of temperatures finds too."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    scores = rng.normal(size=(200, 3)) * 5 + 9 * np.eye(3)[y]
    others = np.where(np.eye(3)[y] == 1, -np.inf, scores)
    margins = np.abs(scores[np.arange(200), y] - others.max(axis=1))

    def loss(temperature: float) -> float:
        logits = scores / temperature
        losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(200), y]
        return float(losses.sum() + np.logaddexp(0, np.median(margins) / temperature))

    grid = np.geomspace(0.1, 100, 3000)
    assert fit_temperature(scores, y) == pytest.approx(grid[np.argmin([loss(T) for T in grid])], rel=5e-3)
