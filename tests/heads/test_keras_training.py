"""The training of the Keras heads: its length, its rate, and what its parameters change."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from featstore.errors import UsageError
from featstore.heads.keras_head import Limits
from featstore.heads.optimizers import make_optimizer, make_rate
from featstore.heads.registry import make_head


def rows(count: int = 40, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(count) % classes
    return (random.normal(size=(classes, 6))[labels] + random.normal(size=(count, 6))).astype(np.float32), labels


def fitted(validated: bool = True, **parameters: Any) -> Any:
    head = make_head("linear", {"epochs": 3, "batch": 16, "rate": 0.01, **parameters})
    X, y = rows()
    head.fit(X, y, (X[:15], y[:15]) if validated else None, 0)
    return head


@pytest.mark.parametrize(
    ("count", "parameters", "limits"),
    [
        (45, {}, (3000, 300)),  # a step in each epoch
        (450, {}, (375, 38)),
        (60_000, {}, (30, 10)),
        (45, {"batch": 8}, (500, 50)),
        (45, {"epochs": 20}, (20, 300)),
        (45, {"patience": 5}, (3000, 5)),
        (45, {"schedule": "cosine"}, (3000, 3000)),  # the rate has to reach its end
        (45, {"schedule": "one-cycle", "epochs": 20, "patience": 4}, (20, 4)),
        (45, {"schedule": "plateau"}, (3000, 300)),
    ],
)
def test_a_training_is_as_long_in_steps_for_few_rows_as_for_many(
    count: int, parameters: dict[str, Any], limits: tuple[int, int]
) -> None:
    """What the user says holds."""
    assert make_head("mlp", parameters).limits_for(count) == Limits(*limits)  # type: ignore[attr-defined]


def test_the_rate_of_each_schedule() -> None:
    """The highest is `rate`; those that fall reach 0 at the last step."""
    steps = [0, 15, 30, 65, 100]

    def course(schedule: str) -> list[float]:
        rate = make_rate(make_head("mlp", {"schedule": schedule, "rate": 0.1}), 100)  # type: ignore[arg-type]
        return [float(rate(step)) if callable(rate) else rate for step in steps]

    assert course("constant") == course("plateau") == [0.1] * 5
    assert course("cosine") == pytest.approx([0.05 * (1 + np.cos(np.pi * step / 100)) for step in steps])
    assert course("one-cycle") == pytest.approx([0.004, 0.052, 0.1, 0.05, 0], abs=1e-7)


def test_a_plateau_lowers_the_rate() -> None:
    """A rate that is far too high makes no epoch better than the first ones."""
    head = make_head("linear", {"epochs": 12, "patience": 12, "rate": 50.0, "schedule": "plateau", "batch": 16})
    X, y = rows()
    seen: list[float] = []
    begin = head.begin  # type: ignore[attr-defined]

    def watched(*given: Any) -> Any:
        start = begin(*given)
        optimizers.append(start.optimizer)
        return start

    optimizers: list[Any] = []
    head.begin = watched  # type: ignore[attr-defined]
    head.fit(X, y, (X, -y + 2), 0, lambda *_: seen.append(float(optimizers[0].learning_rate)))
    assert seen[0] == 50
    assert seen[-1] == pytest.approx(10)


OPTIMIZERS: dict[str, tuple[dict[str, Any], Any]] = {
    "adam": ({"optimizer": "adam"}, lambda: keras.optimizers.Adam(0.1)),
    "adamw": ({"optimizer": "adamw"}, lambda: keras.optimizers.AdamW(0.1)),
    "decayed": ({"weight_decay": 0.3}, lambda: keras.optimizers.AdamW(0.1, weight_decay=0.3)),
    "sgd": ({"optimizer": "sgd"}, lambda: keras.optimizers.SGD(0.1, momentum=0.9)),
    "plain": ({"optimizer": "sgd", "momentum": 0.0}, lambda: keras.optimizers.SGD(0.1)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_are_those_of_keras(name: str) -> None:
    """The weight decay spares biases, and the scale and shift of BatchNormalization."""
    parameters, make = OPTIMIZERS[name]
    found, expected = make_optimizer(make_head("mlp", parameters), 0.1), make()  # type: ignore[arg-type]
    expected.exclude_from_weight_decay(var_names=["bias"])
    results = []
    for optimizer in (found, expected):
        layer = keras.layers.Dense(2, kernel_initializer="ones", bias_initializer="ones")
        layer.build((None, 3))
        for step in range(3):
            optimizer.apply([np.full(v.shape, step + 1.0, np.float32) for v in layer.weights], layer.weights)
        results.append([np.array(v) for v in layer.weights])
    for one, other in zip(*results, strict=True):
        assert one == pytest.approx(other, rel=1e-6)


def test_the_monitor_chooses_the_epoch() -> None:
    """It is in the curve, and the epoch is the best by it, with the smaller loss among equals."""
    head = fitted(epochs=30, patience=30, rate=0.3, monitor="macro_f1")
    series = head.curve.series
    ranks = list(zip(series["val_macro_f1"], [-loss for loss in series["val_loss"]], strict=True))
    assert head.selected()["best_epoch"] == 1 + ranks.index(max(ranks))


OBJECTIVES = [{"label_smoothing": 0.3}, {"class_weights": "balanced"}, {"class_weights": {"0": 5.0}}, {"mixup": 0.4}]


@pytest.mark.parametrize("parameters", OBJECTIVES)
def test_the_first_step_is_measured_alike_whatever_it_lowers(parameters: dict[str, Any]) -> None:
    """One epoch of one step: loss and accuracy are those of the untrained network on the rows as they are."""
    one, other = (fitted(epochs=1, batch=64, optimizer="sgd", rate=1.0, **more) for more in ({}, parameters))
    for figure in ("loss", "accuracy"):
        assert one.curve.series[figure] == pytest.approx(other.curve.series[figure], rel=1e-5)
    assert not np.allclose(one.predict_proba(rows()[0]), other.predict_proba(rows()[0]), atol=1e-6)


def test_names_of_classes_are_those_of_the_data() -> None:
    """`HeadFit` tells them; without names a class is its number."""
    X, y = rows()
    head = make_head("linear", {"epochs": 1, "class_weights": "b=3"})
    with pytest.raises(UsageError, match="unknown class in class_weights 'b'"):
        head.fit(X, y, None, 0)
    head.name_classes(("a", "b", "c"))  # type: ignore[attr-defined]
    head.fit(X, y, None, 0)
    by_number = fitted(False, epochs=1, batch=64, rate=3e-4, class_weights="1=3")
    assert np.array_equal(head.predict_proba(X), by_number.predict_proba(X))


def test_a_scaled_head_scales_as_scikit_learn_does() -> None:
    """A feature that does not vary, and one with a large mean, are no trouble."""
    from sklearn.preprocessing import StandardScaler

    X, y = rows()
    X[:, 2], X[:, 3] = 7.0, X[:, 3] + 100
    head: Any = make_head("linear", {"epochs": 1})
    head.fit(X, y, None, 0)
    scaled = keras.Sequential(head._model.layers[:2])(X)
    assert np.asarray(scaled) == pytest.approx(StandardScaler().fit_transform(X.astype(float)), abs=1e-4)


def test_a_small_set_is_not_cut_off() -> None:
    """54 rows are one step in each epoch. Ten epochs of patience end the training at the accuracy of chance.

    The mean of the features is far from 0, as after a ReLU, and without scaling BatchNormalization has to learn it.
    """
    unscaled = {"units": 32, "p": 0.3, "scaling": "none"}
    assert accuracy_on_few(30, **unscaled, patience=10) < 0.6
    assert accuracy_on_few(30, **unscaled, epochs=1000) > 0.9


def test_bn_dropout_learns_few_rows_with_its_defaults() -> None:
    """Without scaling the dropout of features that lie far above 0 is noise in which 54 rows get lost: 0.77."""
    assert accuracy_on_few(30) > 0.95


def accuracy_on_few(mean: float, **parameters: Any) -> float:
    """Return the accuracy of `bn-dropout` after 54 rows of three classes whose features have the mean `mean`."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(3, 64))

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % 3
        return (mean + centres[labels] + random.normal(size=(count, 64))).astype(np.float32), labels

    (X, y), validation, (new, right) = draw(54), draw(18), draw(300)
    head = make_head("bn-dropout", parameters)
    head.fit(X, y, validation, 0)
    return float((head.predict_proba(new).argmax(axis=1) == right).mean())


@pytest.mark.parametrize("learn", ["yes", "no"])
def test_cosine_stays_within_its_scale(learn: str) -> None:
    """Class weights have the length 1 from the first step on; the factor moves only if it is learned."""
    X, y = rows()
    head: Any = make_head("cosine", {"epochs": 5, "rate": 0.1, "scale": 4.0, "learn_scale": learn})
    head.fit(X, y, None, 0)
    weights = head._model.get_weights()
    assert np.linalg.norm(weights[0], axis=0) == pytest.approx(np.ones(3), rel=1e-5)
    assert len(weights) == (2 if learn == "yes" else 1)
    logits = np.log(head.predict_proba(X))
    spread = (logits.max(axis=1) - logits.min(axis=1)).max()
    assert spread < 8 * (float(weights[1].squeeze()) if learn == "yes" else 1) + 1e-4
