"""`featstore sweep` without the extraction: 100 heads in five folds on 1,200 vectors of 1,024 numbers."""

from __future__ import annotations

import math
import time
from itertools import product
from pathlib import Path

TRIALS, N, WIDTH, CLASSES, FOLDS = 100, 1200, 1024, 5, 5


def measure_sweep(data: Path, scratch: Path) -> None:
    """Print the seconds of a search over the default heads, and of one with a network among them.

    Then those of the linear heads of one fold as one wide layer, and one by one.
    """
    from featstore.sweeping.job import DEFAULT_HEADS

    for title, heads in (("default heads", DEFAULT_HEADS), ("and mlp", (*DEFAULT_HEADS, "mlp"))):
        _measure(title, heads, scratch)
    _measure_wide()


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


def _measure_wide() -> None:
    from threadpoolctl import threadpool_limits

    from featstore.heads.linear_head import LinearHead
    from featstore.sweeping.space import SPACES
    from featstore.sweeping.wide_linear import fit_wide

    X, pool = _make_pool()
    train, val, _ = pool.folds[0]
    path, rows = SPACES["linear"].path, (X[train], pool.y[train], (X[val], pool.y[val]), 0)
    heads = [LinearHead(rate=rate, weight_decay=decay) for rate, decay in product(path["rate"], path["weight_decay"])]
    with threadpool_limits(1):
        start = time.perf_counter()
        fit_wide(heads, *rows)
        wide = time.perf_counter() - start
    LinearHead(epochs=1).fit(*rows)  # loads TensorFlow
    start = time.perf_counter()
    for head in heads:
        head.fit(*rows)
    alone = time.perf_counter() - start
    print(
        f"  {len(heads)} linear heads on {len(train)} vectors: one by one in Keras {alone:.1f} s, as one wide layer "
        f"{wide:.1f} s, {alone / wide:.1f} times as fast",
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
