"""The search: three rounds of trials, spread over the processes, noted in the journal, and ended in time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from featstore.errors import UsageError, param
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import HeadName, entry_of
from featstore.sweeping.journal import Journal
from featstore.sweeping.paths import path_of
from featstore.sweeping.scoring import Score, Search, score_task
from featstore.sweeping.settings import SweepSettings
from featstore.sweeping.standing import order
from featstore.sweeping.trials import Fixed, Trial, free_ranges, from_everywhere, near_the_best, paths_and_defaults
from featstore.system.figures import loss

if TYPE_CHECKING:
    from featstore.sweeping.pool import PoolFeatures
    from featstore.sweeping.workers import Map
    from featstore.system.progress import Progress

_DRAWN_EVERYWHERE = 2 / 3  # of the trials that the first round leaves; the rest are drawn near the best
_BY_ALGEBRA = ("ridge", "lda")  # begun first: a search that is short of time then has their paths, in about a second
_BEST = 5  # trials that the third round starts from


@dataclass(frozen=True)
class Scope:
    """What may be tried: heads on the features of recipes, with what the user has fixed of their parameters.

    places: the recipes, by number, and the heads that go together. A head may prefer whole maps to their averages.
    """

    recipes: tuple[Recipe, ...]
    places: tuple[tuple[int, HeadName], ...]
    fixed: Fixed

    @classmethod
    def of(cls, recipes: Sequence[Recipe], heads: Sequence[HeadName], fixed: Fixed) -> Scope:
        """Return each of `heads` on each of `recipes`, with its own pooling; raises UsageError for another base."""
        if not heads:
            raise UsageError(f"{param('heads')}: expected at least one head, found none")
        pairs: dict[tuple[Recipe, HeadName], None] = {}
        for recipe in recipes:
            for head in heads:
                entry = entry_of(head)
                if entry.base and recipe.model != entry.base:
                    raise UsageError(
                        f"head {head}: is for the base {entry.base} only; use {param('model', entry.base)}"
                    )
                pairs[entry.with_preferred_pool(recipe), head] = None
        known = list(dict.fromkeys(recipe for recipe, _ in pairs))
        return cls(tuple(known), tuple((known.index(recipe), head) for recipe, head in pairs), fixed)

    def parameters(self, trial: Trial) -> dict[str, Any]:
        """Return the parameters of a trial that are not defaults: those that are searched, and those that are fixed."""
        return {**self.fixed.get(trial.head, {}), **trial.settings}

    def text(self, trial: Trial) -> str:
        """Return the head and its parameters, as in `ridge penalty=10`."""
        return " ".join([trial.head, *(f"{name}={_text(value)}" for name, value in self.parameters(trial).items())])

    def name(self, trial: Trial) -> str:
        """Return the head with its parameters, and the options of its features that vary in the sweep."""
        recipe = self.recipes[trial.recipe]
        words = [
            f"{item.name.replace('_', '-')} {getattr(recipe, item.name) or 'default'}"
            for item in fields(recipe)
            if len({getattr(other, item.name) for other in self.recipes}) > 1
        ]
        return self.text(trial) + (f" on {', '.join(words)}" if words else "")


class Searching:
    """A search; `scores` are those of the trials that are done.

    features: those of each recipe of the scope.
    """

    def __init__(
        self,
        scope: Scope,
        search: Search,
        features: Sequence[PoolFeatures],
        settings: SweepSettings,
        journal: Journal,
        progress: Progress | None,
    ) -> None:
        self.scores: dict[Trial, Score] = {}
        self._scope, self._search, self._features, self._settings = scope, search, features, settings
        self._journal, self._progress = journal, progress
        self._on_step = progress.steps("sweep", "trials") if progress else None

    def run(self, work: Map[dict[Trial, Score]]) -> bool:
        """Try all trials, or as many as there is time for; return whether there was time for all.

        work: spreads them over processes.
        """
        scope, total = self._scope, self._settings.trials
        random = np.random.default_rng(self._settings.seed)
        first = paths_and_defaults(scope.places, scope.fixed)[:total]
        if not self._try(work, first, race=False):
            return False
        wanted = int((total - len(first)) * _DRAWN_EVERYWHERE)
        drawn = from_everywhere(wanted, scope.places, scope.fixed, self.scores, random)
        if not self._try(work, drawn):
            return False
        best = [trial for trial in self._order() if free_ranges(trial.head, scope.fixed)][:_BEST]
        return self._try(work, near_the_best(total - len(self.scores), best, scope.fixed, self.scores, random))

    def _try(self, work: Map[dict[Trial, Score]], trials: Sequence[Trial], race: bool = True) -> bool:
        """Try `trials`, those of a path together; return whether there was time for all of them."""
        best = self._order()[:1] if race else []
        leader = self.scores[best[0]].values(self._settings.by) if best else None
        tasks, known = _tasks(trials, self._scope.fixed), self._journal.scores
        # A path of which the journal has a part is solved again: its heads start from one another.
        left = [task for task in tasks if not all(trial in known for trial in task)]
        left.sort(key=lambda task: task[0].head not in _BY_ALGEBRA)
        self.scores |= {trial: known[trial] for task in tasks if task not in left for trial in task}
        # The very first is finished whatever the time, so that there is something to save.
        patient = self._search._replace(deadline=math.inf)
        first = left[0] if left and not self.scores else None
        calls = (
            (patient if task is first else self._search, self._features[task[0].recipe], task, leader) for task in left
        )
        for found in work(score_task, calls):
            self._journal.add(found)
            for trial, score in found.items():
                self.scores[trial] = score
                self._tell(trial, score)
        return all(trial in self.scores for trial in trials)

    def _order(self) -> list[Trial]:
        return order(self.scores, self._settings.by)

    def _tell(self, trial: Trial, score: Score) -> None:
        """Tell that a trial is done, and whether it is the best so far."""
        if self._progress and self._on_step:
            self._on_step(len(self.scores), self._settings.trials)
            if score.is_complete and self._order()[0] == trial:
                text = f"accuracy {score.right.mean():.3f}, log loss {loss(score.mean('log-loss'))}"
                self._progress.tell(f"trial {len(self.scores)}, the best so far: {self._scope.name(trial)}: {text}")


def _text(value: Any) -> str:
    """Return a value of a parameter as it can be typed: an ensemble is made again from such texts."""
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    if isinstance(value, Mapping):
        return ",".join(f"{name}={_text(part)}" for name, part in value.items())
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)


def _tasks(trials: Sequence[Trial], fixed: Fixed) -> list[list[Trial]]:
    """Return the trials in the order in which they are begun: those of a path together, and all others alone."""
    tasks: dict[Any, list[Trial]] = {}
    for number, trial in enumerate(trials):
        path = path_of(trial.head, fixed.get(trial.head, {}))
        alike = tuple(item for item in trial.parameters if item[0] not in path)
        tasks.setdefault((trial.recipe, trial.head, alike) if path else number, []).append(trial)
    return list(tasks.values())
