"""The score of a trial: what its head answers for images that it has not seen, fold by fold."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.errors import FeatstoreError
from featstore.evaluation.averaging import predict_views
from featstore.evaluation.probability_scores import log_losses
from featstore.evaluation.temperature import choose_temperature, scale
from featstore.evaluation.units import Units
from featstore.heads.baseline import Rows
from featstore.heads.registry import make_head
from featstore.sweeping.paths import PATHS, PathTask, path_of
from featstore.sweeping.pool import FoldRows, Pool, PoolFeatures
from featstore.sweeping.settings import By
from featstore.sweeping.trials import Fixed, Trial
from featstore.system.pinned import pinned

if TYPE_CHECKING:
    from featstore.evaluation.averaging import Average
    from featstore.heads.linear import LinearClassifier
    from featstore.training.head_recipe import TrainOn

Predict = Callable[[NDArray[np.float32]], NDArray[np.float64]]

_CLEARLY = 3.0  # standard errors: a trial that is this far behind is not finished


class Score(NamedTuple):
    """How a trial did on each of the n images, when it was held out.

    losses: (n,) log loss; NaN where the trial was not finished. right: (n,) whether the answer was right. seconds: of
    its training, of which all heads of a path have the same share. behind: whether it was given up, as it was clearly
    worse than the best of the round before. failed: why it could not be trained; None if it could.
    """

    losses: NDArray[np.float32]
    right: NDArray[np.bool_]
    seconds: float
    behind: bool = False
    failed: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it has an answer for every image."""
        return not (self.behind or self.failed)

    def values(self, by: By) -> NDArray[np.float64]:
        """Return what the trials are compared by, (n,): less is better."""
        return np.asarray(self.losses if by == "log-loss" else ~self.right, np.float64)

    def mean(self, by: By) -> float:
        """Return the mean of `values`."""
        return float(self.values(by).mean())


class Search(NamedTuple):
    """What all trials of a sweep share.

    deadline: as of `time.time`, when the search ends; infinity for never.
    """

    pool: Pool
    by: By
    train_on: TrainOn | None
    average: Average
    calibrate: bool
    fixed: Fixed
    seed: int
    deadline: float


class _OutOfTime(Exception):
    """The time of the search is over."""


@pinned()
def score_task(
    search: Search, features: PoolFeatures, trials: Sequence[Trial], leader: NDArray[np.float64] | None
) -> dict[Trial, Score]:
    """Return the scores of `trials`, which are those of a path, or a single one. If time runs out there are none.

    leader: the values (n,) of the best trial so far, which the trials are raced against. None: all are finished.
    """
    n = len(search.pool.y)
    scores = {trial: Score(np.full(n, np.nan, np.float32), np.zeros(n, bool), 0.0) for trial in trials}
    try:
        for fold in search.pool.folds:
            running = [trial for trial, score in scores.items() if score.is_complete]
            if not running:
                break
            rows, truth = features.of_fold(search.pool, fold, search.train_on), search.pool.y[fold.held_out]
            start = time.perf_counter()
            for trial, answer in _answers(search, running, rows):
                score = scores[trial]
                if isinstance(answer, FeatstoreError):
                    score = score._replace(failed=str(answer))
                else:
                    score.losses[fold.held_out] = log_losses(answer, truth)
                    score.right[fold.held_out] = answer.argmax(axis=1) == truth
                    score = score._replace(behind=leader is not None and _is_behind(score, leader, search))
                scores[trial] = score
                _check_time(search)
            share = (time.perf_counter() - start) / len(running)
            for trial in running:
                scores[trial] = scores[trial]._replace(seconds=scores[trial].seconds + share)
    except _OutOfTime:
        return {}
    return scores


