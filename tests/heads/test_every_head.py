"""What is true of every head: the same numbers twice, chance for labels of chance, the same from its file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from featstore.errors import FeatstoreError, UsageError
from featstore.evaluation.intervals import accuracy_interval
from featstore.heads.registry import HEADS, make_head

# Parameters with which a head learns clusters in less time than with its own, and enough of them.
QUICK: dict[str, dict[str, Any]] = {
    "bn-dropout": {"epochs": 30, "batch": 16, "units": 16},
    "vgg-fc": {"epochs": 30, "batch": 16, "units": 16, "rate": 1e-2},
    "fc-bn": {"epochs": 60, "batch": 16, "p": 0.2, "rate": 1e-2},
    "scratch-cnn": {"epochs": 6, "batch": 16},
    "logistic-sgd": {"epochs": 60, "batch": 16, "rate": 1e-2},
    "linear": {"epochs": 30, "batch": 16, "rate": 1e-2},
    "cosine": {"epochs": 30, "batch": 16, "rate": 1e-2},
    "mlp": {"epochs": 30, "batch": 16, "widths": (16,), "rate": 1e-2},
    "random-forest": {"trees": 20},
    "extra-trees": {"trees": 20},
    "hist-gradient-boosting": {"rounds": 20},
}
SHAPES = {"scratch-cnn": (16, 16, 3)}
FIXED = ("ensemble", "random-forest", "extra-trees", "nearest-centroid", "majority")  # nothing is chosen step by step
BASELINES = [name for name, entry in HEADS.items() if not entry.stops_on_val]
CALIBRATED = [name for name in BASELINES if name != "majority"]


def shape_of(name: str) -> tuple[int, ...]:
    return SHAPES.get(name, (12,))


def clusters(
    count: int = 60, classes: str = "abç", shape: tuple[int, ...] = (12,), seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return points around one centre per class, and labels as text; another seed gives other points around them."""
    rng, centres = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(len(classes), *shape)) * 2
    labels = np.arange(count) % len(classes)
    return (centres[labels] + rng.normal(size=(count, *shape))).astype(np.float32), np.array(list(classes))[labels]


class Trained(NamedTuple):
    """A trained head, and the folder and name of its file."""

    head: Any
    file: Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("heads")


_KEPT: dict[str, Trained] = {}


def trained(name: str, folder: Path) -> Trained:
    """Return the head, which is trained and saved once for all tests."""
    if name not in _KEPT:
        head = make_head(name, QUICK.get(name))
        X, y = clusters(shape=shape_of(name))
        head.fit(X, y, (X[:20], y[:20]), seed=3)
        (folder / name).mkdir()
        _KEPT[name] = Trained(head, folder / name / head.save(folder / name))
    return _KEPT[name]


@pytest.mark.parametrize("name", HEADS)
def test_probabilities_are_per_class_in_sorted_order(name: str, folder: Path) -> None:
    """The sum is one, and most points are classified correctly."""
    X, y = clusters(shape=shape_of(name))
    probabilities = trained(name, folder).head.predict_proba(X)
    assert probabilities.shape == (60, 3)
    assert probabilities.dtype == np.float64
    assert probabilities.sum(axis=1) == pytest.approx(1)
    accuracy = (np.array(["a", "b", "ç"])[probabilities.argmax(axis=1)] == y).mean()
    assert accuracy == pytest.approx(1 / 3) if name == "majority" else accuracy > 0.7


@pytest.mark.parametrize("name", HEADS)
def test_the_curve_has_a_point_per_step(name: str, folder: Path) -> None:
    """Steps are values of a parameter or epochs, and all series have the same length."""
    curve = trained(name, folder).head.curve
    assert (curve.x_name == "epoch") == HEADS[name].stops_on_val  # type: ignore[index]
    assert bool(curve.x) == (name not in FIXED)
    assert {len(values) for values in curve.series.values()} <= {len(curve.x)}


