"""The settings of a run as words, by their names: to show them, and to say in which of them runs differ."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from itertools import accumulate
from typing import Any

from featstore.extraction.recipe import Recipe
from featstore.runs.run import Run
from featstore.spec import FeatureSpec

_NOT_SET = "-"
_RESOLVED: dict[str, Callable[[FeatureSpec], str]] = {
    # what the spec knows and the user may have left out
    "size": lambda spec: _size(spec.reading.height, spec.reading.width),
    "fit": lambda spec: spec.reading.fit,
    "pool": lambda spec: spec.pool,
    "weights": lambda spec: spec.weights[:12],  # of their digest
}


def settings_of(run: Run) -> dict[str, str]:
    """Return all that the user chose or may have chosen: features, head, training, data; then what made the run."""
    found = {"data": run.data}
    first_specs = _first_specs(run)
    for field in fields(Recipe):
        if field.name != "top":
            found[field.name] = " + ".join(
                _option(field.name, recipe, spec) for recipe, spec in zip(run.recipes, first_specs, strict=True)
            )
    found["head"] = run.head
    found |= {name: _text(value) for name, value in run.parameters.items()}
    found |= {f"{name} (chosen)": _text(value) for name, value in run.chosen.items()}
    found |= {"train_on": run.train_on, "average": run.average, "seed": str(run.seed)}
    found |= {f"{split}_fraction": _text(share) for split, share in run.fractions.items()}
    return found


def differing(settings: Sequence[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return those of the settings in which any of several runs differ, with the value of each run."""
    names = dict.fromkeys(name for some in settings for name in some)
    values = {name: tuple(some.get(name, _NOT_SET) for some in settings) for name in names}
    return {name: found for name, found in values.items() if len(set(found)) > 1}


def _first_specs(run: Run) -> list[FeatureSpec]:
    """Return the spec of each recipe at its own size, which comes before those of its other scales."""
    places = accumulate((recipe.sizes for recipe in run.recipes[:-1]), initial=0)
    return [run.specs[place] for place in places]


def _option(name: str, recipe: Recipe, spec: FeatureSpec) -> str:
    value = getattr(recipe, name)
    if name == "model":
        return os.path.basename(recipe.model)
    if name == "weights_seed" and recipe.weights != "random":
        return _NOT_SET
    resolve = _RESOLVED.get(name)
    text = _text(value) if resolve is None else resolve(spec)
    if name == "weights" and value is not None:  # a name or a file; the digest says which weights those are
        return f"{os.path.basename(value)} ({text})"
    return text


def _size(height: int, width: int) -> str:
    return str(height) if height == width else f"{height}x{width}"


def _text(value: Any) -> str:
    if value is None or value == "":
        return _NOT_SET
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_text(item)}" for name, item in value.items()) or _NOT_SET
    return f"{value:g}" if isinstance(value, float) else str(value)