@pinned()
def means_of_fold(
    search: Search, features: PoolFeatures, trials: Sequence[Trial], number: int
) -> tuple[int, list[NDArray[np.float64]]]:
    """Return the number of a fold, and what the first one, the first two and more of `trials` answer there together.

    These are the probabilities (held out, classes) of the head `ensemble`: its temperature is that of the mean. Raises
    FeatstoreError.
    """
    rows = features.of_fold(search.pool, search.pool.folds[number], search.train_on)
    members = [_train(search, trial, rows) for trial in trials]
    sizes = range(1, len(members) + 1)
    return number, [_predicted(search, rows, partial(_mean_answers, members[:size])) for size in sizes]


def _mean_answers(members: Sequence[Predict], X: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.mean([predict(X) for predict in members], axis=0))


def _answers(
    search: Search, trials: Sequence[Trial], rows: FoldRows
) -> Iterator[tuple[Trial, NDArray[np.float64] | FeatstoreError]]:
    """Yield each trial with its probabilities (held out, classes), or with the reason why it could not be trained."""
    head = trials[0].head
    fixed = search.fixed.get(head, {})
    path = path_of(head, fixed)
    if not path or any(name not in trial.settings for trial in trials for name in path):
        for trial in trials:
            try:
                yield trial, _predicted(search, rows, _train(search, trial, rows))
            except FeatstoreError as error:
                yield trial, error
        return
    ordered = sorted(trials, key=lambda trial: [trial.settings[name] for name in path])
    task = _path_task(search, rows, [trial.settings for trial in ordered], fixed)
    for trial, trained in zip(ordered, PATHS[head](task), strict=True):
        if isinstance(trained, FeatstoreError):
            yield trial, trained
        else:
            yield trial, _predicted(search, rows, partial(_flat_answers, trained))


def _path_task(
    search: Search, rows: FoldRows, settings: Sequence[Mapping[str, Any]], fixed: Mapping[str, Any]
) -> PathTask:
    X, y, groups = rows.train
    labels, numbers = np.unique(y, return_inverse=True)
    validation = None
    if rows.validation:
        of_validation, targets = rows.validation
        validation = of_validation.reshape(len(targets), -1), np.searchsorted(labels, targets)
    flat = Rows(X.reshape(len(X), -1), numbers, groups, search.seed)
    return PathTask(flat, validation, settings, fixed, lambda done, total: _check_time(search))


def _flat_answers(trained: LinearClassifier, X: NDArray[np.float32]) -> NDArray[np.float64]:
    return trained.predict_proba(X.reshape(len(X), -1))


def _train(search: Search, trial: Trial, rows: FoldRows) -> Predict:
    """Return what the head of `trial` predicts with, trained on the rows of a fold."""
    head = make_head(trial.head, {**search.fixed.get(trial.head, {}), **trial.settings})
    head.name_classes(search.pool.classes)
    X, y, groups = rows.train
    head.fit(X, y, rows.validation, search.seed, lambda done, total: _check_time(search), groups)
    return head.predict_proba


def _predicted(search: Search, rows: FoldRows, predict: Predict) -> NDArray[np.float64]:
    """Return the probabilities of the held-out images, at the temperature that the images to stop on choose."""
    answers = predict_views(predict, rows.held_out, search.average)
    if not search.calibrate or not len(rows.val_y):
        return answers
    on_val = predict_views(predict, rows.val, search.average)
    return scale(answers, choose_temperature(on_val, rows.val_y, Units(rows.val_units)))


def _is_behind(score: Score, leader: NDArray[np.float64], search: Search) -> bool:
    """Return whether the mean so far is clearly worse than that of the leader on the same images.

    The images are compared one by one, and those of a unit count together. Optuna's WilcoxonPruner compares the scores
    of the folds instead, and of two or three of these nothing can be said.
    """
    seen = ~np.isnan(score.losses)
    behind = score.values(search.by)[seen] - leader[seen]
    units = Units(search.pool.units[seen])
    if len(units) < 2:
        return False
    error = math.sqrt(float((units.totals(behind - behind.mean()) ** 2).sum())) / len(behind)
    return float(behind.mean()) > _CLEARLY * error


def _check_time(search: Search) -> None:
    if time.time() > search.deadline:
        raise _OutOfTime