AGAIN = """
import sys, pathlib, numpy as np
from featstore.heads.registry import HEADS, make_head
folder, names, quick, shapes = pathlib.Path(sys.argv[1]), *map(eval, sys.argv[2:])
rows = {name: np.load(folder / f"{len(shapes.get(name, (12,)))}.npz") for name in names}
answers = {}
for name in names:
    head = make_head(name)
    head.load(next((folder / name).glob("head.*")))
    answers[name + " loaded"] = head.predict_proba(rows[name]["X"])
if all(not HEADS[name].stops_on_val for name in names):
    assert not {"tensorflow", "sklearn", "scipy", "skops"} & set(sys.modules)
for name in names:
    head, X, y = make_head(name, quick.get(name)), rows[name]["X"], rows[name]["y"]
    head.fit(X, y, (X[:20], y[:20]), seed=3)
    answers[name + " trained"] = head.predict_proba(X)
np.savez(folder / "answers.npz", **answers)
"""


@pytest.mark.parametrize("on_val", [False, True], ids=["scikit-learn", "Keras"])
def test_another_process_has_the_same_numbers(on_val: bool, folder: Path) -> None:
    """To the last bit: of the head from its file, and of one that is trained again with the same seed.

    The heads of scikit-learn need neither it nor TensorFlow to predict from their files.
    """
    names = [name for name, entry in HEADS.items() if entry.stops_on_val == on_val]
    expected = {name: trained(name, folder).head.predict_proba(clusters(shape=shape_of(name))[0]) for name in names}
    for shape in {shape_of(name) for name in names}:
        X, y = clusters(shape=shape)
        np.savez(folder / f"{len(shape)}.npz", X=X, y=y)
    command = [sys.executable, "-c", AGAIN, folder, *map(repr, (names, QUICK, SHAPES))]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "answers.npz") as answers:
        for name in names:
            assert np.array_equal(answers[f"{name} loaded"], expected[name]), name
            assert np.array_equal(answers[f"{name} trained"], expected[name]), name


@pytest.mark.parametrize("name", HEADS)
def test_labels_of_chance_are_answered_by_chance(name: str) -> None:
    """The interval of the accuracy holds 1 / k, and a calibrated head is not sure of anything.

    It is the one of 99.9 %: many heads are judged.
    """
    has_epochs = hasattr(HEADS[name].parameters, "epochs")  # type: ignore[index]
    quick = QUICK.get(name, {}) | ({"epochs": 3} if has_epochs else {})
    X, _ = clusters(90, shape=shape_of(name))
    labels = np.random.default_rng(1).permutation(np.arange(90) % 3)
    head = make_head(name, quick)
    head.fit(X, labels, (X[:20], labels[:20]), seed=0)
    held_out, _ = clusters(300, shape=shape_of(name), seed=5)
    truth = np.random.default_rng(2).permutation(np.arange(300) % 3)
    probabilities = head.predict_proba(held_out)
    low, high = accuracy_interval((probabilities.argmax(axis=1) == truth).astype(float), error=0.001)
    assert low <= 1 / 3 <= high
    if name in BASELINES:
        assert -np.log(probabilities[np.arange(300), truth]).mean() < 1.1 * np.log(3)


