"""Heads against scikit-learn and Keras alone: the same seed, the same batches, the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from featstore.heads.keras_parameters import KerasParameters
from featstore.heads.registry import HEADS, make_head
from helpers.twins import distance

EPOCHS, BATCH, PATIENCE, SEED = 5, 16, 2, 7


def bn_dropout(X: np.ndarray, classes: int) -> Any:
    """Scaling, dropout of a quarter, twice dense with BatchNormalization, and a dropout of a half before the output."""
    pooled = [layers.MaxPooling2D()] if X.ndim == 4 else []
    parts = scaled(np.asarray(pooled[0](X)) if pooled else X)[1:]
    for _ in range(2):
        parts += [layers.Dropout(0.25), layers.Dense(8, "relu"), layers.BatchNormalization(momentum=0.9)]
    parts.append(layers.Dropout(0.5))
    return keras.Sequential([keras.Input(X.shape[1:]), *pooled, *parts, output(classes)])


def fc_bn(X: np.ndarray, classes: int) -> Any:
    """A dropout of 0.8 before each of two dense layers with BatchNormalization, and before the softmax."""
    parts: list[Any] = [layers.Flatten()]
    for _ in range(2):
        parts += [layers.Dropout(0.8), layers.Dense(8, "relu"), layers.BatchNormalization(momentum=0.9)]
    last = output(classes)  # it draws its seed before the dropout
    return keras.Sequential([keras.Input(X.shape[1:]), *parts, layers.Dropout(0.8), last])


def vgg_fc(X: np.ndarray, classes: int) -> Any:
    """The top model of the Keras blog: a sigmoid for two classes."""
    parts = [layers.Flatten(), layers.Dense(8, "relu"), layers.Dropout(0.5), output(classes)]
    return keras.Sequential([keras.Input(X.shape[1:]), *parts])


def scratch_cnn(X: np.ndarray, classes: int) -> Any:
    """The network that the Keras blog trains from scratch."""
    parts = [
        part
        for filters in (32, 32, 64)
        for part in (layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D())
    ]
    parts += [layers.Flatten(), layers.Dense(64, "relu"), layers.Dropout(0.5), layers.Dense(classes, "softmax")]
    return keras.Sequential([keras.Input(X.shape[1:]), *parts])


def scaled(X: np.ndarray) -> list[Any]:
    """Flatten, and the scaling of scikit-learn's StandardScaler as a layer."""
    flat = StandardScaler().fit(X.reshape(len(X), -1))
    return [keras.Input(X.shape[1:]), layers.Flatten(), layers.Rescaling(1 / flat.scale_, -flat.mean_ / flat.scale_)]


def output(classes: int, start: str = "glorot_uniform") -> Any:
    """One sigmoid for two classes."""
    outputs, activation = (1, "sigmoid") if classes == 2 else (classes, "softmax")
    return layers.Dense(outputs, activation, kernel_initializer=start)


def linear(X: np.ndarray, classes: int) -> Any:
    """One dense layer."""
    return keras.Sequential([*scaled(X), output(classes, "zeros")])


def mlp(X: np.ndarray, classes: int) -> Any:
    """Two dense layers, each with dropout."""
    hidden = [part for width in (8, 6) for part in (layers.Dense(width, "gelu"), layers.Dropout(0.5))]
    return keras.Sequential([*scaled(X), *hidden, output(classes, "zeros")])


class Cosines(layers.Layer):
    """Cosines with the class weights, times a factor that is learned: written out instead of put together."""

    def __init__(self, outputs: int, scale: float) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, scale

    def build(self, shape: Any) -> None:
        self.directions = self.add_weight(shape=(shape[-1], self.outputs), constraint="unit_norm")
        self.directions.assign(keras.ops.normalize(self.directions, axis=0))
        self.factor = self.add_weight(shape=(1, 1, 1), initializer="ones")

    def call(self, rows: Any) -> Any:
        cosines = keras.ops.normalize(rows, axis=1) @ self.directions
        logits = self.scale * self.factor[0, 0, 0] * cosines
        return keras.activations.sigmoid(logits) if self.outputs == 1 else keras.activations.softmax(logits)


