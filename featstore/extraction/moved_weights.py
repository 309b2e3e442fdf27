"""Weights that were moved: found by their digest, under any name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from featstore.bases.loadable import identify
from featstore.bases.misfit import owner_of
from featstore.bases.weights_file import count_numbers
from featstore.bases.whereabouts import files_like
from featstore.errors import FeatstoreError
from featstore.extraction.recipe import Recipe
from featstore.spec import FeatureSpec
from featstore.system.private_copy import hash_file
from featstore.system.tensorflow_loader import load_tensorflow


def find_weights(recipe: Recipe, spec: FeatureSpec, beside: Path) -> Recipe:
    """Return `recipe` with the file that it names, or that file where it is now; as it is if it is nowhere.

    The digest of a network in a file is that of its bytes. That of other weights is over their arrays, which takes
    TensorFlow. So a single file of weights that may be the one is taken, and is compared when it is loaded, as always.

    spec: that the recipe was resolved to. beside: folder of the run.
    """
    path = recipe.path()
    if path is None or Path(path).exists():
        return recipe
    files = files_like(Path(path), beside)
    if recipe.source(must_exist=False).is_file:
        return _first(recipe, (file for file in files if _digest_of_network(file) == spec.weights))
    likely = [file for file in files if file.name == Path(path).name or _is_of(file, spec)]
    if len(likely) > 1:
        return _first(recipe, (file for file in likely if _digest_of_arrays(recipe, spec, file) == spec.weights))
    return _first(recipe, iter(likely))


def _first(recipe: Recipe, files: Iterator[Path]) -> Recipe:
    file = next(files, None)
    return recipe if file is None else recipe.with_weights(str(file))


def _is_of(file: Path, spec: FeatureSpec) -> bool:
    """Return whether the weights in `file` are as many as those of the base of `spec`, or of it with its classifier."""
    try:
        owner = owner_of(count_numbers(str(file)))
    except FeatstoreError:
        return False
    return owner is not None and (owner.name, owner.alpha) == (spec.model, spec.alpha)


def _digest_of_network(file: Path) -> str | None:
    try:
        return identify(file, hash_file(file).digest)
    except (FeatstoreError, OSError):
        return None


def _digest_of_arrays(recipe: Recipe, spec: FeatureSpec, file: Path) -> str | None:
    load_tensorflow()
    from featstore.bases.build import build_new

    try:
        return build_new(recipe.with_weights(str(file)).source(), spec.reading.height, spec.reading.width).digest
    except FeatstoreError:
        return None
