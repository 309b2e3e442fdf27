"""The engines that are there, and with `--deep` whether they compute."""

from __future__ import annotations

import time
from importlib.util import find_spec

from featstore.diagnosis.topic import Problem, Topic
from featstore.engines.choice import ENGINES, Engine
from featstore.errors import FeatstoreError
from featstore.extraction.cache import Cache
from featstore.extraction.encoder import load_encoder
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe import Recipe
from featstore.system.pinned import pinned


def find_engines(deep: bool) -> Topic:
    """Return which engines are installed; with `deep` each computes an image with the built-in base."""
    there: list[str] = []
    parts: list[str] = []
    problems: list[Problem] = []
    seconds: dict[str, float] = {}
    for name in ENGINES:
        if name == "auto":
            continue
        if find_spec(name) is None:
            parts.append(f"{name} is not installed: pip install 'featstore-keras[{name}]'")
            continue
        there.append(name)
        parts.append(name)
        if deep:
            try:
                seconds[name] = _try(name)
                parts[-1] = f"{name} computes, {seconds[name]:.1f} s with its start"
            except (FeatstoreError, ImportError) as error:
                problems.append(Problem(f"{name} does not compute: {error}", fails=True))
    return Topic("engines", "; ".join(parts), {"installed": there, "seconds_by_engine": seconds}, problems)


@pinned()
def _try(engine: Engine) -> float:
    """Return the seconds in which an engine loads, and computes an image with the base `tiny`. Nothing is stored."""
    import numpy as np

    start = time.perf_counter()
    recipe = Recipe(model="tiny")
    spec = make_plan(recipe, Cache(engine=engine).digests).spec
    network = load_encoder(recipe.source(), [spec], engine=engine)
    network(np.zeros((1, spec.reading.height, spec.reading.width, 3), np.uint8))
    return time.perf_counter() - start
