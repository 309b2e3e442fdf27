"""Head `hist-gradient-boosting`: small trees, each of which mends the mistakes of those before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.baseline import Baseline, Rows
from featstore.heads.baseline_parameters import BoostingParameters
from featstore.heads.folds import Fold
from featstore.heads.selection import FoldScores, HeldOut, choose
from featstore.heads.trees import TreeClassifier, join_trees, trees_of_boosting
from featstore.system.progress import OnStep

BINS = 32  # of a feature; 255, the default of scikit-learn, took five times as long and was no better
SHARE = 0.1  # of the features, tried at each node: half the time of all of them, and a smaller loss
DEFAULT_ROUNDS = 20  # where there are no folds
_EVERY = 5  # rounds between two that are judged


@dataclass
class BoostingHead(BoostingParameters, Baseline):
    """The number of rounds is the one with the smallest log loss of rows that were held out."""

    NAME: ClassVar[str] = "hist-gradient-boosting"
    TRAINED: ClassVar[type[Any]] = TreeClassifier

    def train(self, rows: Rows, on_step: OnStep | None) -> TreeClassifier:
        def of_fold(fold: Fold) -> FoldScores:
            train, held_out = fold
            model = self._boost(rows.X[train], rows.y[train], self.rounds, rows.seed)
            stages = list(model.staged_decision_function(rows.X[held_out]))
            return lambda rounds: stages[min(rounds, len(stages)) - 1]

        rounds, temperature = min(self.rounds, DEFAULT_ROUNDS), 1.0
        if folds := rows.folds(self.folds):
            held_out = HeldOut(folds, rows.y, of_fold)
            numbers = [*range(_EVERY, self.rounds, _EVERY), self.rounds]
            choice = choose("rounds", numbers, held_out.scores, held_out.truth, on_step)
            rounds, temperature, self._curve = choice
        self._selected = {"rounds": rounds, "fold_temperature": temperature}
        model = self._boost(rows.X, rows.y, rounds, rows.seed)
        trees = list(chain.from_iterable(trees_of_boosting(model)))
        prior: NDArray[np.float64] = model._baseline_prediction.ravel().astype(np.float64)
        classifier = join_trees(trees, prior, rows.X.shape[1], is_voting=False)
        return replace(classifier, temperature=temperature)

    def _boost(self, X: NDArray[np.float32], y: NDArray[np.intp], rounds: int, seed: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits

        model = HistGradientBoostingClassifier(
            max_iter=rounds,
            learning_rate=self.rate,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.leaf,
            max_bins=BINS,
            max_features=SHARE,
            early_stopping=False,
            random_state=seed,
        )
        with threadpool_limits(1, "openmp"):  # a limit that holds for the thread of this fold
            return model.fit(X, y)
