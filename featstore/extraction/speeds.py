"""The speed of bases on this machine, by engine and precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from featstore.engines.benchmark import Speed, measure_engines, precisions_here
from featstore.engines.precision import refusal
from featstore.errors import BaseUnavailable, UsageError, param
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.recipe import Recipe
from featstore.extraction.resolve import resolve_recipe, weights_state
from featstore.spec import Precision
from featstore.system.figures import figure
from featstore.system.pinned import pinned
from featstore.system.progress import Progress, Silent
from featstore.system.text import Shown, Table


@dataclass(frozen=True, repr=False)
class Speeds(Shown):
    """What was measured; `print` shows it as a table.

    Attributes:
        speeds: By model and size as text, such as `VGG16 at 224x224 px`.
    """

    speeds: dict[str, tuple[Speed, ...]]

    def parts(self) -> Iterator[Table]:
        """Yield the table: a row for each base, precision, engine and batch."""
        rows = []
        for base, speeds in self.speeds.items():
            first = speeds[0].rate
            for speed in speeds:
                times = figure(speed.rate / first, 2)
                row = [base, speed.precision, speed.engine, str(speed.batch), figure(speed.rate, 1), times]
                rows.append([*row, f"{speed.difference:.0e}"])
        yield Table(["base", "precision", "engine", "batch", "images/s", "times", "difference"], rows)

    def describe(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"speeds": {base: [asdict(speed) for speed in speeds] for base, speeds in self.speeds.items()}}


@pinned()
def measure_speeds(
    recipes: Sequence[Recipe],
    precisions: Sequence[Precision] = (),
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> Speeds:
    """Measure the bases of `recipes`, each in turn, on images that are in memory.

    precisions: default: all that this machine has. Raises BaseUnavailable for one that it has not, UsageError for
    `pixels`, and what `resolve_recipe` raises.
    """
    progress = progress or Silent()
    memory = Cache.at(cache).digests
    here = precisions_here()
    for precision in precisions:
        if precision not in here:
            raise BaseUnavailable(refusal(precision, "auto"))
    found = {}
    for recipe in recipes:
        source = recipe.source()
        if source.is_pixels:
            raise UsageError(f"{param('model', 'pixels')}: is not a network, so there is nothing to measure")
        spec = resolve_recipe(recipe, memory)
        height, width = spec.reading.height, spec.reading.width
        name = f"{recipe.model} at {height}x{width} px"
        progress.tell(name)
        found[name] = tuple(measure_engines(source, spec, weights_state(source, height, width), precisions or here))
    return Speeds(found)
