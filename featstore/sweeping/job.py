"""The sweep: try heads on the folds, train the best one, and save it as a run."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from featstore.datasets.sources import Source, as_manifest
from featstore.errors import DataError, UsageError, param
from featstore.extraction.assumptions import tell_assumptions
from featstore.extraction.cache import CacheLike
from featstore.extraction.pipeline import extract_augmented
from featstore.extraction.plan import Plan
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import HEADS, HeadName
from featstore.runs.folders import check_name, check_root
from featstore.sweeping.journal import Journal
from featstore.sweeping.result import Sweep, SweepRow, findings_of
from featstore.sweeping.settings import SweepSettings
from featstore.sweeping.space import SPACES
from featstore.sweeping.trials import Fixed, Trial, free_ranges, from_everywhere, near_the_best, paths_and_defaults
from featstore.sweeping.workers import workers
from featstore.system.environment import default_threads, versions
from featstore.system.figures import loss
from featstore.system.paths import OnePath, one_path
from featstore.system.pinned import pinned
from featstore.training.fit import Prepared, prepare
from featstore.training.head_recipe import HeadRecipe
from featstore.training.job import DEFAULT_RUNS, train

if TYPE_CHECKING:
    from featstore.evaluation.units import Units
    from featstore.sweeping.pool import Pool, PoolFeatures
    from featstore.sweeping.scoring import Score, Search
    from featstore.system.progress import Progress

DEFAULT_HEADS: tuple[HeadName, ...] = ("logistic", "ridge", "lda", "linear-svm", "rbf-svm", "knn", "bn-dropout")
_DRAWN_EVERYWHERE = 2 / 3  # of the trials that the first round leaves; the rest are drawn near the best
_BEST = 5  # trials that the third round starts from


@dataclass(frozen=True)
class _Space:
    """What may be tried: heads on the features of recipes, with what the user has fixed of their parameters."""

    recipes: tuple[Recipe, ...]
    heads: tuple[HeadName, ...]
    fixed: Fixed


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
    settings = settings or SweepSettings()
    head = replace(head or HeadRecipe(), seed=settings.seed)
    head.check(recipes)
    root = Path(one_path(runs, "runs"))
    check_root(root)
    check_name(root, name)
    space = _Space(tuple(dict.fromkeys(recipes)), tuple(dict.fromkeys(heads)), fixed or {})
    _check_heads(space)
    tell_assumptions(recipes, progress)
    manifest = as_manifest(data)
    fractions = settings.val_fraction, settings.test_fraction
    prepared = prepare(manifest, space.recipes, *fractions, cache, progress)
    search, features = _load(prepared, space, head, settings, progress)
    identity = _identity(prepared, search.pool, space, head, settings)
    path = Path(one_path(journal, "journal")) if journal else root / "sweeps" / f"{identity[:16]}.jsonl"
    start = time.perf_counter()
    with Journal(path, identity) as log, _told_how_to_go_on(log):
        scores = _Searching(space, search, features, settings, log, progress).run()
    seconds = time.perf_counter() - start
    if not any(score.is_complete for score in scores.values()):
        reason = next((s.failed for s in scores.values() if s.failed), "the time was over before one was finished")
        raise DataError(f"{manifest.source}: no trial was finished: {reason}")
    rows = _rows(scores, space, search, settings)
    best = rows[0]
    given_up = sum(score.behind for score in scores.values())
    failed = {_name(trial, space): score.failed for trial, score in scores.items() if score.failed}
    findings = findings_of(rows, settings.by, len(scores), given_up, len(failed))
    trained = train(
        prepared.given,
        [best.recipe],
        replace(head, head=cast(HeadName, best.head), parameters=dict(best.parameters)),
        val_fraction=settings.val_fraction,
        test_fraction=settings.test_fraction,
        cache=cache,
        runs=root,
        name=name,
        command=command,
        progress=progress,
    )
    units = _units(search.pool)
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
        findings=tuple(findings),
        seconds=seconds,
        journal=path,
        skipped=trained.manifest.skipped,
        notes=trained.run.notes,
        data=trained.data,
    )


class _Searching:
    """The three rounds of trials; `scores` are those of the trials that are done."""

    def __init__(
        self,
        space: _Space,
        search: Search,
        features: Sequence[PoolFeatures],
        settings: SweepSettings,
        journal: Journal,
        progress: Progress | None,
    ) -> None:
        self._space, self._search, self._features, self._settings = space, search, features, settings
        self._journal, self._progress = journal, progress
        self._on_step = progress.steps("sweep", "trials") if progress else None
        self.scores: dict[Trial, Score] = {}

    def run(self) -> dict[Trial, Score]:
        """Try all trials, or as many as there is time for; return their scores."""
        import numpy as np

        from featstore.sweeping.standing import order

        space, by, total = self._space, self._settings.by, self._settings.trials
        random = np.random.default_rng(self._settings.seed)
        recipes = len(space.recipes)
        with workers(self._settings.jobs or default_threads()) as work:
            first = paths_and_defaults(recipes, space.heads, space.fixed)[:total]
            if not self._try(work, first, race=False):
                return self.scores
            wanted = int((total - len(first)) * _DRAWN_EVERYWHERE)
            drawn = from_everywhere(wanted, recipes, space.heads, space.fixed, self.scores, random)
            if not self._try(work, drawn):
                return self.scores
            best = [trial for trial in order(self.scores, by) if free_ranges(trial.head, space.fixed)][:_BEST]
            self._try(work, near_the_best(total - len(self.scores), best, space.fixed, self.scores, random))
        return self.scores

    def _try(self, work: Callable[..., Iterator[Any]], trials: Sequence[Trial], race: bool = True) -> bool:
        """Try `trials`, those of a path together; return whether there was time for all of them."""
        from featstore.sweeping.scoring import score_task
        from featstore.sweeping.standing import order

        best = order(self.scores, self._settings.by)[:1] if race else []
        leader = self.scores[best[0]].values(self._settings.by) if best else None
        search = self._search._replace(pool=self._search.pool.without_pictures())
        tasks, known = _tasks(trials), self._journal.scores
        # A path of which the journal has a part is solved again: its heads start from one another.
        left = [task for task in tasks if not all(trial in known for trial in task)]
        self.scores |= {trial: known[trial] for task in tasks if task not in left for trial in task}
        for found in work(score_task, ((search, self._features[task[0].recipe], task, leader) for task in left)):
            self._journal.add(found)
            for trial, score in found.items():
                self.scores[trial] = score
                self._tell(trial, score)
        return all(trial in self.scores for trial in trials)

    def _tell(self, trial: Trial, score: Score) -> None:
        """Tell that a trial is done, and whether it is the best so far."""
        from featstore.sweeping.standing import order

        if self._progress and self._on_step:
            self._on_step(len(self.scores), self._settings.trials)
            if score.is_complete and order(self.scores, self._settings.by)[0] == trial:
                text = f"accuracy {score.right.mean():.3f}, log loss {loss(score.mean('log-loss'))}"
                self._progress.tell(f"trial {len(self.scores)}, the best so far: {_name(trial, self._space)}: {text}")


def _tasks(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Return the trials in the order in which they are begun: those of a path together, and all others alone."""
    tasks: dict[Any, list[Trial]] = {}
    for number, trial in enumerate(trials):
        space = SPACES.get(trial.head)
        path = space.path[0] if space and space.path else None
        alike = tuple(item for item in trial.parameters if item[0] != path)
        tasks.setdefault((trial.recipe, trial.head, alike) if path else number, []).append(trial)
    return list(tasks.values())


