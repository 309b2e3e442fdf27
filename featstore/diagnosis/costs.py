"""What the extraction of a data set would cost here, base by base."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from featstore.datasets.manifest import Manifest
from featstore.diagnosis.places import existing
from featstore.diagnosis.topic import Problem, Topic, gigabytes
from featstore.errors import FeatstoreError, param
from featstore.extraction.cache import Cache
from featstore.extraction.forecast import Forecast, forecast
from featstore.extraction.recipe import Recipe
from featstore.system.machine import find_memory
from featstore.system.mounts import file_system
from featstore.system.paths import is_url
from featstore.system.progress import Progress
from featstore.system.text import count

USUAL = ("MobileNetV2", "EfficientNetB0", "ResNet50")  # from fast to slow, where no base is named


def find_costs(
    manifest: Manifest, recipes: Sequence[Recipe], cache: Cache, progress: Progress
) -> tuple[Topic, tuple[Forecast, ...]]:
    """Return what is known of the files of `manifest`, and a forecast for each recipe that can be extracted."""
    forecasts, problems = [], []
    for recipe in recipes:
        try:
            forecasts.append(forecast(manifest, recipe, cache, progress))
        except FeatstoreError as error:
            problems.append(Problem(f"{recipe.model}: {error}", fails=True))
    problems += _problems_of(forecasts, cache.local)
    total = sum(picture.stat.size for picture in manifest.pictures)
    kind = _kind_of_storage(manifest.pictures[0].path) if manifest.pictures else None
    text = (
        f"{manifest.source}, {count(len(manifest), 'image')}, {gigabytes(total)} on {kind or 'an unknown file system'}"
    )
    facts = {"source": manifest.source, "images": len(manifest), "bytes": total, "file_system": kind}
    return Topic("data", text, facts, problems), tuple(forecasts)


def _kind_of_storage(path: str) -> str | None:
    return "object storage" if is_url(path) else file_system(Path(path))


def _problems_of(forecasts: Sequence[Forecast], cache: Path) -> Iterator[Problem]:
    """Yield what the disk and the memory are too small for."""
    free, memory = shutil.disk_usage(existing(cache)).free, find_memory()
    needed = sum(made.bytes for made in forecasts)
    if needed > free:
        yield Problem(
            f"the features need {gigabytes(needed)} of disk, and {gigabytes(free)} are free at {cache}: choose another "
            f"folder with {param('cache')}, or keep less, as with {param('pool', 'avg')}",
            fails=True,
        )
    for made in forecasts:
        if memory is not None and made.memory is not None and made.memory > memory.available:
            yield Problem(
                f"{made.name} needs {gigabytes(made.memory)} of memory, and {gigabytes(memory.available)} are "
                "available: end other programs, or use a smaller base or size",
                fails=made.memory > memory.total,
            )
