"""The training loop: its end, the final weights, and the history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import pytest

from featstore.errors import UsageError
from featstore.heads.loop import Training, divide
from featstore.heads.step import Batch

NAN = float("nan")


class Counted:
    """A training of a network with one weight, which counts the steps: two in each epoch, with 3 rows and with 1.

    The loss of a row is 100 in the first step and 10 less in each further one. One row of each batch is correct.

    losses: validation losses in order; an exception among them is raised.
    step_losses: losses or exceptions of single steps.
    """

    def __init__(
        self,
        losses: Sequence[float | dict[str, float] | BaseException] = (),
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
        found = given(next(self._losses))
        return found if isinstance(found, dict) else {"loss": found, "accuracy": 0.5}

    def _step(self, rows: Any, targets: Any) -> tuple[float, float]:
        loss = given(self._step_losses.get(self._steps, 100.0 - 10 * self._steps))
        self._steps += 1
        self.network.set_weights([weight + 1 for weight in self.network.get_weights()])
        return loss * len(rows), 1.0


def given(loss: Any) -> Any:
    if isinstance(loss, BaseException):
        raise loss
    return loss


def lengths(training: Training) -> set[int]:
    """Return the lengths of the history and the curve; a curve with several lengths cannot be saved."""
    curve = training.curve
    assert curve.x_name == "epoch"
    assert curve.series == training.history
    return {len(curve.x), *map(len, training.history.values())}


@pytest.mark.parametrize(
    ("rows", "batch", "sizes"),
    [
        (0, 4, []),
        (1, 4, [1]),
        (2, 4, [2]),
        (4, 4, [4]),
        (5, 4, [5]),
        (6, 4, [4, 2]),
        (9, 4, [4, 5]),
        (3, 2, [3]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_a_last_batch_of_one_row_joins_the_batch_before(rows: int, batch: int, sizes: list[int]) -> None:
    """All rows come once and in order; batches of one are made only where they are asked for."""
    places = [list(range(rows))[place] for place in divide(rows, batch)]
    assert [len(place) for place in places] == sizes
    assert [row for place in places for row in place] == list(range(rows))


def test_training_ends_when_the_validation_loss_has_not_fallen_for_patience_epochs() -> None:
    """The weights of the best epoch are restored; an equal loss has not fallen."""
    found = Counted([3, 2, 2, 2.5, 1])
    training = found.run(patience=2)
    assert training.history["val_loss"] == [3, 2, 2, 2.5]
    assert (training.best_epoch, training.epochs, found.weight) == (2, 4, 4)
    assert found.epochs == [1, 2, 3, 4]


def test_every_better_epoch_renews_the_patience() -> None:
    """Epochs are counted from the best one."""
    training = Counted([5, 6, 4, 6, 3, 7, 8, 1]).run(patience=2)
    assert training.history["val_loss"] == [5, 6, 4, 6, 3, 7, 8]
    assert training.best_epoch == 5


def test_the_monitored_figure_chooses_the_epoch_and_the_loss_where_it_is_equal() -> None:
    """An accuracy on few images is often equal; the epoch with the smaller loss is then better, and waiting ends."""
    pairs = [(0.5, 1.0), (1.0, 3.0), (1.0, 2.0), (0.75, 0.5), (1.0, 2.0), (1.0, 2.5)]
    found = Counted([{"loss": loss, "accuracy": accuracy} for accuracy, loss in pairs])
    training = found.run(epochs=6, patience=3, monitor="accuracy")
    assert (training.best_epoch, training.epochs, found.weight) == (3, 6, 6)


def test_a_third_figure_is_in_the_history() -> None:
    """It has the name of the others, with `val_` before it."""
    figures = [{"loss": 1.0, "accuracy": 0.5, "macro_f1": f1} for f1 in (0.2, 0.6, 0.4)]
    training = Counted(figures).run(epochs=3, monitor="macro_f1")
    assert training.history["val_macro_f1"] == [0.2, 0.6, 0.4]
    assert training.best_epoch == 2
    assert lengths(training) == {3}


@pytest.mark.parametrize(("validated", "waits"), [(True, [1, 1, 2]), (False, [1])])
def test_waiting_is_told_after_each_epoch_that_is_not_better(validated: bool, waits: list[int]) -> None:
    """Without validation the training loss says which is better; the last epoch stays all the same."""
    seen: list[int] = []
    found = Counted([3, 4, 2, 2, 5], {6: 500.0} if not validated else None)
    training = found.run(epochs=5, validated=validated, on_wait=seen.append)
    assert seen == waits
    assert training.best_epoch == (3 if validated else 5)


def test_without_validation_all_epochs_are_run() -> None:
    """The last weights stay, and the history has no validation."""
    found = Counted()
    training = found.run(epochs=4, patience=1, validated=False)
    assert set(training.history) == {"loss", "accuracy"}
    assert (training.best_epoch, training.epochs, found.weight) == (4, 4, 8)


def test_the_history_has_the_means_over_the_rows_of_each_epoch() -> None:
    """Batches are weighted by their rows: 3 of loss 100 and 1 of loss 90, then 3 of 80 and 1 of 70."""
    training = Counted([2, 1]).run(epochs=2)
    assert training.history == {
        "loss": [97.5, 77.5],
        "accuracy": [0.5, 0.5],
        "val_loss": [2, 1],
        "val_accuracy": [0.5, 0.5],
    }
    assert training.curve.x == [1, 2]
    assert lengths(training) == {2}


def test_progress_is_reported_after_each_epoch() -> None:
    """The report is (epochs done, most epochs), also after the last one."""
    seen: list[tuple[int, int]] = []
    Counted([1, 2]).run(epochs=7, patience=1, on_step=lambda done, most: seen.append((done, most)))
    assert seen == [(1, 7), (2, 7)]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(), ValueError("no memory")])
def test_the_best_weights_are_restored_after_an_interruption(stop: BaseException) -> None:
    """Any exception in the second batch of the fourth epoch leaves the history of three."""
    found = Counted([3, 1, 2], {7: stop})
    with pytest.raises(type(stop)):
        found.run()
    assert (found.training.best_epoch, found.training.epochs, found.weight) == (2, 3, 4)
    assert lengths(found.training) == {3}


@pytest.mark.parametrize("trained_before", [False, True])
def test_an_interruption_while_validating_leaves_a_curve_that_can_be_saved(trained_before: bool) -> None:
    """The epoch with the incomplete validation is in none of the series."""
    found = Counted([3, 1, KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        found.run(trained_before=trained_before)
    assert (found.training.best_epoch, found.weight) == ((1, 2) if trained_before else (2, 4))
    assert lengths(found.training) == {2}


def test_the_weights_of_a_trained_network_stay_if_no_epoch_is_better() -> None:
    """The network is validated as epoch 0, without a training loss, and its weights are restored."""
    found = Counted([2, 3, 2.5, 4, 1], weight=50)
    training = found.run(patience=3, trained_before=True)
    assert (training.best_epoch, training.epochs, found.weight) == (0, 3, 50)
    assert training.history["val_loss"] == [2, 3, 2.5, 4]
    assert training.history["loss"] == pytest.approx([NAN, 97.5, 77.5, 57.5], nan_ok=True)
    assert training.curve.x == [0, 1, 2, 3]
    assert lengths(training) == {4}


def test_a_trained_network_can_be_beaten() -> None:
    """A later epoch with a smaller loss has the final weights."""
    found = Counted([2, 3, 1, 4], weight=50)
    training = found.run(epochs=3, trained_before=True)
    assert (training.best_epoch, training.epochs, found.weight) == (2, 3, 54)
    assert found.epochs == [1, 2, 3]


@pytest.mark.parametrize("validated", [False, True])
def test_a_trained_network_is_restored_if_the_first_epoch_is_interrupted(validated: bool) -> None:
    """An incomplete epoch does not count."""
    found = Counted([2], {1: KeyboardInterrupt()}, weight=50)
    with pytest.raises(KeyboardInterrupt):
        found.run(trained_before=True, validated=validated)
    assert (found.training.best_epoch, found.training.epochs, found.weight) == (0, 0, 50)


def test_a_trained_network_stays_if_its_first_validation_is_interrupted() -> None:
    """No epoch has been run."""
    found = Counted([KeyboardInterrupt()], weight=50)
    with pytest.raises(KeyboardInterrupt):
        found.run(trained_before=True)
    assert (found.training.best_epoch, found.training.epochs, found.weight) == (0, 0, 50)


def test_a_trained_network_is_trained_for_all_epochs_without_validation() -> None:
    """There is no epoch 0, since it has no loss."""
    found = Counted(weight=50)
    training = found.run(epochs=3, validated=False, trained_before=True)
    assert (training.best_epoch, training.epochs, found.weight) == (3, 3, 56)
    assert training.curve.x == [1, 2, 3]


def test_without_validation_the_last_complete_epoch_is_restored() -> None:
    """`best_epoch` is the epoch whose weights the network has, also after an interruption."""
    found = Counted(step_losses={5: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        found.run(validated=False)
    assert (found.training.best_epoch, found.weight) == (2, 4)


@pytest.mark.parametrize("loss", [NAN, float("inf")])
@pytest.mark.parametrize("where", ["training", "validation", "epoch 0"])
def test_a_loss_that_is_not_finite_names_the_remedy(loss: float, where: str) -> None:
    """The best weights before it are restored."""
    losses: dict[str, list[float | BaseException]] = {"training": [2, 1], "validation": [2, 1, loss], "epoch 0": [loss]}
    found = Counted(losses[where], {2: loss} if where == "training" else None, weight=50)
    with pytest.raises(UsageError, match=r"^head x at rate 2: training diverged: .* not finite; lower the rate$"):
        found.run(trained_before=True)
    assert (found.training.best_epoch, found.weight) == ((0, 50) if where == "epoch 0" else (1, 52))


def test_before_it_is_run_a_training_has_no_history() -> None:
    """The curve has no points, and there is no best epoch."""
    training = Counted().training
    assert (training.history, training.best_epoch, training.epochs) == ({}, 0, 0)
    assert training.curve.x == []
