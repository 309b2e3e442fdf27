"""The forecast of an extraction: what is cached, and what the rest would take of time, disk and memory here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from featstore.bases.source import BATCH
from featstore.datasets.manifest import Manifest, Picture
from featstore.extraction.cache import Cache
from featstore.extraction.misses import explain
from featstore.extraction.passes import IMAGES_AHEAD
from featstore.extraction.plan import Plan, make_plan
from featstore.extraction.recipe import Recipe
from featstore.extraction.trial import run_trial
from featstore.images.prefetch import WINDOW, is_readable
from featstore.store.layout import SHARD_BYTES
from featstore.system.progress import Progress, Silent
from featstore.system.text import count

IMAGES = 20  # of a trial


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What the extraction of one recipe would take on this machine, by a trial on some of the images.

    Attributes:
        recipe: The options of the features.
        images: Number of images of the data set.
        missing: Number of images whose rows are not in the cache; the rest is for these.
        trial: Number of images that were tried. Their rows are not kept.
        engine: What computes the base; None if nothing is missing.
        start: Seconds until the first rows: loading and building, and choosing an engine where that pays.
        rest: Seconds after that.
        bytes: Disk that the rows will take.
        memory: The most memory that the process will have at once, in bytes; None if it is not known.
    """

    recipe: Recipe
    images: int
    missing: int
    trial: int = 0
    engine: str | None = None
    start: float = 0.0
    rest: float = 0.0
    bytes: int = 0
    memory: int | None = None

    @property
    def seconds(self) -> float:
        """The time of the extraction, its start included."""
        return self.start + self.rest

    @property
    def rate(self) -> float | None:
        """Images per second after the start; None if nothing is missing."""
        return self.missing / self.rest if self.missing else None

    @property
    def name(self) -> str:
        """The base, the preprocessing and the size, as the recipe names them."""
        recipe = self.recipe
        return f"{Path(recipe.model).name} {recipe.preprocess}{f' {recipe.size}' if recipe.size else ''}"

    def __str__(self) -> str:
        if self.rate is None:
            return f"{self.name}: nothing to extract, all rows are in the cache"
        known = f", {self.images - self.missing:,} are in the cache" if self.missing < self.images else ""
        memory = f", {self.memory / 1e9:.1f} GB of memory" if self.memory else ""
        engine = "" if self.engine == "none" else f" on {self.engine}"
        return (
            f"{self.name}: {count(self.missing, 'image')} to extract{known}: about {_duration(self.seconds)}, of which "
            f"{self.start:.0f} s to start and then {self.rate:.1f} images/s{engine}; {_size(self.bytes)} of "
            f"disk{memory}; by a trial of {count(self.trial, 'image')} just now"
        )

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "model": self.recipe.model,
            "preprocess": self.recipe.preprocess,
            "size": None if self.recipe.size is None else str(self.recipe.size),
            "images": self.images,
            "missing": self.missing,
            "trial": self.trial,
            "engine": self.engine,
            "images_per_second": self.rate,
            "start_seconds": round(self.start, 1),
            "seconds": round(self.seconds, 1),
            "bytes": self.bytes,
            "memory": self.memory,
        }


def forecast(manifest: Manifest, recipe: Recipe, cache: Cache, progress: Progress | None = None) -> Forecast:
    """Return the forecast for the images of `manifest`; raises the errors of an extraction.

    Nothing is stored but what an extraction would remember too: the digest of the weights, and the fastest engine.
    Files are read and hashed only if the cache has rows of the recipe. Augmented versions are not counted.
    """
    progress = progress or Silent()
    plan = make_plan(recipe, cache.digests)
    cache.digests.save()
    missing = _missing(manifest, plan, cache, progress)
    if not missing:
        return Forecast(recipe=recipe, images=len(manifest), missing=0)
    sample = typical(missing, IMAGES)
    progress.tell(f"trying {recipe.model} on {count(len(sample), 'image')}")
    largest = max(missing, key=lambda picture: picture.stat.size)  # it is read too, since it takes the most memory
    found = run_trial(recipe, cache, [largest, *sample], len(missing))
    return Forecast(
        recipe=recipe,
        images=len(manifest),
        missing=len(missing),
        trial=len(sample),
        engine=found.engine,
        start=found.start,
        rest=found.seconds,
        bytes=round(found.bytes * len(missing)),
        memory=None if found.memory is None else found.memory + _queues(plan),
    )


def typical(pictures: Sequence[Picture], number: int) -> list[Picture]:
    """Return so many pictures that stand for all: their files are as large on average, and as different.

    In the order of size the pictures are divided into as many equal parts, and each gives the one that is the nearest
    to its mean. So if reading takes a time for each file and for each byte, a mean over these is a mean over all.
    """
    ordered = sorted(pictures, key=lambda picture: picture.stat.size)
    number = min(number, len(ordered))
    edges = [len(ordered) * place // number for place in range(number + 1)]
    return [_nearest_to_mean(ordered[low:high]) for low, high in pairwise(edges)]


def _nearest_to_mean(pictures: Sequence[Picture]) -> Picture:
    mean = sum(picture.stat.size for picture in pictures) / len(pictures)
    return min(pictures, key=lambda picture: abs(picture.stat.size - mean))


def _missing(manifest: Manifest, plan: Plan, cache: Cache, progress: Progress) -> list[Picture]:
    """Return the pictures that lack rows of `plan`; without any rows in the cache no file is read for it."""
    if not any(len(cache.store(part.spec)) for part in plan.parts):
        return list(manifest.pictures)
    lookups = explain(manifest, [plan.recipe], cache, progress.steps("reading", "images")).features[: len(plan.parts)]
    paths = {item.path for lookup in lookups for item in lookup.missing}
    missing = [picture for picture in manifest.pictures if picture.path in paths]
    if len(missing) <= BATCH:  # a few files that cannot be read lack their rows each time
        missing = [picture for picture in missing if is_readable(picture)]
    return missing


def _queues(plan: Plan) -> int:
    """Return the bytes of what waits in an extraction beyond what waits in a trial: pixels, and rows for a shard."""
    pixels = max(part.spec.reading.height * part.spec.reading.width * 3 for part in plan.parts)
    return (WINDOW + IMAGES_AHEAD) * pixels + SHARD_BYTES * len(plan.parts)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
