"""The classifier that the heads of decision trees result in: plain arrays, which predict without scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.heads.array_file import check_floats
from featstore.heads.logits import probabilities_of

_CELLS = 2**20  # rows times trees that are followed at once


class Tree(NamedTuple):
    """The nodes of one tree, the root first. A leaf is its own child on both sides.

    features, thresholds: (nodes,); a row goes left if its feature is at most the threshold. left, right: (nodes,).
    values: (nodes, outputs) float32 that a row has in the node, if it is a leaf.
    """

    features: NDArray[np.intp]
    thresholds: NDArray[np.float64]
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    values: NDArray[np.float32]


@dataclass(frozen=True)
class TreeClassifier:
    """The values of the leaves that a row reaches, added up; raises ValueError if the fields do not match.

    features, thresholds, left, right, values: those of `Tree`, for the nodes of all trees. roots: (trees,).
    depth: the longest way from a root to a leaf.
    prior: (outputs,), added to the sum. is_voting: whether the sum counts votes, whose logarithm is the score.
    temperature: the softmax of scores / temperature has the probabilities. One output is the score of the second of two
        classes.
    width: of a row.
    """

    features: NDArray[np.int32]
    thresholds: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    values: NDArray[np.float32]
    roots: NDArray[np.int32]
    depth: int
    prior: NDArray[np.float64]
    is_voting: int
    temperature: float
    width: int

    def __post_init__(self) -> None:
        check_floats(self.thresholds, self.values, self.prior)
        nodes = self.thresholds.shape
        whole = (self.features, self.left, self.right, self.roots)
        if any(array.dtype.kind not in "iu" or array.ndim != 1 or not len(array) for array in whole):
            raise ValueError("it has something other than arrays of whole numbers")
        if any(array.shape != nodes for array in whole[:3]) or self.values.shape != (*nodes, *self.prior.shape):
            raise ValueError("the shapes of its arrays do not match")
        limits = ((self.features, self.width), *((array, len(self.left)) for array in whole[1:]))
        if self.prior.ndim != 1 or any(array.min() < 0 or array.max() >= limit for array, limit in limits):
            raise ValueError("a node or a feature is out of range")
        if self.depth < 0 or not self.temperature > 0 or (self.is_voting and (self.values.min() < 0)):
            raise ValueError("the depth, the temperature or a vote is out of range")

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities (n, classes) for X (n, width); raises ValueError for another width."""
        return probabilities_of(self.scores(X) / self.temperature)

    def scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (n, outputs) before they are divided by the temperature."""
        if X.shape[1:] != (self.width,):
            raise ValueError(f"expected rows of {self.width} features, found {X.shape}")
        block = max(1, _CELLS // len(self.roots))
        sums = [self._sum(X[start : start + block]) for start in range(0, len(X), block)]
        sums_of_all = np.concatenate(sums) + self.prior
        return np.log(sums_of_all) if self.is_voting else sums_of_all

    def _sum(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the sum (n, outputs) of the leaves. All trees are followed at once, a level at a time."""
        nodes = np.tile(self.roots, (len(X), 1))
        rows = np.arange(len(X))[:, None]
        for _ in range(min(self.depth, len(self.left))):
            is_left = X[rows, self.features[nodes]] <= self.thresholds[nodes]
            nodes = np.where(is_left, self.left[nodes], self.right[nodes])
        columns = [values[nodes].sum(axis=1, dtype=np.float64) for values in self.values.T]
        return np.stack(columns, axis=1)


def join_trees(
    trees: Sequence[Tree], prior: NDArray[np.float64], width: int, *, is_voting: bool, temperature: float = 1.0
) -> TreeClassifier:
    """Return the classifier of these trees."""
    sizes = [len(tree.features) for tree in trees]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    moved = list(zip(trees, roots, strict=True))
    return TreeClassifier(
        features=np.concatenate([tree.features for tree in trees]).astype(np.int32),
        thresholds=np.concatenate([tree.thresholds for tree in trees]).astype(np.float64),
        left=np.concatenate([tree.left + root for tree, root in moved]).astype(np.int32),
        right=np.concatenate([tree.right + root for tree, root in moved]).astype(np.int32),
        values=np.concatenate([tree.values for tree in trees]).astype(np.float32),
        roots=roots,
        depth=max(_depth(tree) for tree in trees),
        prior=prior,
        is_voting=int(is_voting),
        temperature=temperature,
        width=width,
    )


def trees_of_forest(forest: Any) -> Iterator[Tree]:
    """Yield the trees of a forest of scikit-learn, whose values are the shares of the classes in a leaf."""
    for estimator in forest.estimators_:
        tree = estimator.tree_
        is_leaf = tree.children_left < 0
        own = np.arange(tree.node_count)
        yield Tree(
            np.where(is_leaf, 0, tree.feature),
            np.where(is_leaf, 0.0, tree.threshold),
            np.where(is_leaf, own, tree.children_left),
            np.where(is_leaf, own, tree.children_right),
            tree.value[:, 0].astype(np.float32),
        )


def trees_of_boosting(model: Any) -> Iterator[list[Tree]]:
    """Yield for each round of gradient boosting of scikit-learn its trees, one for each output."""
    for predictors in model._predictors:
        trees = []
        for output, predictor in enumerate(predictors):
            nodes = predictor.nodes
            is_leaf, own = nodes["is_leaf"].astype(bool), np.arange(len(nodes))
            values = np.zeros((len(nodes), len(predictors)), np.float32)
            values[:, output] = nodes["value"]
            trees.append(
                Tree(
                    np.where(is_leaf, 0, nodes["feature_idx"]),
                    np.where(is_leaf, 0.0, nodes["num_threshold"]),
                    np.where(is_leaf, own, nodes["left"].astype(np.intp)),
                    np.where(is_leaf, own, nodes["right"].astype(np.intp)),
                    values,
                )
            )
        yield trees


def _depth(tree: Tree) -> int:
    """Return the number of steps after which every way from the root has ended."""
    level, steps = np.zeros(1, np.intp), 0
    while len(level := level[tree.left[level] != level]):
        level, steps = np.concatenate([tree.left[level], tree.right[level]]), steps + 1
    return steps
