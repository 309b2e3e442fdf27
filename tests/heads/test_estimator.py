"""Heads by `module:Class`: found in the working folder, calibrated, saved where that is safe, not imported unasked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.svm import SVC

from featstore.cli.head_options import chosen_parameters
from featstore.errors import RunError, UsageError
from featstore.heads.registry import check_saveable, code_of, entry_of, make_head, settle_head
from featstore.heads.selection import two_columns
from featstore.training.head_recipe import HeadRecipe
from helpers.cli import call
from helpers.photos import write_photos

MINE = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

class Centres(ClassifierMixin, BaseEstimator):
    def __init__(self, power=2, random_state=None):
        self.power, self.random_state = power, random_state
    def fit(self, X, y):
        assert isinstance(X, np.ndarray) and y.dtype.kind == "i"
        self.classes_ = np.unique(y)
        self.centres_ = [X[y == label].mean(axis=0) for label in self.classes_]
        return self
    def decision_function(self, X):
        far = np.stack([(abs(X - centre) ** self.power).mean(axis=1) for centre in self.centres_], axis=1)
        return -far if far.shape[1] > 2 else far[:, 0] - far[:, 1]

class Plain:  # has no parent, no parameters, and no classes_
    def fit(self, X, y):
        self.share = np.bincount(y) / len(y)
    def predict_proba(self, X):
        return np.tile(self.share, (len(X), 1))

class Labels(Plain):
    predict_proba = None
    def __getattribute__(self, name):
        if name == "predict_proba":
            raise AttributeError
        return super().__getattribute__(name)

class Wrong(Plain):
    def predict_proba(self, X):
        return np.ones((len(X), 7))

class Broken(Plain):
    def fit(self, X, y):
        raise KeyError("no such\\nthing")

class Fickle(Plain):  # right on the rows that it was trained on
    def fit(self, X, y):
        self.seen = X[0].copy()
        super().fit(X, y)
    def predict_proba(self, X):
        return super().predict_proba(X) * (1.0 if (X[0] == self.seen).all() else np.nan)

class Fails(Fickle):
    def predict_proba(self, X):
        if (X[0] == self.seen).all():
            return Plain.predict_proba(self, X)
        raise ValueError("odd\\nrows")

class Ends(Plain):
    def fit(self, X, y):
        raise SystemExit(0)

class Rounded(Plain):
    def predict_proba(self, X):
        return (super().predict_proba(X) * 1.0005).astype(np.float32)

def tree(depth=2):
    return make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=depth))

def piped(alpha=1.0):
    return make_pipeline(StandardScaler(), RidgeClassifier(alpha=alpha))

number = 3
"""


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with modules; one of them has the name of a module of Python."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "never.py").write_text("raise SystemExit('imported')")
    (tmp_path / "colorsys.py").write_text("class Hidden: pass")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("mine", None)


def clusters(classes: int = 3, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(count) % classes
    return (rng.normal(size=(classes, 5)) * 2)[y].astype(np.float32) + rng.normal(size=(count, 5)).astype(np.float32), y


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["mine:Centres", "mine:Plain", "mine:tree", "sklearn.svm:SVC"])
def test_any_estimator_is_a_head(name: str, classes: int) -> None:
    """With probabilities of its own, or from its decision function. Labels of text are numbers for it."""
    X, y = clusters(classes)
    head = make_head(name)
    head.fit(X, np.array(list("cde"))[y], None, 0)
    probabilities = head.predict_proba(X)
    assert probabilities.shape == (60, classes)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert (probabilities.argmax(axis=1) == y).mean() > (0.3 if name == "mine:Plain" else 0.8)
    assert set(head.selected()) == ({"fold_temperature"} if name in ("mine:Centres", "sklearn.svm:SVC") else set())


def test_a_temperature_changes_no_answer() -> None:
    """The classes with the largest scores are those with the largest probabilities."""
    X, y = clusters()
    head = make_head("sklearn.svm:SVC", {"C": "0.5"})
    head.fit(X, y, None, 0)
    scores = two_columns(SVC(C=0.5).fit(X, y).decision_function(X))
    assert np.array_equal(head.predict_proba(X).argmax(axis=1), scores.argmax(axis=1))


