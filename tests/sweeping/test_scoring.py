"""The score of a trial: answers for images that its head has not seen, raced and timed; paths are heads one by one."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

from featstore.evaluation.temperature import choose_temperature, scale
from featstore.heads.registry import make_head
from featstore.sweeping import scoring, wide_linear
from featstore.sweeping.pool import Fold, Pool, PoolFeatures
from featstore.sweeping.scoring import Search, means_of_fold, score_task
from featstore.sweeping.space import SPACES
from featstore.sweeping.trials import Trial

N, WIDTH, CLASSES = 120, 12, 3


def make_pool(folds: int = 4) -> Pool:
    places = np.arange(N)
    parts = [(places % folds == k, places % folds == (k + 1) % folds) for k in range(folds)]
    return Pool(
        (),
        ("a", "b", "c"),
        places % CLASSES,
        places.astype(str),
        tuple(Fold(*map(np.flatnonzero, (~held & ~val, val, held))) for held, val in parts),
    )


def make_features(seed: int = 0, signal: float = 1.0) -> PoolFeatures:
    random = np.random.default_rng(seed)
    X = random.normal(size=(N, 1, WIDTH)).astype(np.float32)
    X[np.arange(N), 0, np.arange(N) % CLASSES] += signal
    return PoolFeatures(X, None, 0)


def make_search(**changed: Any) -> Search:
    return Search(make_pool(), "log-loss", None, "probabilities", False, {}, 0, math.inf)._replace(**changed)


@pytest.mark.parametrize("name", ["logistic", "ridge", "lda"])  # that of `linear` has a test of its own
def test_a_path_gives_the_heads_that_are_trained_alone(name: str) -> None:
    [(parameter, values)] = SPACES[name].path.items()
    search, features = make_search(), make_features()
    rows = features.of_fold(search.pool, search.pool.folds[0], None)
    together = score_task(search, features, [Trial(0, name, ((parameter, value),)) for value in values], None)
    for value in values:
        head = make_head(name, {parameter: value})
        head.fit(rows.train.X, rows.train.y, rows.validation, 0)
        alone = head.predict_proba(rows.held_out[:, 0])
        held_out = search.pool.folds[0].held_out
        score = together[Trial(0, name, ((parameter, value),))]
        losses = -np.log(alone[np.arange(len(held_out)), search.pool.y[held_out]])
        np.testing.assert_allclose(score.losses[held_out], losses, rtol=0.02, atol=2e-3)


def test_the_wide_layer_stops_on_images_of_the_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its heads answer as it trained them, together or alone."""
    seen: list[Any] = []
    train = wide_linear.train_wide

    def spy(heads: Any, X: Any, y: Any, validation: Any, *rest: Any) -> Any:
        seen.append((X, validation[0]))
        return train(heads, X, y, validation, *rest)

    monkeypatch.setattr(wide_linear, "train_wide", spy)
    search, features = make_search(fixed={"linear": {"epochs": 4}}), make_features()
    trials = [Trial(0, "linear", (("rate", rate), ("weight_decay", 0.3))) for rate in (0.1, 1e-3)]
    together = score_task(search, features, trials, None)
    for fold, (trained, stopped_on) in zip(search.pool.folds, seen, strict=True):
        np.testing.assert_array_equal(trained, features.views[fold.train, 0])
        np.testing.assert_array_equal(stopped_on, features.views[fold.val, 0])
    for trial in trials:
        alone = score_task(search, features, [trial], None)[trial]
        np.testing.assert_allclose(alone.losses, together[trial].losses, atol=1e-4)
    assert together[trials[0]].mean("log-loss") != together[trials[1]].mean("log-loss")


def test_a_head_never_sees_what_it_is_measured_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither to learn from nor to stop on; and each image is measured once."""
    seen: list[tuple[set[float], set[float]]] = []

    class Spy:
        def name_classes(self, names: tuple[str, ...]) -> None: ...

        def fit(self, X: Any, y: Any, validation: Any, *_: object) -> None:
            self.known = {*X[:, 0].tolist(), *validation[0][:, 0].tolist()}

        def predict_proba(self, X: Any) -> Any:
            seen.append((self.known, {*X[:, 0].tolist()}))
            return np.full((len(X), CLASSES), 1 / CLASSES)

    monkeypatch.setattr(scoring, "make_head", lambda *_: Spy())
    trial = Trial(0, "bn-dropout")
    score = score_task(make_search(), make_features(), [trial], None)[trial]
    assert len(seen) == 4
    assert not any(known & held_out for known, held_out in seen)
    assert sum(len(held_out) for _, held_out in seen) == N
    np.testing.assert_allclose(score.losses, math.log(CLASSES), rtol=1e-6)


def test_a_trial_that_is_clearly_behind_is_given_up() -> None:
    """After the first folds, and not where it is only a little behind."""
    search, features = make_search(), make_features(signal=4.0)
    good, bad = Trial(0, "logistic", (("C", 0.1),)), Trial(0, "logistic", (("C", 1e-6),))
    leader = score_task(search, features, [good], None)[good].values("log-loss")
    given_up = score_task(search, features, [bad], leader)[bad]
    assert given_up.behind
    assert not given_up.is_complete
    assert np.isnan(given_up.losses).sum() >= N / 2
    near = Trial(0, "logistic", (("C", 0.11),))
    assert score_task(search, features, [near], leader)[near].is_complete
    assert score_task(search, features, [bad], None)[bad].is_complete


def test_time_that_is_over_ends_a_trial_in_the_middle() -> None:
    trial = Trial(0, "logistic")
    assert score_task(make_search(deadline=time.time() - 1), make_features(), [trial], None) == {}


def test_a_head_that_cannot_be_trained_is_told() -> None:
    """The others of the sweep are measured all the same."""
    trial = Trial(0, "scratch-cnn")
    score = score_task(make_search(), make_features(), [trial], None)[trial]
    assert not score.is_complete
    assert score.failed is not None
    assert "expected pixels" in score.failed


def test_views_are_used_as_train_head_uses_them() -> None:
    """`all` trains on each view as an image of its own; the held-out images are seen in all of them."""
    X = make_features().views
    features = PoolFeatures(np.concatenate([X, X + 1], axis=1), None, 0)
    pool = make_pool()
    plain, every = (features.of_fold(pool, pool.folds[0], use) for use in (None, "all"))
    assert len(every.train.X) == 2 * len(plain.train.X)
    assert plain.train.groups is None
    assert every.train.groups is not None
    assert plain.held_out.shape == (N // 4, 2, WIDTH)
    assert plain.validation is not None
    assert plain.validation[0].shape == (N // 4, WIDTH)


def test_an_ensemble_is_scored_as_the_head_that_is_saved() -> None:
    """Its temperature is that of the mean of its members, which is not the mean of their own temperatures."""
    search, features = make_search(calibrate=True), make_features(signal=2.0)
    trials = [Trial(0, "logistic", (("C", 10.0),)), Trial(0, "ridge", (("penalty", 1.0),))]
    rows = features.of_fold(search.pool, search.pool.folds[1], None)
    number, (first, both) = means_of_fold(search, features, trials, 1)
    for found, name, parameters in (
        (first, "logistic", {"C": 10.0}),
        (both, "ensemble", {"members": "logistic C=10 + ridge penalty=1"}),
    ):
        head = make_head(name, parameters)
        head.fit(rows.train.X, rows.train.y, rows.validation, 0)
        temperature = choose_temperature(head.predict_proba(rows.val[:, 0]), rows.val_y)
        np.testing.assert_array_equal(found, scale(head.predict_proba(rows.held_out[:, 0]), temperature))
    assert number == 1
