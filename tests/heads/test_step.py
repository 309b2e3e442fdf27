"""One optimizer step: it is that of Keras, for every objective, and what it measures is the plain loss."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from featstore.heads.step import Group, Objective, Step, compile_step


def rows_of(count: int = 30, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(count, 6)).astype(np.float16).astype(np.float32), random.integers(0, classes, count)


def twins(outputs: int = 3, **options: Any) -> tuple[Any, Any]:
    """Return two networks with equal weights, penalties on weights and activities, and a BatchNormalization."""
    keras.utils.set_random_seed(0)
    image = keras.Input((6,))
    x = keras.layers.Dense(5, "relu", kernel_regularizer="l2", bias_regularizer="l1", name="base")(image)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dense(4, **{"activity_regularizer": keras.regularizers.L2(0.1), **options})(x)
    last = keras.layers.Dense(outputs, "sigmoid" if outputs == 1 else "softmax", kernel_regularizer="l2", name="head")
    model = keras.Model(image, last(x))
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    return model, other


def step_of(network: Any, *optimizers: Any) -> Step:
    """Return a step with one optimizer, or with one for the head and another for the rest."""
    if len(optimizers) == 1:
        return compile_step(network, [Group(optimizers[0], network.trainable_variables)])
    parts = network.trainable_variables[:-2], network.trainable_variables[-2:]
    return compile_step(network, [Group(o, part) for o, part in zip(optimizers, parts, strict=True)])


def same_weights(one: Any, other: Any, within: float = 1e-5) -> bool:
    return all(np.allclose(a, b, atol=within) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "clipped": lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_keras(name: str) -> None:
    """Steps, losses and correct rows equal those of `fit` on the same batches in the same order, with penalties."""
    X, y = rows_of()
    network, twin = twins()
    before = [weight.copy() for weight in network.get_weights()]
    step = step_of(network, OPTIMIZERS[name]())
    twin.compile(
        OPTIMIZERS[name](), "sparse_categorical_crossentropy", metrics=["sparse_categorical_crossentropy", "accuracy"]
    )
    for _ in range(2):
        sums = np.sum([[float(v) for v in step(X[i : i + 8], y[i : i + 8])] for i in range(0, 30, 8)], axis=0)
        history = twin.fit(X, y, 8, shuffle=False, verbose=0).history
        assert sums[0] / 30 == pytest.approx(history["sparse_categorical_crossentropy"][0], rel=1e-5)
        assert sums[1] / 30 == pytest.approx(history["accuracy"][0])
    assert same_weights(network, twin)
    assert not any(np.allclose(a, b) for a, b in zip(before, network.get_weights(), strict=True))


def test_one_column_is_a_step_down_the_binary_cross_entropy() -> None:
    """Keras trains a sigmoid in the same way."""
    X, y = rows_of(classes=2)
    network, twin = twins(1)
    twin.compile(keras.optimizers.SGD(0.1), "binary_crossentropy", metrics=["binary_crossentropy", "accuracy"])
    loss, right = (float(v) for v in step_of(network, keras.optimizers.SGD(0.1))(X, y))
    _, expected, accuracy = twin.train_on_batch(X, y[:, None])
    assert (loss / 30, right / 30) == (pytest.approx(expected, rel=1e-5), pytest.approx(accuracy))
    assert same_weights(network, twin)


def test_rows_of_either_dtype_make_the_same_step() -> None:
    """float16 is converted in the step; batches of both dtypes may follow each other."""
    X, y = rows_of()
    network, twin = twins()
    narrow, wide = step_of(network, keras.optimizers.SGD(0.1)), step_of(twin, keras.optimizers.SGD(0.1))
    for rows in (X[:8], X[8:30]):
        assert np.allclose(narrow(rows.astype(np.float16), y[: len(rows)]), wide(rows, y[: len(rows)]))
    narrow(X, y)
    wide(X, y)
    assert same_weights(network, twin)


def test_each_group_is_updated_by_its_own_optimizer() -> None:
    """With one backward pass for all, the head moves ten times as far as with the rate of the rest."""
    X, y = rows_of()
    network, twin = twins()
    before = [np.array(v) for v in network.trainable_variables]
    step_of(network, keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.1))(X, y)
    step_of(twin, keras.optimizers.SGD(0.01))(X, y)
    for place, (old, one, other) in enumerate(
        zip(before, network.trainable_variables, twin.trainable_variables, strict=True)
    ):
        factor = 10 if place >= len(before) - 2 else 1
        assert np.allclose(np.array(one) - old, factor * (np.array(other) - old), atol=1e-6)


def test_variables_without_a_group_are_not_changed() -> None:
    """Only the head's variables have an optimizer here."""
    X, y = rows_of()
    network, _ = twins()
    head, rest = network.trainable_variables[-2:], network.trainable_variables[:-2]
    before = [np.array(v) for v in (*rest, *head)]
    compile_step(network, [Group(keras.optimizers.SGD(0.1), head)])(X, y)
    same = [np.array_equal(old, np.array(v)) for old, v in zip(before, (*rest, *head), strict=True)]
    assert same == [True] * len(rest) + [False, False]