@pytest.mark.parametrize("name", CALIBRATED)
def test_views_of_an_image_are_no_evidence(name: str) -> None:
    """They stay in one fold. Else a head would find its training images again, and be sure of labels of chance."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 12)).astype(np.float32), np.arange(40) % 2
    groups = np.array([f"image {n}" for n in range(40)])
    head = make_head(name, QUICK.get(name))
    head.fit(np.tile(X, (4, 1)), np.tile(y, 4), None, 0, None, np.tile(groups, 4))
    new = head.predict_proba(rng.normal(size=(300, 12)).astype(np.float32))
    assert -np.log(new).mean() < 1.25 * np.log(2)


@pytest.mark.parametrize("name", CALIBRATED)
def test_no_answer_is_certain_after_few_images(name: str) -> None:
    """All held-out rows were right, and the first mistake must not cost the mean of a whole test split."""
    X, y = clusters(30)
    head = make_head(name, QUICK.get(name))
    head.fit(X, y, None, 0)
    new, truth = clusters(300, seed=7)
    probabilities = head.predict_proba(new)
    assert (np.array(["a", "b", "ç"])[probabilities.argmax(axis=1)] == truth).mean() > 0.9
    assert probabilities.min() > 1e-9


SMALL = {
    "one image of a class": [0] * 8 + [1],
    "one image of two classes of three": [0] * 8 + [1, 2],
    "one image of each class": [0, 1, 2],
    "two images": [0, 1],
    "two of each of many classes": [n // 2 for n in range(40)],
    "one class with few": [0] * 20 + [1] * 20 + [2] * 2,
}


@pytest.mark.parametrize("labels", SMALL.values(), ids=SMALL)
@pytest.mark.parametrize("name", BASELINES)
def test_few_images_are_enough(name: str, labels: list[int]) -> None:
    """There is a probability for each class, whether it can be divided into folds or not, and no warning."""
    y = np.array(labels)
    X = np.random.default_rng(0).normal(size=(len(y), 6)).astype(np.float32) + y[:, None]
    head = make_head(name, dict.fromkeys(QUICK.get(name, {}), 5))
    head.fit(X, y, None, 0)
    probabilities = head.predict_proba(X)
    assert probabilities.shape == (len(y), len(set(labels)))
    assert np.isfinite(np.log(probabilities)).all()


@pytest.mark.parametrize("name", BASELINES)
def test_groups_that_classes_share_leave_folds_without_a_class(name: str) -> None:
    """A class that a fold does not train on is not scored there, and a group may even be a class."""
    X, y = clusters(40)
    for groups in (np.array([f"patient {n % 3}" for n in range(40)]), y, np.array([f"{n % 2}" for n in range(40)])):
        head = make_head(name, dict.fromkeys(QUICK.get(name, {}), 5))
        head.fit(X, y, None, 0, None, groups)
        assert np.isfinite(np.log(head.predict_proba(X))).all()
        assert np.isfinite([value for values in head.curve.series.values() for value in values]).all()


@pytest.mark.parametrize("name", BASELINES)
def test_features_that_do_not_vary_are_no_error(name: str) -> None:
    """They say nothing: probabilities are near the shares of the classes, or alike."""
    head = make_head(name, QUICK.get(name))
    head.fit(np.ones((30, 4), np.float32), np.repeat([0, 1], [10, 20]), None, 0)
    probabilities = head.predict_proba(np.ones((1, 4), np.float32))[0]
    assert 0.2 < probabilities[0] < 0.6


@pytest.mark.parametrize("name", BASELINES)
def test_maps_are_flattened(name: str) -> None:
    """A map is a row of all its numbers."""
    X, y = clusters(30)
    head = make_head(name, QUICK.get(name))
    head.fit(X.reshape(30, 2, 2, 3), y, None, 0)
    assert head.row_shape == (12,)
    assert np.array_equal(head.predict_proba(X.reshape(30, 2, 2, 3)), head.predict_proba(X))
    with pytest.raises(ValueError, match="expected rows of 12 features"):
        head.predict_proba(X[:, :11])


@pytest.mark.parametrize("name", [name for name, entry in HEADS.items() if entry.is_network])
def test_a_head_as_a_network_predicts_as_the_head(name: str, folder: Path) -> None:
    """Fine-tuning starts from the same probabilities, to float32."""
    X, _ = clusters(shape=shape_of(name))
    head = trained(name, folder).head
    network = head.network(X.shape[1:])
    assert np.asarray(network(X, training=False)) == pytest.approx(head.predict_proba(X), abs=1e-5)


@pytest.mark.parametrize("name", [name for name, entry in HEADS.items() if not entry.is_network])
def test_a_head_that_is_no_network_says_which_ones_are(name: str, folder: Path) -> None:
    """It cannot be fine-tuned, nor drawn with its base."""
    with pytest.raises(UsageError, match=f"head {name}: has no layers, .* train one of logistic, "):
        trained(name, folder).head.network((12,))


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x80\4."])
@pytest.mark.parametrize("name", HEADS)
def test_files_that_are_not_heads_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    """Any content raises featstore's own error."""
    (tmp_path / "head").write_bytes(content)
    with pytest.raises(FeatstoreError):
        make_head(name).load(tmp_path / "head")


@pytest.mark.parametrize("name", BASELINES)
def test_one_image_of_each_class_makes_no_head_sure(name: str) -> None:
    """In many dimensions all distances are large. Nothing was held out, so the log loss stays near that of chance."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 1000)) / 5
    head = make_head(name, QUICK.get(name))
    head.fit((centres + rng.normal(size=(3, 1000))).astype(np.float32), np.arange(3), None, 0)
    truth = np.arange(300) % 3
    new = (centres[truth] + rng.normal(size=(300, 1000))).astype(np.float32)
    assert -np.log(head.predict_proba(new)[np.arange(300), truth]).mean() < 1.5 * np.log(3)