def test_text_becomes_the_value_that_python_has_for_it() -> None:
    """Numbers stay whole, and words stay words; the constructor's own words have precedence over aliases."""
    settings = [("hidden_layer_sizes", "(8, 4)"), ("learning_rate", "adaptive"), ("max_iter", "5"), ("alpha", "1e-2")]
    settings += [("early_stopping", "false"), ("random_state", "none")]
    given = chosen_parameters(settings, {})
    recipe = HeadRecipe(head="sklearn.neural_network:MLPClassifier", parameters=given)  # type: ignore[arg-type]
    assert recipe.parameters == {
        "hidden_layer_sizes": (8, 4),
        "learning_rate": "adaptive",
        "max_iter": 5,
        "alpha": 0.01,
        "early_stopping": False,
        "random_state": None,
    }
    assert type(recipe.parameters["max_iter"]) is int


def test_the_seed_reaches_every_random_state() -> None:
    """Also that of a step of a pipeline; one that is given stays."""
    from featstore.heads.estimator import make_estimator

    assert make_estimator("mine:tree", {}, seed=5)[-1].random_state == 5
    assert make_estimator("mine:Centres", {"random_state": 1}, seed=5).random_state == 1


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("nowhere:Head", {}, "module nowhere cannot be imported: ModuleNotFoundError.*the working folder"),
        ("mine:Centers", {}, "module mine has no class Centers; did you mean Centres"),
        ("mine:number", {}, "module mine has no class number"),
        (
            "mine:Centres",
            {"powr": 3},
            "head mine:Centres has no parameter 'powr': did you mean power[?] It takes power, random_state",
        ),
        ("mine:Labels", {}, "has neither `predict_proba` nor `decision_function`"),
        ("mine:Wrong", {}, r"expected probabilities of shape \(60, 3\), found \(60, 7\)"),
        ("mine:Broken", {}, "its fit failed: KeyError: 'no such"),
        ("mine:Ends", {}, "its fit failed: SystemExit: 0"),
        ("never:Imported", {}, "module never cannot be imported: SystemExit: imported"),
        ("colorsys:Hidden", {}, "module colorsys has no class Hidden"),  # that of the working folder hides nothing
        ("sklearn.svm:SVC", {"C": -1}, "its fit failed: InvalidParameterError"),
        ("a-b:c", {}, "head 'a-b:c' is not known: use one of logistic, .*, or module:Class"),
    ],
)
def test_what_is_no_head_is_refused_in_one_line(name: str, parameters: dict[str, Any], message: str) -> None:
    """The error says what is wrong and where."""
    with pytest.raises(UsageError, match=message) as caught:
        make_head(name, parameters).fit(*clusters(), None, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [("Fickle", "probabilities that add up to 1"), ("Fails", "predictions failed: ValueError: odd rows")],
)
def test_all_answers_are_looked_at(name: str, message: str) -> None:
    """Not only those for rows of the training: a NaN would be answered as the first class, without a word."""
    X, y = clusters()
    head = make_head(f"mine:{name}")
    head.fit(X, y, None, 0)
    with pytest.raises(UsageError, match=message):
        head.predict_proba(X[1:])


def test_probabilities_of_float32_add_up_to_one() -> None:
    """All scores rely on it."""
    X, y = clusters()
    head = make_head("mine:Rounded")
    head.fit(X, y, None, 0)
    assert head.predict_proba(X).sum(axis=1) == pytest.approx(1, abs=1e-12)


def test_the_code_of_an_estimator_has_a_digest(mine: Path) -> None:
    """A sweep goes on from its journal only with the same code."""
    before = code_of("mine:Plain"), code_of("mine:Plain")
    (mine / "mine.py").write_text(MINE.replace("return np.tile", "return 1 * np.tile"))
    assert before[0] == before[1] != code_of("mine:Plain")
    assert code_of("logistic") is None
    assert code_of("sklearn.svm:SVC") != code_of("sklearn.neighbors:KNeighborsClassifier")