def cosine(X: np.ndarray, classes: int) -> Any:
    """Features and class weights of length 1."""
    return keras.Sequential([*scaled(X), Cosines(1 if classes == 2 else classes, 5.0)])


class Twin(NamedTuple):
    """A head of Keras: the function that builds its network, the shape of its rows, and its parameters."""

    head: str
    build: Callable[[np.ndarray, int], Any]
    shape: tuple[int, ...]
    classes: str
    rate: float
    parameters: dict[str, Any]


KERAS = [
    Twin("linear", linear, (3, 3, 4), "ab", 1e-2, {}),
    Twin("linear", linear, (12,), "abc", 1e-2, {}),
    Twin("mlp", mlp, (3, 3, 4), "abc", 3e-2, {"widths": (8, 6), "activation": "gelu"}),
    Twin("cosine", cosine, (12,), "abc", 1e-2, {"scale": 5.0}),
    Twin("cosine", cosine, (12,), "ab", 1e-2, {"scale": 5.0}),
    Twin("bn-dropout", bn_dropout, (12,), "abc", 1e-2, {"units": 8}),
    Twin("bn-dropout", bn_dropout, (4, 4, 3), "ab", 1e-2, {"units": 8}),
    Twin("fc-bn", fc_bn, (3, 3, 4), "abc", 1e-2, {"units": 8}),
    Twin("vgg-fc", vgg_fc, (3, 3, 4), "ab", 1e-2, {"units": 8}),
    Twin("vgg-fc", vgg_fc, (12,), "abc", 0.3, {"units": 8}),
    Twin("scratch-cnn", scratch_cnn, (16, 16, 3), "abc", 1e-3, {}),
]


