"""`featstore sweep` without the extraction: 100 heads in five folds on 1,200 vectors of 1,024 numbers."""

from __future__ import annotations

import math
import time
from pathlib import Path

TRIALS, N, WIDTH, CLASSES, FOLDS = 100, 1200, 1024, 5, 5


def measure_sweep(data: Path, scratch: Path) -> None:
    """Print the seconds of a search over the default heads, and of one with a network among them."""
    from featstore.sweeping.job import DEFAULT_HEADS

    for title, heads in (("default heads", DEFAULT_HEADS), ("and mlp", (*DEFAULT_HEADS, "mlp"))):
        _measure(title, heads, scratch)


def _measure(title: str, heads: tuple[str, ...], scratch: Path) -> None:
    from featstore.extraction.recipe import Recipe
    from featstore.sweeping.journal import Journal
    from featstore.sweeping.pool import PoolFeatures
    from featstore.sweeping.scoring import Search
    from featstore.sweeping.searching import Scope, Searching
    from featstore.sweeping.settings import SweepSettings
    from featstore.sweeping.workers import workers
    from featstore.system.environment import default_threads

    X, pool = _make_pool()
    search = Search(pool, "log-loss", None, "probabilities", True, {}, 0, math.inf)
    scope, jobs = Scope.of([Recipe(model="tiny")], heads, {}), default_threads()
    start = time.perf_counter()
    with Journal(scratch / f"{title}.jsonl", title) as journal, workers(jobs) as work:
        settings = SweepSettings(trials=TRIALS, folds=FOLDS)
        searching = Searching(scope, search, [PoolFeatures(X[:, None], None, 0)], settings, journal, None)
        searching.run(work)
    seconds = time.perf_counter() - start
    fits = sum(score.seconds for score in searching.scores.values())
    given_up = sum(score.behind for score in searching.scores.values())
    print(
        f"  {title:14} {len(searching.scores)} heads, {given_up} of them given up early: {seconds:5.1f} s on {jobs} "
        f"cores, {fits / (jobs * seconds):.0%} of it fits and answers",
        flush=True,
    )


def _make_pool():
    """Vectors with as much of their classes in them as those of a base have of photos of flowers: about 3 in 4."""
    import numpy as np

    from featstore.sweeping.pool import Fold, Pool

    random = np.random.default_rng(0)
    y, places = np.arange(N) % CLASSES, random.permutation(N) // 5
    decay = np.arange(1, WIDTH + 1) ** -0.5
    X = random.normal(size=(N, WIDTH)) * decay + 0.25 * random.normal(size=(CLASSES, WIDTH))[y] * decay**1.5
    folds = []
    for fold in range(FOLDS):
        held_out, val = places % FOLDS == fold, places % FOLDS == (fold + 1) % FOLDS
        folds.append(Fold(*map(np.flatnonzero, (~held_out & ~val, val, held_out))))
    names = tuple("abcde")
    return X.astype(np.float32), Pool((), names, y, np.arange(N).astype(str), tuple(folds))