@pytest.mark.parametrize("name", ["mine:piped", "sklearn.naive_bayes:GaussianNB", "sklearn.svm:SVC"])
def test_objects_of_scikit_learn_are_saved(name: str, tmp_path: Path) -> None:
    """A head that is loaded predicts the same, and nothing of the user's is imported for it."""
    X, y = clusters()
    head = make_head(name)
    check_saveable(name, {})
    head.fit(X, y, None, 0)
    file = tmp_path / head.save(tmp_path)
    again = make_head("never:Imported")
    again.load(file)
    assert np.array_equal(again.predict_proba(X), head.predict_proba(X))
    assert again.row_shape == (5,)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mine:Centres", "skops does not trust Centres"),
        ("sklearn.neural_network:MLPClassifier", "AdamOptimizer"),
        ("sklearn.neighbors:KNeighborsClassifier", "KDTree"),
    ],
)
def test_what_only_a_pickle_could_keep_is_refused_before_training(name: str, reason: str, tmp_path: Path) -> None:
    """The second and third have such a type only after training. `compare` takes all of them."""
    parameters = {"max_iter": 100} if "MLP" in name else {}
    with pytest.raises(UsageError, match=f"a run cannot keep it: .*{reason}.* measure it with compare"):
        check_saveable(name, parameters)
    head = make_head(name, parameters)
    head.fit(*clusters(), None, 0)
    with pytest.raises(UsageError, match="a run cannot keep it"):
        head.save(tmp_path)


def test_what_an_ensemble_could_not_keep_of_its_members_is_refused_before_training() -> None:
    check_saveable("ensemble", {"members": "ridge + sklearn.svm:SVC C=10"})
    with pytest.raises(UsageError, match="head sklearn.neighbors:KNeighborsClassifier: a run cannot keep it"):
        check_saveable("ensemble", {"members": "ridge + sklearn.neighbors:KNeighborsClassifier n_neighbors=3"})


def test_a_name_imports_nothing_by_itself(tmp_path: Path) -> None:
    """It may come from a run of a stranger."""
    assert settle_head("never:Head") == "never:Head"
    assert not entry_of("never:Head").is_network
    (tmp_path / "head.skops").write_bytes(b"PK")
    with pytest.raises(RunError, match="not a head that can be trusted"):
        make_head("never:Head").load(tmp_path / "head.skops")
    assert "never" not in sys.modules


def test_a_file_with_another_object_is_refused(tmp_path: Path) -> None:
    """Types that skops trusts are no classifiers yet."""
    import skops.io

    for number, content in enumerate(({"estimator": 1, "width": 2, "temperature": 0.5}, [1], {"width": 2})):
        skops.io.dump(content, tmp_path / f"{number}.skops")
        with pytest.raises(RunError, match="not a head that can be trusted"):
            make_head("sklearn.svm:SVC").load(tmp_path / f"{number}.skops")


def test_it_cannot_be_fine_tuned() -> None:
    """It has no layers."""
    with pytest.raises(UsageError, match="head mine:Plain: has no layers, .*; train one of logistic"):
        make_head("mine:Plain").network((5,))


def test_compare_takes_it_and_train_head_says_so_at_once(mine: Path) -> None:
    """Before the data are looked for. The command of its row is one that works."""
    write_photos(mine / "photos", 8)
    where = ("--model", "pixels", "--size", "4", "--cache", "cache")
    done = call("train-head", "nowhere", *where, "--head", "mine:Centres")
    assert (done.code, "a run cannot keep it: skops does not trust Centres" in done.err) == (2, True)
    done = call("compare", "photos", *where, "--head", "mine:Centres", "--head", "ridge", "--set", "power=3", "--json")
    rows = {row["head"]: row for row in json.loads(done.out)["rows"]}
    assert rows["mine:Centres"]["parameters"] == {"power": 3}
    assert "featstore compare photos" in rows["mine:Centres"]["command"]
    assert "--head mine:Centres --set power=3" in rows["mine:Centres"]["command"]
    run = json.loads(call("train-head", "photos", *where, "--head", "mine:piped", "--json").out)["run"]
    assert Path(run).name == "photos-pixels-rescale-4-piped"
    assert call("predict", run, "photos", "--quiet").code == 0
