"""The fits of head `logistic`, against each solver of scikit-learn by hand: the same rows, folds and values of C."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

# Every process makes the same rows: classes that overlap, features that are correlated, as those of a base are.
ROWS = """
import json, sys, time, resource, numpy as np
rows, width, classes = map(int, sys.argv[2:])
rng = np.random.default_rng(0)
hidden = rng.normal(size=(rows, 64)).astype(np.float32)
y = np.argmax(hidden @ rng.normal(size=(64, classes)).astype(np.float32) + 4 * rng.gumbel(size=(rows, classes)), axis=1)
X = hidden @ rng.normal(size=(64, width)).astype(np.float32)
for start in range(0, rows, 4096):
    X[start : start + 4096] += rng.normal(size=X[start : start + 4096].shape).astype(np.float32)
np.maximum(X, 0, out=X)
import sklearn.linear_model, sklearn.model_selection, sklearn.preprocessing
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, worked = time.perf_counter(), time.process_time()
"""
OURS = """
from featstore.heads.registry import make_head
head = make_head("logistic")
head.fit(X, y, None, 0)
losses, chosen = head.curve.series["cv_log_loss"], head.selected()["C"]
"""
BY_HAND = """
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
grid = json.loads(sys.argv[1])["grid"]
options = json.loads(sys.argv[1])["options"]
losses = np.zeros((5, len(grid)))
for fold, (train, held_out) in enumerate(StratifiedKFold(5, shuffle=True, random_state=0).split(X, y)):
    model = make_pipeline(StandardScaler(), LogisticRegression(**options, max_iter=1000, warm_start=True))
    for place, C in enumerate(grid):
        model[-1].C = C
        model.fit(X[train], y[train])
        losses[fold, place] = log_loss(y[held_out], model.predict_proba(X[held_out]))
losses = losses.mean(axis=0)
chosen = grid[losses.argmin()]
make_pipeline(StandardScaler(), LogisticRegression(**options | {"C": chosen, "tol": 1e-4}, max_iter=1000)).fit(X, y)
losses = losses.tolist()
"""
REPORT = """
seconds, work = time.perf_counter() - start, time.process_time() - worked
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
added = (peak - before) * 1024 / X.nbytes
print(json.dumps({"seconds": seconds, "work": work, "added": added, "chosen": chosen, "losses": losses}))
"""
SOLVERS: dict[str, dict[str, object]] = {
    "lbfgs": {"solver": "lbfgs"},
    "lbfgs, tol 1e-3": {"solver": "lbfgs", "tol": 1e-3},  # as the head has it in its folds
    "newton-cg": {"solver": "newton-cg"},
    "newton-cholesky": {"solver": "newton-cholesky"},
}


def measure_logistic(data: Path, scratch: Path, rows: int = 50_000, width: int = 1_024, classes: int = 10) -> None:
    """Print seconds, memory beyond the rows as a multiple of them, and what was chosen; `data` is not used."""
    sizes = tuple(map(str, (rows, width, classes)))
    ours = _run(OURS, {}, sizes)
    grid = [10.0 ** (place - 5) for place in range(len(ours["losses"]))]  # as far as the head went
    print(f"  {rows:,} x {width:,}, {classes} classes, {5 * len(grid) + 1} fits", flush=True)
    _tell("head logistic", ours, ours)
    for solver, options in SOLVERS.items():
        if solver != "newton-cholesky" or classes == 2:  # its matrix has (width x classes) squared numbers
            _tell(solver, _run(BY_HAND, {"grid": grid, "options": options}, sizes), ours)


def _run(code: str, settings: dict[str, object], sizes: tuple[str, ...]) -> dict[str, object]:
    command = [sys.executable, "-c", ROWS + code + REPORT, json.dumps(settings), *sizes]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def _tell(name: str, found: dict[str, object], ours: dict[str, object]) -> None:
    loss = min(found["losses"])
    print(
        f"  {name:16} {found['seconds']:7.1f} s, ratio {ours['seconds'] / found['seconds']:.2f}; "
        f"of all cores {found['work']:7.1f} s, ratio {ours['work'] / found['work']:.2f}; "
        f"memory {1 + found['added']:.2f} times the array, C {found['chosen']:g}, loss {loss:.4f}",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name, usual in (("rows", 50_000), ("width", 1_024), ("classes", 10)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    measure_logistic(Path(), Path(), **vars(parser.parse_args()))
