"""Heads: training, saving, and refusing untrusted files."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featstore.errors import RunError, UsageError
from featstore.heads import keras_head, logistic
from featstore.heads.logistic import C_GRID, STOP_RATIO
from featstore.heads.registry import HEADS, make_head
from featstore.heads.step import compile_step

QUICK: dict[str, dict[str, Any]] = {
    "logistic": {},
    "linear": {"epochs": 30, "batch": 16, "rate": 1e-2},
    "mlp": {"epochs": 30, "batch": 16, "rate": 1e-2, "widths": (16, 8)},
    "cosine": {"epochs": 30, "batch": 16, "rate": 1e-2, "scale": 8.0},
    "bn-dropout": {"epochs": 30, "batch": 16, "units": 16},
    "vgg-fc": {"epochs": 30, "batch": 16, "units": 16, "rate": 1e-2},
    "fc-bn": {"epochs": 60, "batch": 16, "p": 0.2, "rate": 1e-2},
    "scratch-cnn": {"epochs": 6, "batch": 16},
}
SHAPES = {"scratch-cnn": (16, 16, 3)}


def clusters(count: int = 60, classes: str = "abç", shape: tuple[int, ...] = (12,)) -> tuple[np.ndarray, np.ndarray]:
    """Return points around one centre per class, and labels as text."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(classes), *shape)) * 2
    labels = rng.integers(0, len(classes), count)
    return (centres[labels] + rng.normal(size=(count, *shape))).astype(np.float32), np.array(list(classes))[labels]


def test_parameters_are_read_as_their_type() -> None:
    """Text from the command line becomes numbers; unknown parameters and wrong values are refused."""
    head: Any = make_head("bn-dropout", {"p": "0.25", "epochs": "3"})
    assert (head.p, head.epochs) == (0.25, 3)
    assert make_head("logistic", {"C": "none"}).C is None  # type: ignore[attr-defined]
    for name, settings in (
        ("logistic", {"p": "1"}),
        ("bn-dropout", {"p": "2"}),
        ("bn-dropout", {"p": "x"}),
        ("no", {}),
    ):
        with pytest.raises(UsageError):
            make_head(name, settings)


