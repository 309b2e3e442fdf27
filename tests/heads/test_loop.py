"""The training loop: when it ends, which weights are left, what it notes, and that a step is that of Keras."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import pytest

from featstore.errors import UsageError
from featstore.heads.loop import Batch, Group, Step, Training, compile_step, each_class, loss_and_accuracy

NAN = float("nan")


class Counted:
    """A training of a network with one weight, which counts the steps: two in each epoch, on 3 rows and on 1.

    A row's loss is 100 in the first step and 10 less in each further one; one row of each batch is right. `losses` are
    the answers of the validation, one after the other, `step_losses` those of single steps; what is an exception is
    raised.
    """

    def __init__(
        self,
        losses: Sequence[float | BaseException] = (),
        step_losses: dict[int, float | BaseException] | None = None,
        weight: float = 0.0,
    ) -> None:
        layer = keras.layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(weight))
        self.network = keras.Sequential([keras.Input((1,)), layer])
        self.training = Training(self.network, self._step, "head x at rate 2")
        self.epochs: list[int] = []
        self._losses, self._step_losses, self._steps = iter(losses), step_losses or {}, 0

    @property
    def weight(self) -> float:
        return float(self.network.get_weights()[0].sum())

    def run(self, epochs: int = 10, patience: int = 10, validated: bool = True, **options: Any) -> Training:
        self.training.run(self._batches, self._validate if validated else None, epochs, patience, **options)
        return self.training

    def _batches(self, epoch: int) -> Iterable[Batch]:
        self.epochs.append(epoch)
        for n in (3, 1):
            yield np.ones((n, 1), np.float32), np.zeros(n, np.intp)

    def _validate(self) -> Any:
        return np.array([given(next(self._losses)), 0.5])

    def _step(self, rows: Any, targets: Any) -> tuple[float, float]:
        loss = given(self._step_losses.get(self._steps, 100.0 - 10 * self._steps))
        self._steps += 1
        self.network.set_weights([weight + 1 for weight in self.network.get_weights()])
        return loss * len(rows), 1.0


def given(loss: float | BaseException) -> float:
    if isinstance(loss, BaseException):
        raise loss
    return loss


def lengths(training: Training) -> set[int]:
    """Of what was noted, and of the curve; a curve with series of several lengths cannot be saved."""
    curve = training.curve
    assert curve.x_name == "epoch"
    assert curve.series == training.history
    return {len(curve.x), *map(len, training.history.values())}


def test_training_ends_when_the_validation_loss_has_not_fallen_for_so_many_epochs() -> None:
    """And the weights of the best epoch are put back; a loss that stays has not fallen."""
    found = Counted([3, 2, 2, 2.5, 1])
    training = found.run(patience=2)
    assert training.history["val_loss"] == [3, 2, 2, 2.5]
    assert (training.best_epoch, training.epochs, found.weight) == (2, 4, 4)
    assert found.epochs == [1, 2, 3, 4]


def test_every_better_epoch_renews_the_patience() -> None:
    """What counts is the distance from the best one."""
    training = Counted([5, 6, 4, 6, 3, 7, 8, 1]).run(patience=2)
    assert training.history["val_loss"] == [5, 6, 4, 6, 3, 7, 8]
    assert training.best_epoch == 5


def test_without_validation_all_epochs_are_run() -> None:
    """The last weights stay, and the history says nothing of a validation."""
    found = Counted()
    training = found.run(epochs=4, patience=1, validated=False)
    assert set(training.history) == {"loss", "accuracy"}
    assert (training.best_epoch, training.epochs, found.weight) == (4, 4, 8)


def test_the_history_has_the_means_over_the_rows_of_each_epoch() -> None:
    """Batches count by their rows: 3 of loss 100 and 1 of loss 90, then 3 of 80 and 1 of 70."""
    training = Counted([2, 1]).run(epochs=2)
    assert training.history == {
        "loss": [97.5, 77.5],
        "accuracy": [0.5, 0.5],
        "val_loss": [2, 1],
        "val_accuracy": [0.5, 0.5],
    }
    assert training.curve.x == [1, 2]
    assert lengths(training) == {2}


def test_progress_is_told_after_each_epoch() -> None:
    """(epochs done, epochs at the most), also in that which ends the training."""
    seen: list[tuple[int, int]] = []
    Counted([1, 2]).run(epochs=7, patience=1, on_step=lambda done, most: seen.append((done, most)))
    assert seen == [(1, 7), (2, 7)]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(), ValueError("no memory")])
def test_the_best_weights_are_put_back_after_an_interruption(stop: BaseException) -> None:
    """In the second batch of the fourth epoch, whatever it is; the history ends with the third."""
    found = Counted([3, 1, 2], {7: stop})
    with pytest.raises(type(stop)):
        found.run()
    assert (found.training.best_epoch, found.training.epochs, found.weight) == (2, 3, 4)
    assert lengths(found.training) == {3}


@pytest.mark.parametrize("trained_before", [False, True])
def test_an_interruption_while_validating_leaves_a_curve_that_can_be_saved(trained_before: bool) -> None:
    """The epoch whose validation did not end is in none of its series."""
    found = Counted([3, 1, KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        found.run(trained_before=trained_before)
    assert (found.training.best_epoch, found.weight) == ((1, 2) if trained_before else (2, 4))
    assert lengths(found.training) == {2}


def test_a_trained_network_is_the_one_to_be_beaten() -> None:
    """It is validated as epoch 0, with no loss of a training, and comes back where no epoch is better."""
    found = Counted([2, 3, 2.5, 4, 1], weight=50)
    training = found.run(patience=3, trained_before=True)
    assert (training.best_epoch, training.epochs, found.weight) == (0, 3, 50)
    assert training.history["val_loss"] == [2, 3, 2.5, 4]
    assert training.history["loss"] == pytest.approx([NAN, 97.5, 77.5, 57.5], nan_ok=True)
    assert training.curve.x == [0, 1, 2, 3]
    assert lengths(training) == {4}


def test_a_trained_network_can_be_beaten() -> None:
    """By a smaller loss in a later epoch, whose weights are put back then."""
    found = Counted([2, 3, 1, 4], weight=50)
    training = found.run(epochs=3, trained_before=True)
    assert (training.best_epoch, training.epochs, found.weight) == (2, 3, 54)
    assert found.epochs == [1, 2, 3]


@pytest.mark.parametrize("validated", [False, True])
def test_a_trained_network_comes_back_when_the_first_epoch_is_cut_off(validated: bool) -> None:
    """Half an epoch is worth nothing."""
    found = Counted([2], {1: KeyboardInterrupt()}, weight=50)
    with pytest.raises(KeyboardInterrupt):
        found.run(trained_before=True, validated=validated)
    assert (found.training.best_epoch, found.training.epochs, found.weight) == (0, 0, 50)


def test_a_trained_network_stays_when_it_is_stopped_before_it_is_known() -> None:
    """No epoch has been run then."""
    found = Counted([KeyboardInterrupt()], weight=50)
    with pytest.raises(KeyboardInterrupt):
        found.run(trained_before=True)
    assert (found.training.best_epoch, found.training.epochs, found.weight) == (0, 0, 50)


def test_a_trained_network_goes_on_for_all_epochs_without_validation() -> None:
    """There is no epoch 0 then, for nothing is known of it."""
    found = Counted(weight=50)
    training = found.run(epochs=3, validated=False, trained_before=True)
    assert (training.best_epoch, training.epochs, found.weight) == (3, 3, 56)
    assert training.curve.x == [1, 2, 3]


def test_without_validation_the_last_whole_epoch_comes_back() -> None:
    """`best_epoch` is the one whose weights the network has, in whatever way the training ends."""
    found = Counted(step_losses={5: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        found.run(validated=False)
    assert (found.training.best_epoch, found.weight) == (2, 4)


@pytest.mark.parametrize("loss", [NAN, float("inf")])
@pytest.mark.parametrize("where", ["training", "validation", "epoch 0"])
def test_a_loss_that_is_no_number_names_the_cure(loss: float, where: str) -> None:
    """And the best weights before it are put back."""
    losses: dict[str, list[float | BaseException]] = {"training": [2, 1], "validation": [2, 1, loss], "epoch 0": [loss]}
    found = Counted(losses[where], {2: loss} if where == "training" else None, weight=50)
    with pytest.raises(UsageError, match=r"^head x at rate 2: training diverged: .* not finite; lower the rate$"):
        found.run(trained_before=True)
    assert (found.training.best_epoch, found.weight) == ((0, 50) if where == "epoch 0" else (1, 52))


def test_before_it_is_run_a_training_has_no_history() -> None:
    """A curve without points, and no best epoch."""
    training = Counted().training
    assert (training.history, training.best_epoch, training.epochs) == ({}, 0, 0)
    assert training.curve.x == []


def rows_of(count: int = 30, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(count, 6)).astype(np.float16).astype(np.float32), random.integers(0, classes, count)


def twins(outputs: int = 3, **options: Any) -> tuple[Any, Any]:
    """Two networks with the same weights, penalties on weights and activities, and a BatchNormalization."""
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
    """A step with one optimizer, or with one for all but the head and another for that."""
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
    """Of `fit` on the same batches in the same order, penalties included; so are the loss and the right answers."""
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
    """As Keras trains a sigmoid."""
    X, y = rows_of(classes=2)
    network, twin = twins(1)
    twin.compile(keras.optimizers.SGD(0.1), "binary_crossentropy", metrics=["binary_crossentropy", "accuracy"])
    loss, right = (float(v) for v in step_of(network, keras.optimizers.SGD(0.1))(X, y))
    _, expected, accuracy = twin.train_on_batch(X, y[:, None])
    assert (loss / 30, right / 30) == (pytest.approx(expected, rel=1e-5), pytest.approx(accuracy))
    assert same_weights(network, twin)


def test_rows_of_either_width_make_the_same_step() -> None:
    """float16 travels as such and is widened at its goal; batches of both may follow each other."""
    X, y = rows_of()
    network, twin = twins()
    narrow, wide = step_of(network, keras.optimizers.SGD(0.1)), step_of(twin, keras.optimizers.SGD(0.1))
    for rows in (X[:8], X[8:30]):
        assert np.allclose(narrow(rows.astype(np.float16), y[: len(rows)]), wide(rows, y[: len(rows)]))
    narrow(X, y)
    wide(X, y)
    assert same_weights(network, twin)


def test_each_group_is_moved_by_its_own_optimizer() -> None:
    """By one backward pass for all: the head ten times as far as with the rate of the rest."""
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


def test_what_no_group_has_stays_as_it_is() -> None:
    """Only the head's variables are given to an optimizer here."""
    X, y = rows_of()
    network, _ = twins()
    head, rest = network.trainable_variables[-2:], network.trainable_variables[:-2]
    before = [np.array(v) for v in (*rest, *head)]
    compile_step(network, [Group(keras.optimizers.SGD(0.1), head)])(X, y)
    same = [np.array_equal(old, np.array(v)) for old, v in zip(before, (*rest, *head), strict=True)]
    assert same == [True] * len(rest) + [False, False]


