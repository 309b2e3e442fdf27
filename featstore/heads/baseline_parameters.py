"""The parameters of the heads of scikit-learn; known without loading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from featstore.heads.parameters import Count, HeadParameters, Rate
from featstore.system.fields import Between, Within

Folds = Annotated[int, Between(2)]
Distance = Literal["cosine", "scaled-cosine", "euclidean", "scaled-euclidean"]


@dataclass
class LogisticParameters(HeadParameters):
    """Parameters of the head `logistic`.

    Attributes:
        C: Inverse strength of the L2 penalty; none selects it from 1e-5 to 10 by cross-validation.
        folds: Folds of that cross-validation; fewer where a class has fewer images.
        max_iter: Most iterations of the solver.
    """

    C: Rate | None = None
    folds: Folds = 5
    max_iter: Count = 1000


@dataclass
class LogisticSgdParameters(HeadParameters):
    """Parameters of the head `logistic-sgd`.

    Attributes:
        C: Inverse strength of the L2 penalty; none selects it from 1e-5 to 10 by the validation split, and is 0.01
            where there are no validation images.
        epochs: Epochs over which the rate falls to 0; none is as many as make 3,000 steps, at least 3.
        batch: Rows of features in a step.
        rate: Learning rate of the first step; it falls to 0.
        patience: Epochs without a smaller loss on the validation split after which training ends; the best weights are
            kept. None runs all epochs and keeps the last weights.
    """

    C: Rate | None = None
    epochs: Count | None = None
    batch: Count = 256
    rate: Rate = 3e-3
    patience: Count | None = None


@dataclass
class RidgeParameters(HeadParameters):
    """Parameters of the head `ridge`.

    Attributes:
        penalty: Strength of the L2 penalty for each image; none selects it from 0.001 to 1,000 by leaving out each.
    """

    penalty: Rate | None = None


@dataclass
class CalibratedParameters(HeadParameters):
    """Parameters of all heads whose probabilities come from folds.

    Attributes:
        folds: Folds that choose what is none, and calibrate the probabilities; fewer where a class has fewer images.
    """

    folds: Folds = 5


@dataclass
class LinearSvmParameters(CalibratedParameters):
    """Parameters of the head `linear-svm`.

    Attributes:
        C: Inverse strength of the L2 penalty; none selects it from 1e-6 to 1 by the folds.
        max_iter: Most iterations of the solver.
    """

    C: Rate | None = None
    max_iter: Count = 1000


@dataclass
class RbfSvmParameters(CalibratedParameters):
    """Parameters of the head `rbf-svm`.

    Attributes:
        C: Inverse strength of the L2 penalty; none selects it from 0.1 to 100 by the folds.
        gamma: Inverse width of the kernel; none is 1 divided by the number of features and their variance.
    """

    C: Rate | None = None
    gamma: Rate | None = None


@dataclass
class KnnParameters(CalibratedParameters):
    """Parameters of the head `knn`.

    Attributes:
        neighbours: Training images that vote; none selects it from 1 to 80 by the folds.
        distance: What is near, of features as they are or standardised; none selects one of the cosines by the folds.
    """

    neighbours: Count | None = None
    distance: Distance | None = None


@dataclass
class LdaParameters(CalibratedParameters):
    """Parameters of the head `lda`.

    Attributes:
        shrinkage: Share of a round covariance in that of the classes; none selects it by the folds.
    """

    shrinkage: Annotated[float, Within(0, 1, includes_low=False)] | None = None


@dataclass
class ForestParameters(CalibratedParameters):
    """Parameters of the heads `random-forest` and `extra-trees`.

    Attributes:
        trees: Number of trees.
        leaf: Fewest images in a leaf.
    """

    folds: Folds = 3
    trees: Count = 200
    leaf: Count = 1


@dataclass
class BoostingParameters(CalibratedParameters):
    """Parameters of the head `hist-gradient-boosting`.

    Attributes:
        rounds: Most rounds, in each of which every class gets a tree; the folds select how many.
        rate: Share of the correction of each tree that is made.
        leaves: Most leaves of a tree.
        leaf: Fewest images in a leaf.
    """

    folds: Folds = 3
    rounds: Count = 100
    rate: Rate = 0.1
    leaves: Annotated[int, Between(2)] = 8
    leaf: Count = 5


@dataclass
class NaiveBayesParameters(CalibratedParameters):
    """Parameters of the head `naive-bayes`.

    Attributes:
        smoothing: Variance that is added to each standardised feature; none selects it by the folds.
    """

    smoothing: Rate | None = None


@dataclass
class NearestCentroidParameters(CalibratedParameters):
    """Parameters of the head `nearest-centroid`."""


@dataclass
class MajorityParameters(HeadParameters):
    """The head `majority` has no parameters."""