@pytest.mark.parametrize("rows", [33, 17, 32])
def test_no_head_trains_on_one_row(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """BatchNormalization makes a single row zero, so a last one joins the batch before it."""
    sizes = []

    def watched(*given: Any) -> Any:
        step = compile_step(*given)

        def count(X: np.ndarray, y: np.ndarray) -> Any:
            sizes.append(len(y))
            return step(X, y)

        return count

    monkeypatch.setattr(keras_head, "compile_step", watched)
    X, y = clusters(rows, classes="ab")
    make_head("bn-dropout", {"epochs": 2, "batch": 16, "units": 4}).fit(X, y, None, 0)
    assert sum(sizes) == 2 * rows
    assert min(sizes) > 1


def test_a_batch_of_one_is_refused_where_it_teaches_nothing() -> None:
    """Heads without BatchNormalization take it."""
    for name in ("bn-dropout", "fc-bn"):
        with pytest.raises(UsageError, match="batch=1: expected a whole number of at least 2"):
            make_head(name, {"batch": 1})
    assert make_head("vgg-fc", {"batch": 1}).batch == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("each", [1, 2, 3])
def test_many_classes_of_few_rows_raise_no_warning(each: int) -> None:
    """Of scikit-learn's warnings none is shown: warnings are errors here."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(40), each)
    head = make_head("logistic")
    head.fit(rng.normal(size=(len(y), 6)).astype(np.float32), y, None, 0)
    assert head.predict_proba(np.zeros((1, 6), np.float32)).shape == (1, 40)


def test_a_solver_that_max_iter_ended_is_known() -> None:
    """Scikit-learn's warning is hidden, as a run has a remark instead."""
    X, y = clusters(200)
    ended, converged = (make_head("logistic", {"max_iter": most, "C": 10.0}) for most in (2, 1000))
    for head in (ended, converged):
        head.fit(X, y, None, 0)
    assert (ended.converged, converged.converged) == (False, True)  # type: ignore[attr-defined]


def test_features_that_do_not_vary_are_no_error() -> None:
    """Constant features say nothing: probabilities are the shares of the classes."""
    head = make_head("logistic")
    head.fit(np.ones((30, 4), np.float32), np.repeat([0, 1], [10, 20]), None, 0)
    assert head.predict_proba(np.ones((1, 4), np.float32))[0] == pytest.approx([1 / 3, 2 / 3], abs=1e-3)


def test_C_is_selected_by_cross_validation_of_the_training_data() -> None:
    """The lowest loss of the curve decides; a given C is kept; validation data are not used."""
    X, _ = clusters(80)
    y = np.array(["a", "b"])[np.random.default_rng(1).integers(0, 2, 80)]
    head, fixed, other = make_head("logistic"), make_head("logistic", {"C": 3.0}), make_head("logistic")
    head.fit(X, y, None, 0)
    fixed.fit(X, y, None, 0)
    other.fit(X, y, (X * 100, y[::-1]), 0)
    losses = head.curve.series["cv_log_loss"]
    assert head.selected()["C"] == C_GRID[int(np.argmin(losses))]
    assert losses[-1] > min(losses)
    assert fixed.selected()["C"] == 3.0
    assert np.array_equal(head.predict_proba(X), other.predict_proba(X))


def test_the_search_for_C_ends_when_the_loss_has_risen() -> None:
    """Less regularisation would over-fit more; the values of C that are not tried are not in the curve."""
    X, _ = clusters(80)
    y = np.array(["a", "b"])[np.random.default_rng(1).integers(0, 2, 80)]
    steps: list[tuple[int, int]] = []
    head = make_head("logistic")
    head.fit(X, y, None, 0, lambda done, most: steps.append((done, most)))
    losses = head.curve.series["cv_log_loss"]
    assert losses[-1] > STOP_RATIO * min(losses)
    assert all(loss <= STOP_RATIO * min(losses[: n + 1]) for n, loss in enumerate(losses[:-1]))
    assert tuple(head.curve.x) == C_GRID[: len(losses)]
    assert steps == [(n + 1, len(C_GRID)) for n in range(len(losses))]


def test_views_of_one_image_stay_in_one_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a head would be tested on its training images, and select too weak a regularisation."""
    X, y = clusters(24)
    groups = np.array([f"image {n}" for n in range(24)])
    seen: list[tuple[set[float], set[float]]] = []
    real = logistic._score

    def watch(part: Any, y: np.ndarray, C: float) -> Any:
        seen.append((set(repeated[part[1][0], 0].tolist()), set(repeated[part[1][1], 0].tolist())))
        return real(part, y, C)

    monkeypatch.setattr(logistic, "_score", watch)
    repeated = np.tile(X, (3, 1))
    make_head("logistic").fit(repeated, np.tile(y, 3), None, 0, None, np.tile(groups, 3))
    assert seen
    assert all(not train & held_out for train, held_out in seen)


@pytest.mark.parametrize("shared", [8, 2])
def test_a_class_that_a_fold_does_not_know_is_not_scored_there(shared: int) -> None:
    """Groups that classes share may leave a fold without a class: no answer is read as one for another class."""
    X, y = clusters(40, "abc")
    groups = np.array([f"patient {n % shared}" if label == "c" else f"{label} {n}" for n, label in enumerate(y)])
    groups[y == "b"] = [f"patient {n % 8}" for n in range(int((y == "b").sum()))]
    head = make_head("logistic")
    head.fit(X, y, None, 0, None, groups)
    assert head.predict_proba(X).shape == (len(X), 3)
    assert max(head.curve.series["cv_log_loss"]) < 1.2  # a class that is not known would cost 36 nats an image


def test_without_two_classes_in_any_fold_nothing_is_selected() -> None:
    """As with a single image of a class, C is the default."""
    X, y = clusters(8, "ab")
    head = make_head("logistic", {"folds": 2})
    head.fit(X, y, None, 0, None, y)  # a group is a class
    assert head.selected() == {"C": logistic.DEFAULT_C}


def test_scratch_cnn_is_the_recipe() -> None:
    """Convolution and pooling three times, dense, dropout, softmax; no normalization that would hide the scaling."""
    head: Any = make_head("scratch-cnn", {"epochs": 1})
    head.fit(*clusters(12, "ab", (17, 20, 3)), None, 0)
    kinds = [type(layer).__name__ for layer in head._model.layers]
    assert kinds == [*["Conv2D", "MaxPooling2D"] * 3, "Flatten", "Dense", "Dropout", "Dense"]
    assert [layer.filters for layer in head._model.layers if hasattr(layer, "filters")] == [32, 32, 64]


@pytest.mark.parametrize("shape", [(12,), (7, 7, 1024), (15, 32, 3), (32, 15, 3)])
def test_scratch_cnn_needs_pixels(shape: tuple[int, ...]) -> None:
    """The message names the base that has them."""
    with pytest.raises(UsageError, match="use model='pixels'"):
        make_head("scratch-cnn").fit(*clusters(4, "ab", shape), None, 0)


def test_bn_dropout_is_the_recipe() -> None:
    """Max-pooling of a map, flatten, scaling, twice dropout and dense with BN, dropout, softmax."""
    head: Any = make_head("bn-dropout", {"p": 0.6, "epochs": 1})
    X, y = clusters(30, "ab", (4, 4, 2))
    head.fit(X, y, None, 0)
    kinds = [type(layer).__name__ for layer in head._model.layers]
    dense = ["Dropout", "Dense", "BatchNormalization"]
    assert kinds == ["MaxPooling2D", "Flatten", "Rescaling", *dense, *dense, "Dropout", "Dense"]
    assert [layer.rate for layer in head._model.layers if hasattr(layer, "rate")] == [0.3, 0.3, 0.6]
    flat: Any = make_head("bn-dropout", {"epochs": 1})
    flat.fit(*clusters(30), None, 0)
    assert "MaxPooling2D" not in [type(layer).__name__ for layer in flat._model.layers]


def test_fc_bn_is_the_recipe() -> None:
    """Flatten without pooling, twice dropout, dense and BN, dropout, sigmoid; 0.8 and 256 everywhere."""
    head: Any = make_head("fc-bn", {"epochs": 1, "activation": "Tanh"})
    head.fit(*clusters(30, "ab", (4, 4, 2)), None, 0)
    kinds = [type(layer).__name__ for layer in head._model.layers]
    dense = ["Dropout", "Dense", "BatchNormalization"]
    assert kinds == ["Flatten", *dense, *dense, "Dropout", "Dense"]
    assert [layer.rate for layer in head._model.layers if hasattr(layer, "rate")] == [0.8] * 3
    widths = [(layer.units, layer.activation.__name__) for layer in head._model.layers if hasattr(layer, "units")]
    assert widths == [(256, "tanh"), (256, "tanh"), (1, "sigmoid")]


def test_early_stopping_keeps_the_best_weights() -> None:
    """The trained head has the lowest validation loss of its curve."""
    X, y = clusters(40)
    rng = np.random.default_rng(2)
    validation = clusters(40)[0] + rng.normal(size=X.shape).astype(np.float32), y
    head: Any = make_head("bn-dropout", {"epochs": 60, "rate": 0.05, "patience": 3, "batch": 8})
    head.fit(X, y, validation, 0)
    losses = head.curve.series["val_loss"]
    assert len(losses) < 60
    column = np.searchsorted(np.unique(y), validation[1])
    loss = -np.log(head.predict_proba(validation[0])[np.arange(40), column]).mean()
    assert loss == pytest.approx(min(losses), rel=1e-3)


@pytest.mark.parametrize(("name", "factor"), [("logistic", 50), ("vgg-fc", 50), ("bn-dropout", 1000)])
def test_the_loss_of_sure_mistakes_is_not_cut_off(name: str, factor: int) -> None:
    """Early stopping and metrics see how wrong a head is: also beyond the 16 nats of 1 - p in float32."""
    X, y = clusters(classes="ab")
    head = make_head(name, QUICK[name] | ({} if name == "logistic" else {"epochs": 1}))
    far, wrong = factor * X, np.where(y == "a", "b", "a")
    head.fit(X, y, (far, wrong), 0)
    loss = -np.log(head.predict_proba(far)[np.arange(60), (wrong == "b").astype(int)]).mean()
    assert loss > 30
    assert loss == pytest.approx(by_network(head, far, wrong == "b"), rel=1e-4)
    if name != "logistic":
        assert head.curve.series["val_loss"] == pytest.approx([loss])


def by_network(head: Any, X: np.ndarray, second: np.ndarray) -> float:
    """Return the loss that Keras finds for labels that are true for the second class."""
    network = head.network(X.shape[1:])
    network.compile(loss="binary_crossentropy" if network.output_shape[1] == 1 else "sparse_categorical_crossentropy")
    return float(network.evaluate(X, second.astype(float)[:, None], verbose=0))


def test_foreign_layers_in_a_head_are_refused(tmp_path: Path) -> None:
    """They are refused before Keras reads the file."""
    with zipfile.ZipFile(tmp_path / "head.keras", "w") as archive:
        archive.writestr("config.json", '{"class_name": "Lambda", "module": "keras.layers", "config": {}}')
    with pytest.raises(RunError, match="Lambda"):
        make_head("bn-dropout").load(tmp_path / "head.keras")


def test_a_pickled_estimator_is_refused(tmp_path: Path) -> None:
    """skops loads only types that it trusts; a function of the operating system is not one of them."""
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(FunctionTransformer(func=subprocess.run), tmp_path / "head.skops")
    with pytest.raises(RunError, match="trusted"):
        make_head("logistic").load(tmp_path / "head.skops")


@pytest.mark.parametrize("classes", ["ab", "abc"])
@pytest.mark.parametrize("C", [0.01, 1.0])
def test_further_training_of_a_logistic_head_starts_at_its_optimum(classes: str, C: float) -> None:
    """The network has the L2 penalty of C, so its gradient is zero at the solution."""
    import keras
    import tensorflow as tf

    X, y = clusters(classes=classes, count=90)
    head = make_head("logistic", {"C": C})
    head.fit(X, y, None, seed=0)
    network = head.network(X.shape[1:])
    targets = np.unique(y, return_inverse=True)[1]
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(targets, network(X, training=True))
        loss = tf.add_n([tf.reduce_mean(losses), *network.losses])
    gradients = tape.gradient(loss, network.trainable_variables)
    assert max(float(np.abs(g).max()) for g in gradients) < 1e-4


def test_two_classes_have_one_sigmoid_and_more_a_softmax() -> None:
    """The predictions of the blog's head have a column for each class in both cases."""
    for classes, outputs in (("ab", 1), ("abc", 3)):
        X, y = clusters(classes=classes)
        head = make_head("vgg-fc", QUICK["vgg-fc"])
        head.fit(X, y, None, seed=0)
        assert head.network((12,)).output_shape == (None, outputs)
        assert head.predict_proba(X).shape == (60, len(classes))
        assert head.predict_proba(X).sum(axis=1) == pytest.approx(1)
        assert (np.array(list(classes))[head.predict_proba(X).argmax(axis=1)] == y).mean() > 0.9


def test_the_blogs_head_uses_the_whole_map_by_default() -> None:
    """Its table entry prefers kept maps; the user's pooling has precedence."""
    from featstore.extraction.recipe import Recipe

    assert HEADS["vgg-fc"].with_preferred_pool(Recipe(model="tiny")).pool == "none"
    assert HEADS["vgg-fc"].with_preferred_pool(Recipe(model="tiny", pool="max")).pool == "max"
    assert HEADS["logistic"].with_preferred_pool(Recipe(model="tiny")).pool is None