def test_a_scaled_loss_makes_the_same_step() -> None:
    """The scale keeps small gradients in the range of float16; it is removed before the update."""
    X, y = rows_of()
    network, twin = twins()
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9), initial_scale=1024)
    steps = step_of(network, scaled), step_of(twin, keras.optimizers.SGD(0.1, momentum=0.9))
    for _ in range(3):
        found, expected = ([float(v) for v in step(X, y)] for step in steps)
        assert found == pytest.approx(expected, rel=1e-5)
    assert same_weights(network, twin)


@pytest.mark.parametrize(
    "penalty",
    [
        None,
        "l2",
    ],
)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_layer_may_compute_in_another_precision(policy: str, penalty: str | None) -> None:
    """Its penalties have that precision too; the step is close to that of float32."""
    X, y = rows_of()
    network, _ = twins(dtype=policy, activity_regularizer=penalty)
    twin, _ = twins(activity_regularizer=penalty)
    found, expected = (float(step_of(model, keras.optimizers.SGD(0.1))(X, y)[0]) for model in (network, twin))
    assert found == pytest.approx(expected, rel=0.02)
    assert same_weights(network, twin, within=0.02)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_sure_mistake_is_learnt_as_by_keras(outputs: int, policy: str) -> None:
    """In float32 its probability is 0 or 1, where a loss of the probability has no gradient; that of the logit is 1."""
    X, y = np.eye(8, dtype=np.float32), np.zeros(8, np.intp)
    networks = [sure(outputs, policy) for _ in range(2)]
    network, twin = networks
    loss, right = (float(v) for v in step_of(network, keras.optimizers.SGD(1.0))(X, y))
    twin.compile(
        keras.optimizers.SGD(1.0), "binary_crossentropy" if outputs == 1 else "sparse_categorical_crossentropy"
    )
    expected = twin.train_on_batch(X, y[:, None])
    assert (loss / 8, right) == (pytest.approx(40), 0)
    assert expected == pytest.approx(40)
    assert same_weights(network, twin)
    moved = np.abs(network.get_weights()[0] - sure(outputs, policy).get_weights()[0])
    assert moved[:, -1] == pytest.approx(1 / 8, rel=1e-3)


def sure(outputs: int, policy: str) -> Any:
    """Return a network that is sure of the last class, by a logit of 40, with its head nested as in fine-tuning."""
    last = keras.layers.Dense(outputs, "sigmoid" if outputs == 1 else "softmax", name="last")
    head = keras.Sequential([keras.Input((8,)), last])
    image = keras.Input((8,))
    network = keras.Model(image, head(keras.layers.Activation("linear", dtype=policy)(image)))
    kernel = np.zeros((8, outputs))
    kernel[:, -1] = 40
    last.set_weights([kernel, np.zeros(outputs)])
    return network


WEIGHTS = np.array([0.5, 2.0, 1.0], np.float32)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("objective", [Objective(0.3), Objective(0.0, WEIGHTS), Objective(0.3, WEIGHTS)])
def test_an_objective_is_that_of_keras_and_the_plain_loss_is_measured(outputs: int, objective: Objective) -> None:
    """Label smoothing and class weights change the step as in `fit`, and neither loss nor accuracy."""
    classes = max(outputs, 2)
    X, y = rows_of(classes=classes)
    network, twin = twins(outputs)
    start, _ = twins(outputs)
    kind = keras.losses.BinaryCrossentropy if outputs == 1 else keras.losses.CategoricalCrossentropy
    twin.compile(keras.optimizers.SGD(0.1), kind(label_smoothing=objective.smoothing))
    targets = y[:, None].astype(float) if outputs == 1 else np.eye(3)[y]
    weights = None if objective.class_weights is None else objective.class_weights[y]
    twin.train_on_batch(X, targets, sample_weight=weights)
    group = Group(keras.optimizers.SGD(0.1), network.trainable_variables)
    found = [float(v) for v in compile_step(network, [group], objective)(X, y)]
    assert same_weights(network, twin)
    plain = [float(v) for v in step_of(start, keras.optimizers.SGD(0.1))(X, y)]
    assert found == pytest.approx(plain)


@pytest.mark.parametrize("outputs", [1, 3])
def test_mixup_is_a_step_on_mixed_rows_and_mixed_targets(outputs: int) -> None:
    """The batch is measured unmixed, in inference mode, before the step."""
    classes = max(outputs, 2)
    X, y = rows_of(classes=classes)
    network, twin = twins(outputs)
    random = np.random.default_rng(1)
    partners, shares = random.permutation(len(X)), random.beta(0.4, 0.4, len(X)).astype(np.float32)
    p = np.asarray(network(X, training=False), np.float64)
    p = np.hstack([1 - p, p]) if outputs == 1 else p
    found = [float(v) for v in step_of(network, keras.optimizers.SGD(0.1))(X, y, partners, shares)]
    assert found == pytest.approx([-np.log(p[np.arange(30), y]).sum(), (p.argmax(axis=1) == y).sum()], rel=1e-4)
    column, hot = shares[:, None], np.eye(classes)
    targets = column * hot[y] + (1 - column) * hot[y[partners]]
    kind = keras.losses.BinaryCrossentropy if outputs == 1 else keras.losses.CategoricalCrossentropy
    twin.compile(keras.optimizers.SGD(0.1), kind())
    twin.train_on_batch(column * X + (1 - column) * X[partners], targets[:, 1:] if outputs == 1 else targets)
    assert same_weights(network, twin)
