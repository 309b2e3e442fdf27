"""A run at work: it completes the rows of images, as they are or changed by a probe, and predicts from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from featstore.datasets.manifest import Manifest, Picture
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import Extraction
from featstore.extraction.plan import Plan
from featstore.images.probe import Probe
from featstore.runs.recipes import cache_of, complete_rows, plans_of
from featstore.runs.run import Run
from featstore.system.paths import OneOrMorePaths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from featstore.system.progress import Progress


@dataclass(frozen=True)
class Predictor:
    """A run with the plans of its rows, and where they are kept."""

    run: Run
    plans: Sequence[Plan]
    weights: OneOrMorePaths | None
    cache: Cache
    progress: Progress | None

    @classmethod
    def of(cls, run: Run, weights: OneOrMorePaths | None, cache: CacheLike, progress: Progress | None) -> Predictor:
        """Return the predictor of `run`; raises RunError if the weights are not those of the run."""
        found = cache_of(run, cache, progress)
        return cls(run, plans_of(run, weights, found), weights, found, progress)

    def complete(self, manifest: Manifest, probe: Probe | None = None) -> Extraction:
        """Complete the rows of the images of `manifest`; raises DataError if none can be read."""
        plans = [_changed(plan, probe) for plan in self.plans] if probe else self.plans
        return complete_rows(self.run, manifest, plans, self.weights, self.cache, self.progress)

    def predict(self, pictures: Sequence[Picture], extraction: Extraction) -> NDArray[np.float64]:
        """Return the probabilities (n, classes) of some of the pictures of an `extraction` from `complete`.

        The last digits depend on which pictures are predicted together: a split alone has the figures of its training.
        """
        from featstore.features.views import load_in_blocks

        return self.run.predict_blocks(load_in_blocks(pictures, extraction.plans, self.cache))


def _changed(plan: Plan, probe: Probe) -> Plan:
    """Return the plan of the same rows of changed images. Its specs, and so its keys, are others."""
    parts = tuple(
        part._replace(spec=replace(part.spec, reading=replace(part.spec.reading, probe=probe))) for part in plan.parts
    )
    return replace(plan, parts=parts)
