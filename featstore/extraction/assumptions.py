"""What is assumed of a user's own weights: how their network was fed, which no file tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from featstore.bases.catalog import is_published
from featstore.bases.keras_file import scaling_layer
from featstore.errors import param, spelled
from featstore.extraction.recipe import Recipe

if TYPE_CHECKING:
    from featstore.system.progress import Progress


def tell_assumptions(recipes: Iterable[Recipe], progress: Progress | None) -> None:
    """Tell, before a job that a user has asked for, each assumption about the weights that it names."""
    if progress:
        for line in describe_assumptions(recipes):
            progress.tell(line)


def describe_assumptions(recipes: Iterable[Recipe]) -> list[str]:
    """Return a line for each file of weights or with a network that may have been trained on other numbers."""
    return list(dict.fromkeys(line for recipe in recipes for line in _lines(recipe)))


def _lines(recipe: Recipe) -> Iterator[str]:
    path, source = recipe.path(), recipe.source(must_exist=False)
    if path is None or source.is_pixels or not Path(path).is_file():  # the job itself says that there is no such file
        return
    if source.is_file:
        if recipe.preprocess != "raw" and (layer := scaling_layer(Path(path))):
            yield spelled(
                f"{path}: layer {layer!r} in it scales pixels already, and they are scaled before by "
                f"{param('preprocess', recipe.preprocess)}: if it was trained on pixels as they are, use "
                f"{param('preprocess', 'raw')}"
            )
        return
    info = source.info
    if recipe.preprocess == "keras" and info is not None and info.module and not is_published(info, Path(path).name):
        inside = ", and the network scales pixels itself," if info.preprocessing == "raw" else ""
        yield spelled(
            f"{path}: {param('preprocess', 'keras')} is {info.preprocessing} here{inside} as for the published weights "
            f"of {info.name}; if these were trained otherwise, say how with {param('preprocess')}: see "
            "docs/preprocessing.md, and featstore check-base"
        )
