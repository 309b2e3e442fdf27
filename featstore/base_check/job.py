"""The check of a base: by accuracy where there are labels, by statistics where there are none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from featstore.base_check.class_index import ClassIndex, find_class_index, read_class_index
from featstore.base_check.labelled import LabelledCheck, check_labelled, check_views
from featstore.base_check.labels import labels_of_folders, read_labels
from featstore.base_check.unlabelled import UnlabelledCheck, check_unlabelled
from featstore.base_check.variants import has_classifier
from featstore.bases.weights_file import IMAGENET_CLASSES
from featstore.datasets.sources import DataLike, as_images
from featstore.errors import DataError, UsageError, param
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.recipe import Recipe
from featstore.extraction.recipe_grid import refuse_idle_seed
from featstore.images.preprocessing import settle_variant
from featstore.images.reading import parse_size
from featstore.images.views import settle_views
from featstore.system.paths import OnePath
from featstore.system.pinned import pinned
from featstore.system.progress import Progress


@pinned()
def check_base(
    data: DataLike,
    recipe: Recipe,
    variants: Sequence[str] = (),
    *,
    labels: OnePath | None = None,
    class_index: OnePath | None = None,
    views: Sequence[str] = (),
    cache: CacheLike = None,
    progress: Progress | None = None,
) -> LabelledCheck | UnlabelledCheck:
    """Check with which of `variants` (by default all) the preprocessing of the base of `recipe` is right.

    labels: see `read_labels`. Without them, folders that are named by classes give the labels. class_index: file of the
    classes; by default ImageNet's, from the folder of the weights or Keras' own. views and the scales of `recipe` are
    for labelled images only.

    Raises UsageError for options that make no sense together, and DataError for labels that cannot be read and where
    there is no image.
    """
    variants, views = list(map(settle_variant, variants)), list(map(settle_views, views))
    check_views(views)
    refuse_idle_seed([recipe], recipe.weights_seed)
    base = recipe.source()
    if base.is_pixels:
        raise UsageError(f"{param('model', recipe.model)}: is not a network, so no preprocessing is right for it")
    found = as_images(data, None, cache)
    source = os.fspath(found.source)
    if not found.pictures:
        why = "".join(f": {path}: {reason}" for path, reason in found.skipped[:1])
        raise DataError(f"{source}: no image files found{why}")
    size = base.default_size() if recipe.size is None else parse_size(str(recipe.size))
    index = find_class_index(base.weights_file(*size))
    if class_index is not None:
        index = replace(read_class_index(class_index), is_given=True)
    notes = list(found.notes)
    read = note = None
    if labels is not None:
        classes = IMAGENET_CLASSES if base.info else len(index.names) if index and index.is_given else None
        read = read_labels(labels, source, found.pictures, index, classes)
    elif has_classifier(recipe) or (base.is_file and class_index):
        read, note = labels_of_folders(found.pictures, index)
        notes += [note] if note else []
    names = index or ClassIndex(())
    if read is not None:
        return check_labelled(found, read, recipe, variants, views, names, Cache.at(cache), notes, progress)
    for name, value in (("views", next(iter(views), None)), ("scales", recipe.scales)):
        if value:
            why = f"; {note}" if note else ""
            raise UsageError(
                f"{param(name, value)}: needs {param('labels')}; without them one view of each photo is used{why}"
            )
    return check_unlabelled(found, recipe, variants, names, Cache.at(cache), notes, progress)