def test_a_scaled_loss_makes_the_same_step() -> None:
    """The scale is for numbers that float16 cannot hold; it is taken out before the weights are moved."""
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
    """Its penalties come in it as well; the step is about that of float32."""
    X, y = rows_of()
    network, _ = twins(dtype=policy, activity_regularizer=penalty)
    twin, _ = twins(activity_regularizer=penalty)
    found, expected = (float(step_of(model, keras.optimizers.SGD(0.1))(X, y)[0]) for model in (network, twin))
    assert found == pytest.approx(expected, rel=0.02)
    assert same_weights(network, twin, within=0.02)


def test_a_column_stands_for_the_second_of_two_classes() -> None:
    """More columns stay as they are."""
    column, columns = np.array([[0.25], [1.0]], np.float32), np.array([[0.2, 0.3, 0.5]], np.float32)
    assert np.array_equal(each_class(column), [[0.75, 0.25], [0.0, 1.0]])
    assert np.array_equal(each_class(columns), columns)


def test_loss_and_accuracy_of_probabilities() -> None:
    """Nats on average, no probability counting as less than 1e-7, and the share of right answers."""
    probabilities = np.array([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    found = loss_and_accuracy(probabilities, np.array([0, 2, 0, 1]))
    assert found == pytest.approx([-(np.log(0.5) + np.log(0.7) + np.log(1e-7)) / 4, 0.75])
