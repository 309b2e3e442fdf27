"""The maps that explanations start from: the activation before it is pooled, as rows in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import Picture
from featstore.errors import UsageError, param
from featstore.extraction.cache import Cache
from featstore.extraction.plan import Plan, PlannedRows
from featstore.features.views import load_views
from featstore.spec import Pool

_MAP = 3  # dimensions: height, width, channels


@dataclass(frozen=True)
class Maps:
    """The maps of one base of a run.

    plan: their rows, in the plain view. pool: how the features of the run follow from them; `none` if they are them.
    """

    plan: Plan
    pool: Pool

    @classmethod
    def of(cls, plan: Plan) -> Maps | None:
        """Return the maps of `plan`, the rows of one base; None if its features do not follow from maps."""
        spec = plan.spec
        if spec.pool != "none" and not plan.recipe.source(must_exist=False).pools_maps(spec.layer):
            return None
        rows = PlannedRows(replace(spec, pool="none"), (spec.reading.plain,))
        recipe = replace(plan.recipe, pool="none", views="one", augment=None, scales=None)
        return cls(Plan(recipe, (rows,), 0), spec.pool)

    def load(self, pictures: Sequence[Picture], cache: Cache) -> NDArray[np.float32]:
        """Return (n, height, width, channels) of `pictures`, whose rows are in the cache.

        Raises UsageError if the layer of the run has no maps.
        """
        rows = load_views(pictures, [self.plan], cache)[:, 0]
        if rows.ndim != 1 + _MAP:
            raise UsageError(
                f"the features of the run are not maps (height, width, channels), but of {rows.ndim - 1} "
                f"dimension{'' if rows.ndim == 2 else 's'}: use {param('method', 'occlusion')}"
            )
        return rows
