"""The sweep: try heads on the folds, train the best one, or an ensemble that is better, and save it as a run."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from featstore.copies.leaks import summarize_with_copies
from featstore.datasets.sources import Source, as_manifest
from featstore.errors import DataError, UsageError
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import CacheLike
from featstore.extraction.pipeline import extract_augmented
from featstore.extraction.plan import Plan
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import HeadName, check_saveable, code_of
from featstore.runs.folders import check_name, check_root
from featstore.sweeping.result import Sweep, SweepRow, findings_of
from featstore.sweeping.settings import By, SweepSettings
from featstore.sweeping.space import SPACES
from featstore.sweeping.trials import Fixed, Trial
from featstore.system.environment import default_threads, versions
from featstore.system.paths import OnePath, one_path
from featstore.system.pinned import pinned
from featstore.system.text import count
from featstore.training.fit import Prepared, prepare
from featstore.training.head_recipe import HeadRecipe
from featstore.training.job import DEFAULT_RUNS, train

if TYPE_CHECKING:
    from featstore.evaluation.units import Units
    from featstore.sweeping.ensemble import Ensemble
    from featstore.sweeping.journal import Journal
    from featstore.sweeping.pool import Pool, PoolFeatures
    from featstore.sweeping.scoring import Score, Search
    from featstore.sweeping.searching import Scope
    from featstore.sweeping.workers import Map
    from featstore.system.progress import Progress

# A hundred heads of these take less than a minute. A trial of a network takes as long as twenty of them, and one of
# `linear-svm` as long as five; trees are slow and behind on features of a base. All of them can be asked for.
DEFAULT_HEADS: tuple[HeadName, ...] = ("logistic", "ridge", "lda", "linear", "rbf-svm", "knn")


@pinned()
def sweep_heads(
    data: OnePath | Source,
    recipes: Sequence[Recipe],
    heads: Sequence[HeadName] = DEFAULT_HEADS,
    fixed: Fixed | None = None,
    head: HeadRecipe | None = None,
    settings: SweepSettings | None = None,
    *,
    cache: CacheLike = None,
    runs: OnePath = DEFAULT_RUNS,
    name: str | None = None,
    journal: OnePath | None = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Try `heads` on each of `recipes`, train the best one, and save it as a run below `runs`; see `featstore.sweep`.

    fixed: by head, parameters that are not searched. head: what all heads share. command: the command line that the run
    records.
    """
    from featstore.sweeping.journal import Journal
    from featstore.sweeping.searching import Scope, Searching
    from featstore.sweeping.workers import workers

    settings = settings or SweepSettings()
    head = replace(head or HeadRecipe(), seed=settings.seed)
    head.check(recipes)
    root = Path(one_path(runs, "runs"))
    check_root(root)
    check_name(root, name)
    scope = Scope.of(recipes, heads, fixed or {})
    if not any(_can_be_kept(tried, scope.fixed) for _, tried in scope.places):
        check_saveable(scope.places[0][1], scope.fixed.get(scope.places[0][1], {}))  # which says why
    tell_assumptions(recipes, progress)
    manifest = as_manifest(data)
    prepared = prepare(
        manifest, scope.recipes, settings.val_fraction, settings.test_fraction, cache, progress, folds_too=True
    )
    summarize_with_copies(prepared.manifest, prepared.plans, prepared.cache, progress).tell(progress)
    search, features = _load(prepared, scope, head, settings, progress)
    identity = _identity(prepared, search.pool, scope, head, settings)
    path = Path(one_path(journal, "journal")) if journal else root / "sweeps" / f"{identity[:16]}.jsonl"
    start, ensemble = time.perf_counter(), None
    with Journal(path, identity) as log, _told_how_to_go_on(log), workers(settings.jobs or default_threads()) as work:
        searching = Searching(scope, search, features, settings, log, progress)
        in_time = searching.run(work)
        scores = searching.scores
        if not any(score.is_complete for score in scores.values()):
            reason = next(score.failed for score in scores.values() if score.failed)
            raise DataError(f"{manifest.source}: no trial was finished: {reason}")
        if settings.ensemble:
            ensemble = _ensemble(scores, scope, search, features, settings.by, work)
    seconds = time.perf_counter() - start
    rows = _rows(scores, scope, search.pool, settings.by)
    units = _units(search.pool)
    best = next(row for row in rows if _can_be_kept(row.head, scope.fixed))
    winner, parameters = best.head, dict(best.parameters)
    if ensemble and ensemble.is_better:
        winner, parameters = "ensemble", {"members": " + ".join(map(scope.text, ensemble.members))}
    trained = train(
        prepared.given,
        [best.recipe],
        replace(head, head=cast(HeadName, winner), parameters=parameters),
        val_fraction=settings.val_fraction,
        test_fraction=settings.test_fraction,
        cache=cache,
        runs=root,
        name=name,
        command=command,
        chosen_by=_how_it_was_chosen(len(scores), units, settings),
        progress=progress,
    )
    given_up = sum(score.behind for score in scores.values())
    failed = {scope.name(trial): score.failed for trial, score in scores.items() if score.failed}
    return Sweep(
        run=trained.run,
        rows=tuple(rows),
        tried=len(scores),
        given_up=given_up,
        failed=failed,
        n=len(search.pool.y),
        groups=None if units.are_single else len(units),
        folds=settings.folds,
        by=settings.by,
        findings=(
            _tried(len(scores), given_up, len(failed), in_time, settings),
            *findings_of(rows, best, settings, ensemble, scope),
        ),
        seconds=seconds,
        journal=path,
        skipped=trained.manifest.skipped,
        notes=trained.run.notes,
        data=trained.data,
    )


