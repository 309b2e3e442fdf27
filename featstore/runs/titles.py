"""The title of a run in its pictures: data, head, base with its width, and size."""

from __future__ import annotations

from pathlib import Path

from featstore.extraction.recipe import Recipe
from featstore.runs.run import Run


def title_of(run: Run) -> str:
    """Return the title, as in `cats_dogs: bn-dropout on MobileNet 0.25, 224 px`."""
    bases = dict.fromkeys(map(_base_name, run.recipes))
    sizes = dict.fromkeys((spec.reading.height, spec.reading.width) for spec in run.specs)
    sides = (str(height) if height == width else f"{height}×{width}" for height, width in sizes)
    return f"{Path(run.data).stem}: {run.head} on {' + '.join(bases)}, {' + '.join(sides)} px"


def tuned_title(head_run: Run, first_trained: str | None) -> str:
    """Return the title of a run that was fine-tuned from a layer on; None stands for the whole network."""
    return f"{title_of(head_run)}, then fine-tuned {f'from {first_trained} on' if first_trained else 'as a whole'}"


def _base_name(recipe: Recipe) -> str:
    """Return the base as its users call it, with a width that is not 1, and random weights."""
    width = "" if recipe.alpha in (None, 1.0) else f" {recipe.alpha:g}"
    return f"{Path(recipe.model).stem}{width}{' (random weights)' if recipe.weights == 'random' else ''}"
