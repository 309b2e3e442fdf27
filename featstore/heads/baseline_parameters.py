"""The parameters of the heads of scikit-learn; known without loading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from featstore.heads.parameters import Count, HeadParameters, Rate
from featstore.system.fields import Between


@dataclass
class LogisticParameters(HeadParameters):
    """Parameters of the head `logistic`.

    Attributes:
        C: Inverse strength of the L2 penalty; none selects it from 1e-5 to 10 by cross-validation.
        folds: Folds of that cross-validation; fewer where a class has fewer images.
        max_iter: Most iterations of the solver.
    """

    C: Rate | None = None
    folds: Annotated[int, Between(2)] = 5
    max_iter: Count = 1000