def _can_be_kept(head: str, fixed: Fixed) -> bool:
    """Return whether a run can keep the head; one of the user's own that it cannot keep may be tried all the same."""
    try:
        check_saveable(head, fixed.get(head, {}))
    except UsageError:
        return False
    return True


def _tried(trials: int, given_up: int, failed: int, in_time: bool, settings: SweepSettings) -> str:
    """Return how many trials there were, and why there are fewer than were asked for."""
    words = [count(trials, "trial")]
    words += [f"{given_up} given up early as clearly worse"] * bool(given_up) + [f"{failed} failed"] * bool(failed)
    if not in_time:
        words.append("when the time was over: the same command with more time goes on")
    elif trials < settings.trials:
        words.append("which are all that there are")
    return ", ".join(words)


def _how_it_was_chosen(tried: int, units: Units, settings: SweepSettings) -> str:
    by = settings.by.replace("-", " ")
    return f"chosen by a sweep: the best of {tried} heads in {by}, by {settings.folds}-fold cross-validation on {units}"


def _load(
    prepared: Prepared, scope: Scope, head: HeadRecipe, settings: SweepSettings, progress: Progress | None
) -> tuple[Search, list[PoolFeatures]]:
    """Return what all trials share, and the features of each recipe for the images of the folds."""
    from featstore.sweeping.pool import Pool, PoolFeatures
    from featstore.sweeping.scoring import Search

    pool = Pool.of(prepared.manifest, settings.folds, settings.val_fraction, settings.seed)
    # each image is in the training split of some fold
    trained = prepared.manifest.with_pictures([p._replace(split="train") for p in pool.pictures])
    extract_augmented(trained, prepared.plans, prepared.cache, progress)
    plan_of = {plan.recipe: plan for plan in prepared.plans}
    features = [PoolFeatures.load(pool.pictures, plan_of[recipe], prepared.cache) for recipe in scope.recipes]
    deadline = math.inf if settings.time is None else time.time() + settings.time
    average = head.average or "probabilities"
    how = settings.by, head.train_on, average, head.calibrate, scope.fixed, settings.seed, deadline
    return Search(pool.without_pictures(), *how), features


def _identity(prepared: Prepared, pool: Pool, scope: Scope, head: HeadRecipe, settings: SweepSettings) -> str:
    """Return a digest of all that the score of a trial depends on."""
    content = {
        "images": [(p.digest, p.label, p.split) for p in prepared.manifest.pictures],
        "folds": [[part.tolist() for part in fold] for fold in pool.folds],
        "units": pool.units.tolist(),
        "features": [_keys(plan) for plan in prepared.plans],
        "heads": [(place, repr(SPACES.get(place[1])), code_of(place[1])) for place in scope.places],
        "fixed": {name: dict(some) for name, some in scope.fixed.items()},
        "views": (head.train_on, head.average, head.calibrate),
        "search": (settings.by, settings.seed),
        "versions": versions(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _keys(plan: Plan) -> list[Any]:
    rows = [*plan.parts, *([plan.augmented] if plan.augmented else [])]
    return [(part.spec.key, part.views) for part in rows]


def _rows(scores: Mapping[Trial, Score], scope: Scope, pool: Pool, by: By) -> list[SweepRow]:
    """Return the complete trials, best first."""
    from featstore.sweeping.standing import stand

    return [
        SweepRow(
            name=scope.name(found.trial),
            recipe=scope.recipes[found.trial.recipe],
            head=found.trial.head,
            parameters=scope.parameters(found.trial),
            accuracy=found.accuracy,
            accuracy_ci95=found.accuracy_ci95,
            log_loss=found.log_loss,
            behind=found.behind.value,
            behind_ci95=(found.behind.low, found.behind.high),
            is_tied=found.is_tied,
            seconds=found.score.seconds,
        )
        for found in stand(scores, by, _units(pool), pool.fold_of)
    ]


def _ensemble(
    scores: Mapping[Trial, Score],
    scope: Scope,
    search: Search,
    features: Sequence[PoolFeatures],
    by: By,
    work: Map[Any],
) -> Ensemble | None:
    """Return the best ensemble of the best trials; None where all trials are of one head."""
    import numpy as np

    from featstore.sweeping.ensemble import best_ensemble, candidates
    from featstore.sweeping.scoring import means_of_fold
    from featstore.sweeping.standing import order

    members = candidates([trial for trial in order(scores, by) if _can_be_kept(trial.head, scope.fixed)])
    if len(members) < 2:
        return None
    patient, of_members, pool = search._replace(deadline=math.inf), features[members[0].recipe], search.pool
    means = np.empty((len(members), len(pool.y), len(pool.classes)))
    tasks = ((patient, of_members, members, number) for number in range(len(pool.folds)))
    for number, answers in work(means_of_fold, tasks):
        means[:, pool.folds[number].held_out] = answers
    return best_ensemble(members, means, pool.y, by, _units(pool), pool.fold_of)


def _units(pool: Pool) -> Units:
    from featstore.evaluation.units import Units

    return Units(pool.units)


@contextmanager
def _told_how_to_go_on(journal: Journal) -> Iterator[None]:
    try:
        yield
    except BaseException as stop:
        if not isinstance(stop, Exception):
            done = len(journal.scores)
            stop.add_note(f"{done} trials are done and kept in {journal.path}; the same command goes on from there")
        raise
