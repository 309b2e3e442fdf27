"""Heads `random-forest` and `extra-trees`: many deep trees, each on other rows or with other thresholds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featstore.heads.baseline import Baseline, Rows
from featstore.heads.baseline_parameters import ForestParameters
from featstore.heads.folds import Fold
from featstore.heads.selection import FoldScores, HeldOut, choose
from featstore.heads.trees import TreeClassifier, join_trees, trees_of_forest
from featstore.system.progress import OnStep

DEFAULT_TEMPERATURE = 0.5  # where there are no folds: the votes of a forest are too modest


@dataclass
class ForestHead(ForestParameters, Baseline):
    """The score of a class is the logarithm of its votes.

    One more tree votes with the shares of the classes, so no probability is 0.
    """

    TRAINED: ClassVar[type[Any]] = TreeClassifier
    FOREST: ClassVar[str]  # in sklearn.ensemble

    def train(self, rows: Rows, on_step: OnStep | None) -> TreeClassifier:
        def of_fold(fold: Fold) -> FoldScores:
            train, held_out = fold
            classifier = self._grow(rows.X[train], rows.y[train], rows.seed)
            return lambda _: classifier.scores(rows.X[held_out])

        temperature = DEFAULT_TEMPERATURE
        if folds := rows.folds(self.folds):
            held_out = HeldOut(folds, rows.y, of_fold, in_turn=True)
            temperature = choose("trees", [self.trees], held_out.scores, held_out.truth, on_step).temperature
        self._selected = {"fold_temperature": temperature}
        return replace(self._grow(rows.X, rows.y, rows.seed), temperature=temperature)

    def _grow(self, X: NDArray[np.float32], y: NDArray[np.intp], seed: int) -> TreeClassifier:
        """Return the classifier. Each tree has a seed of its own, so threads change nothing."""
        import sklearn.ensemble

        from featstore.system.environment import default_threads

        kind = getattr(sklearn.ensemble, self.FOREST)
        forest = kind(self.trees, min_samples_leaf=self.leaf, random_state=seed, n_jobs=default_threads()).fit(X, y)
        shares = np.unique(y, return_counts=True)[1] / len(y)
        return join_trees(list(trees_of_forest(forest)), shares, X.shape[1], is_voting=True)


@dataclass
class RandomForestHead(ForestHead):
    """Each tree sees as many rows as there are, drawn with replacement."""

    NAME: ClassVar[str] = "random-forest"
    FOREST: ClassVar[str] = "RandomForestClassifier"


@dataclass
class ExtraTreesHead(ForestHead):
    """Each tree sees all rows, and draws its thresholds."""

    NAME: ClassVar[str] = "extra-trees"
    FOREST: ClassVar[str] = "ExtraTreesClassifier"