def _check_heads(space: _Space) -> None:
    """Raise UsageError for heads that have no place in the sweep."""
    if not space.heads:
        raise UsageError(f"{param('heads')}: expected at least one head, found none")
    for name in space.heads:
        own = HEADS[name].base
        if own and any(recipe.model != own for recipe in space.recipes):
            raise UsageError(f"head {name}: is for the base {own} only; use {param('model', own)}")


def _load(
    prepared: Prepared, space: _Space, head: HeadRecipe, settings: SweepSettings, progress: Progress | None
) -> tuple[Search, list[PoolFeatures]]:
    """Return what all trials share, and the features of each recipe for the images of the folds."""
    import math

    from featstore.sweeping.pool import Pool, PoolFeatures
    from featstore.sweeping.scoring import Search

    pool = Pool.of(prepared.manifest, settings.folds, settings.val_fraction, settings.seed)
    # each image is in the training split of some fold
    trained = prepared.manifest.with_pictures([p._replace(split="train") for p in pool.pictures])
    extract_augmented(trained, prepared.plans, prepared.cache, progress)
    plan_of = {plan.recipe: plan for plan in prepared.plans}
    features = [PoolFeatures.load(pool.pictures, plan_of[recipe], prepared.cache) for recipe in space.recipes]
    deadline = math.inf if settings.time is None else time.time() + settings.time
    average = head.average or "probabilities"
    return Search(pool, settings.by, head.train_on, average, settings.seed, deadline), features


