"""The engines that are there, and with `--deep` whether they compute."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from featstore.diagnosis.topic import Problem, Topic
from featstore.engines.choice import ENGINES, Engine
from featstore.engines.memory import FOLDER
from featstore.errors import FeatstoreError
from featstore.extraction.cache import Cache
from featstore.extraction.encoder import load_encoder
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe import Recipe
from featstore.system.pinned import pinned
from featstore.system.text import count


def find_engines(cache: Path, deep: bool) -> Topic:
    """Return which engines are installed, and how often `auto` has chosen each; with `deep` each computes an image."""
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
    chosen = _count_choices(cache)
    if chosen:
        of_each = ", ".join(f"{name} for {count(number, 'network')}" for name, number in chosen.items())
        parts.append(f"auto has chosen {of_each}, as the cache says")
    facts = {"installed": there, "seconds_by_engine": seconds, "chosen_by_engine": chosen}
    return Topic("engines", "; ".join(parts), facts, problems)


def _count_choices(cache: Path) -> dict[str, int]:
    """Return how many networks `auto` has chosen each engine for, on this machine or another that used the cache."""
    chosen: Counter[str] = Counter()
    for file in sorted((cache / FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError):
            chosen[str(json.loads(file.read_bytes())["engine"])] += 1
    return dict(chosen.most_common())


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
