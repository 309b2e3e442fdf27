"""The default name of a run: the data, the base and the head, and all in which it differs from the usual."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from featstore.extraction.plan import Plan
from featstore.heads.registry import HEADS, make_head
from featstore.spec import LAST_ACTIVATION
from featstore.training.head_recipe import HeadRecipe

_MOST_DATA = 60  # characters of the name of the data set
_MOST_REST = 60  # characters of what differs; more become a digest, which tells two runs apart as well


def run_name(data: str, plans: Sequence[Plan], head: HeadRecipe, parameters: Mapping[str, Any]) -> str:
    """Return a name such as `photos-MobileNetV2-tf-224-bn-dropout-p0.6-seed1`.

    data: path of the data set. parameters: those of the head, the defaults included.
    """
    bases = []
    for plan in plans:
        base, variant_size_key = plan.spec.folder.split("/")
        model = Path(plan.recipe.model).stem if plan.recipe.source().is_file else base
        bases.append(f"{model}-{variant_size_key.rsplit('-', 1)[0]}")
    stem = Path(os.path.abspath(data)).stem[:_MOST_DATA]
    features, rest = _short(_features(plans[0], head)), _short(_training(head, parameters))
    return "-".join([stem, "+".join(bases), *features, head.head, *rest])


def _features(plan: Plan, head: HeadRecipe) -> Iterator[str]:
    """Yield in what the features differ from those that the head has by default."""
    recipe, spec, reading = plan.recipe, plan.spec, plan.spec.reading
    if recipe.weights == "random":
        yield "random"
    if recipe.views != "one":
        yield recipe.views.replace(":", "")
    if spec.layer != LAST_ACTIVATION:
        yield spec.layer
    if spec.pool != (HEADS[head.head].pool or ("none" if recipe.source().is_pixels else "avg")):
        yield "map" if spec.pool == "none" else spec.pool
    if reading.fit != ("crop" if reading.resize else "squash"):
        yield reading.fit
    if recipe.resize is not None:
        yield f"resize{recipe.resize}"
    if recipe.scales:
        yield f"scales{recipe.scales.replace(',', '+')}"
    for value, usual in ((reading.interpolation, "bilinear"), (reading.name, "pillow"), (spec.dtype, "float16")):
        if value != usual:
            yield value


def _training(head: HeadRecipe, parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield in what the training differs from the default."""
    usual = vars(make_head(head.head))
    yield from (f"{name}{_number(value)}" for name, value in parameters.items() if value != usual[name])
    if head.train_on == "all":
        yield "all-views"
    if head.average not in (None, "probabilities"):
        yield f"mean-{head.average}"
    if head.seed:
        yield f"seed{head.seed}"


def _short(words: Iterator[str]) -> list[str]:
    """Return words that can stand in the name of a folder, or a digest of them if they are long."""
    clean = [re.sub(r"[^\w.+-]+", "_", word) for word in words]
    if len("-".join(clean)) <= _MOST_REST:
        return clean
    return [hashlib.sha256("-".join(clean).encode()).hexdigest()[:8]]


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