def _identity(prepared: Prepared, pool: Pool, space: _Space, head: HeadRecipe, settings: SweepSettings) -> str:
    """Return a digest of all that the score of a trial depends on."""
    content = {
        "images": [(p.digest, p.label, unit) for p, unit in zip(pool.pictures, pool.units.tolist(), strict=True)],
        "folds": [[part.tolist() for part in fold] for fold in pool.folds],
        "features": [_keys(plan) for plan in prepared.plans],
        "heads": space.heads,
        "fixed": {name: dict(some) for name, some in space.fixed.items()},
        "space": {name: repr(SPACES.get(name)) for name in space.heads},
        "views": (head.train_on, head.average),
        "search": (settings.by, settings.seed),
        "versions": versions(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _keys(plan: Plan) -> list[Any]:
    rows = [*plan.parts, *([plan.augmented] if plan.augmented else [])]
    return [(part.spec.key, part.views) for part in rows]


def _rows(scores: Mapping[Trial, Score], space: _Space, search: Search, settings: SweepSettings) -> list[SweepRow]:
    from featstore.sweeping.standing import stand

    return [
        SweepRow(
            name=_name(found.trial, space),
            recipe=space.recipes[found.trial.recipe],
            head=found.trial.head,
            parameters=found.trial.settings,
            accuracy=found.accuracy,
            accuracy_ci95=found.accuracy_ci95,
            log_loss=found.log_loss,
            behind=found.behind.value,
            behind_ci95=(found.behind.low, found.behind.high),
            is_tied=found.is_tied,
            seconds=found.score.seconds,
        )
        for found in stand(scores, settings.by, _units(search.pool))
    ]


def _units(pool: Pool) -> Units:
    from featstore.evaluation.units import Units

    return Units(pool.units)


def _name(trial: Trial, space: _Space) -> str:
    """Return the head with its parameters, and the options of its features that vary in the sweep."""
    recipe = space.recipes[trial.recipe]
    words = [
        f"{item.name.replace('_', '-')} {getattr(recipe, item.name) or 'default'}"
        for item in fields(recipe)
        if len({getattr(other, item.name) for other in space.recipes}) > 1
    ]
    settings = [
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in trial.parameters
    ]
    return " ".join([trial.head, *settings]) + (f" on {', '.join(words)}" if words else "")


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@contextmanager
def _told_how_to_go_on(journal: Journal) -> Iterator[None]:
    try:
        yield
    except BaseException as stop:
        if not isinstance(stop, Exception):
            done = len(journal.scores)
            stop.add_note(f"{done} trials are done and kept in {journal.path}; the same command goes on from there")
        raise
