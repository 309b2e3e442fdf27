"""The methods: which of them a run allows, which is taken by default, and how each explains some images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import Manifest, Picture
from featstore.errors import UsageError, param
from featstore.explanation.class_activation import class_activation
from featstore.explanation.contrast import Contrast
from featstore.explanation.heat import Heat
from featstore.explanation.left_out import cells_left_out
from featstore.explanation.maps import Maps
from featstore.explanation.occlusion import Occlusion
from featstore.explanation.result import METHODS, Method
from featstore.heads.linear import IsLinear
from featstore.heads.registry import entry_of
from featstore.runs.predictor import Predictor
from featstore.runs.recipes import complete_rows
from featstore.runs.run import Run
from featstore.system.tensorflow_loader import load_tensorflow

_BLOCK = 8  # images whose maps are in memory at once
Explain = Callable[[Sequence[NDArray[np.float32]], Contrast], Heat]


class Explainer(Protocol):
    """A method with a run."""

    def complete(self, manifest: Manifest) -> Manifest:
        """Complete the rows that the method needs; return the images that can be read."""

    def explain(self, pictures: Sequence[Picture], contrast: Contrast) -> Heat:
        """Return the heat of some of these images."""


def choose_method(run: Run, maps: Sequence[Maps | None], asked: str | None) -> Method:
    """Return the method that is asked for, else the best that the run allows.

    That is `cam` where it is exact, else `hires-cam` where the head is a network, else `cells`, else `occlusion`.
    Raises UsageError for a method that is not known, or that the run does not allow.
    """
    if asked is not None and asked not in METHODS:
        raise UsageError(f"{param('method', asked)}: expected one of {', '.join(METHODS)}")
    refused = {method: _refusal(method, run, maps) for method in METHODS}
    if asked is None:
        return next(method for method in ("cam", "hires-cam", "cells", "occlusion") if not refused[method])
    [method] = [method for method in METHODS if method == asked]
    if reason := refused[method]:
        possible = ", ".join(other for other in METHODS if not refused[other])
        raise UsageError(f"{param('method', asked)}: {reason}; this run allows {possible}")
    return method


def _refusal(method: Method, run: Run, maps: Sequence[Maps | None]) -> str:
    """Return why the run does not allow `method`; empty if it does."""
    if method == "occlusion":
        return ""
    if None in maps:
        return "the features are not pooled from a map, but inside the base"
    if method == "cam":
        return "" if isinstance(run.load_head(), IsLinear) else f"head {run.head} is not linear in its features"
    if len(maps) > 1:
        return f"the run has {len(maps)} bases, and their maps are explained together for linear heads only"
    is_network = run.fine_tuning is not None or entry_of(run.head).is_network
    if method != "cells" and not is_network:
        return f"head {run.head} has no layers"
    return ""


def make_explainer(method: Method, predictor: Predictor, maps: Sequence[Maps | None]) -> Explainer:
    """Return `method`, which the run allows, at work."""
    there = [one for one in maps if one is not None]
    if method == "occlusion":
        return Occlusion(predictor)
    if method == "cam":
        return FromMaps(predictor, there, _by_class_activation(predictor.run, there))
    if method == "cells":
        return FromMaps(predictor, there, _by_leaving_out(predictor.run, there))
    return FromMaps(predictor, there, _by_slopes(predictor.run, there, method))


@dataclass(frozen=True)
class FromMaps:
    """A method that needs the maps of the images only."""

    predictor: Predictor
    maps: Sequence[Maps]
    how: Explain

    def complete(self, manifest: Manifest) -> Manifest:
        """Complete the maps, without a network where they are in the cache."""
        some = self.predictor
        plans = [one.plan for one in self.maps]
        return complete_rows(some.run, manifest, plans, some.weights, some.cache, some.progress).manifest

    def explain(self, pictures: Sequence[Picture], contrast: Contrast) -> Heat:
        """Return the heat of `pictures`, some at a time."""
        parts = []
        for start in range(0, len(pictures), _BLOCK):
            some = slice(start, start + _BLOCK)
            loaded = [one.load(pictures[some], self.predictor.cache) for one in self.maps]
            parts.append(self.how(loaded, contrast[some]))
        has_offset = parts[0].offset is not None
        return Heat(
            np.concatenate([part.cells for part in parts]),
            np.concatenate([part.score for part in parts]),
            np.concatenate([part.offset for part in parts if part.offset is not None]) if has_offset else None,
        )


def _by_class_activation(run: Run, maps: Sequence[Maps]) -> Explain:
    head = run.load_head()
    assert isinstance(head, IsLinear)
    classifier, pools = head.as_linear(), [one.pool for one in maps]
    return lambda loaded, contrast: class_activation(classifier, loaded, pools, contrast).over(run.temperature)


def _by_leaving_out(run: Run, maps: Sequence[Maps]) -> Explain:
    [pool] = [one.pool for one in maps]
    return lambda loaded, contrast: cells_left_out(run.predict_proba, loaded[0], pool, contrast)


def _by_slopes(run: Run, maps: Sequence[Maps], method: Method) -> Explain:
    [pool] = [one.pool for one in maps]
    load_tensorflow()
    from featstore.explanation.gradients import Slopes

    head = run.load_head()
    slopes = Slopes(head.network(head.row_shape), pool, has_maps_inside=run.fine_tuning is not None)
    return lambda loaded, contrast: slopes.heat(loaded[0], contrast, method).over(run.temperature)