def rows_of(shape: tuple[int, ...], classes: str, seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return rows that classes overlap in, and their labels."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(len(classes), *shape)) / 2
    labels = np.arange(count) % len(classes)
    return (centres[labels] + random.normal(size=(count, *shape))).astype(np.float32), np.array(list(classes))[labels]


def test_every_head_has_a_twin() -> None:
    """A new head needs one too; those of the other heads of scikit-learn are in a file of their own."""
    assert {twin.head for twin in KERAS} == {
        name for name, entry in HEADS.items() if issubclass(entry.parameters, KerasParameters)
    }


@pytest.mark.parametrize("twin", KERAS, ids=lambda twin: f"{twin.head}-{len(twin.classes)}")
def test_a_keras_head_is_trained_as_by_fit(twin: Twin) -> None:
    """Weights, curves and the epoch whose weights are kept, with dropout and with a last batch that is smaller."""
    X, y = rows_of(twin.shape, twin.classes, 1)
    val_X, val_y = rows_of(twin.shape, twin.classes, 2, 33)
    settings = {"epochs": EPOCHS, "batch": BATCH, "patience": PATIENCE, "rate": twin.rate}
    head: Any = make_head(twin.head, settings | twin.parameters)
    head.fit(X, y, (val_X, val_y), SEED)

    keras.utils.set_random_seed(SEED)
    network = twin.build(X, len(twin.classes))
    start = network.get_weights()
    loss = "binary_crossentropy" if network.output_shape[1] == 1 else "sparse_categorical_crossentropy"
    network.compile(keras.optimizers.Adam(twin.rate), loss, metrics=["accuracy"])
    random, history, best = np.random.default_rng(SEED), [], (np.inf, 0, start)
    targets, val_targets = (np.searchsorted(list(twin.classes), labels).astype(float)[:, None] for labels in (y, val_y))
    for epoch in range(1, EPOCHS + 1):
        order = random.permutation(len(X))
        trained = network.fit(X[order], targets[order], BATCH, shuffle=False, verbose=0).history
        val_loss, val_accuracy = network.evaluate(val_X, val_targets, 33, verbose=0)
        history.append((trained["loss"][0], trained["accuracy"][0], val_loss, val_accuracy))
        best = min(best, (val_loss, epoch, network.get_weights()), key=lambda entry: entry[0])
        if epoch - best[1] == PATIENCE:
            break
    network.set_weights(best[2])

    assert head.selected() == {"epochs": len(history), "best_epoch": best[1]}
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    curve = np.array([head.curve.series[name] for name in names]).T
    assert curve[:, ::2] == pytest.approx(np.array(history)[:, ::2], rel=1e-3)
    one_row = 1.01 / len(val_X)  # whose probabilities Keras rounds to equal ones
    assert curve[:, 1::2] == pytest.approx(np.array(history)[:, 1::2], abs=one_row)
    found, expected = head.network(twin.shape).get_weights(), network.get_weights()
    assert distance(found, expected) < 1e-3 * distance(start, expected)
    probabilities = network.predict(val_X, verbose=0)
    if probabilities.shape[1] == 1:
        probabilities = np.hstack([1 - probabilities, probabilities])
    assert head.predict_proba(val_X) == pytest.approx(probabilities, abs=1e-3)


@pytest.mark.parametrize("classes", ["ab", "abc", "abcdefg"])
@pytest.mark.parametrize("seed", range(3))
def test_the_logistic_head_is_that_of_scikit_learn(classes: str, seed: int) -> None:
    """The solver takes the same path; block by block, and with weights in float64, sums are rounded differently."""
    X, y = rows_of((40,), classes, seed)
    X *= np.random.default_rng(seed).uniform(0.01, 30, 40).astype(np.float32)
    X[:, 3] = 0.5  # its scale is 1
    with threadpool_limits(1, "blas"):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=1000)).fit(X, y)
    head: Any = make_head("logistic", {"C": 0.3})
    head.fit(X, y, None, seed)
    trained, expected = head._classifier, model[-1]
    assert trained.mean == pytest.approx(model[0].mean_, rel=1e-9)
    assert trained.scale == pytest.approx(model[0].scale_, rel=1e-9)
    assert trained.coefficients == pytest.approx(expected.coef_, abs=2e-6)
    assert trained.intercept == pytest.approx(expected.intercept_, abs=2e-6)
    assert head.predict_proba(X) == pytest.approx(model.predict_proba(X), abs=2e-6)


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("classes", ["ab", "abcd"])
def test_the_choice_of_C_is_that_of_a_plain_cross_validation(classes: str, views: int) -> None:
    """Each fold has a scaler of its own; the views of an image are in one fold.

    The head's solver starts from the last C and stops earlier, which shows in the losses of large C.
    """
    X, y = rows_of((20,), classes, 5, 120 // views)
    images = np.tile(np.arange(len(y)), views)
    X, y = X[images] + np.random.default_rng(0).normal(0, 0.3, (len(images), 20)).astype(np.float32), y[images]
    groups = images.astype(str) if views > 1 else None
    head = make_head("logistic")
    head.fit(X, y, None, 11, None, groups)
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = list(kind(5, shuffle=True, random_state=11).split(X, y, groups))
    losses, accuracies = [], []
    for C in head.curve.x:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000))
        answers = [(y[out], model.fit(X[fit], y[fit]).predict_proba(X[out].astype(np.float64))) for fit, out in folds]
        losses.append(np.mean([log_loss(truth, p, labels=list(classes)) for truth, p in answers]))
        labels = np.array(list(classes))
        accuracies.append(np.mean([accuracy_score(truth, labels[p.argmax(axis=1)]) for truth, p in answers]))
    assert head.curve.series["cv_log_loss"] == pytest.approx(losses, rel=5e-2)
    assert head.curve.series["cv_accuracy"] == pytest.approx(accuracies, abs=0.02)
    assert head.selected()["C"] == head.curve.x[int(np.argmin(losses))]
