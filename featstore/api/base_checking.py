"""`featstore.check_base`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from featstore.api.common import CheckKeywords
from featstore.datasets.options import DataKeywords, split_keywords
from featstore.datasets.sources import DataLike, as_images
from featstore.errors import UsageError, param
from featstore.extraction.recipe import CheckOptions, Recipe
from featstore.system.fields import check_names
from featstore.system.paths import OnePath
from featstore.system.progress import Progress, displayed

if TYPE_CHECKING:
    from featstore.base_check.labelled import LabelledCheck
    from featstore.base_check.unlabelled import UnlabelledCheck
    from featstore.extraction.cache import CacheLike


def check_base(
    data: DataLike,
    *,
    preprocess: str | Sequence[str] = (),
    labels: OnePath | None = None,
    class_index: OnePath | None = None,
    views: str | Sequence[str] = (),
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[CheckKeywords],
) -> LabelledCheck | UnlabelledCheck:
    """Check the preprocessing of a base: by accuracy with labels, by statistics of any photos without.

    What the base was trained with is always measured too.

    Args:
        data: A folder of photos, or a table, arrays or images in memory. Folders that are named by classes, as
            `n01440764` or `tench`, are labels.
        preprocess: Variants to check. Default: all named ones.
        labels: A CSV path,label with numbers of classes from 0, WordNet ids or names, or `folders`: the names of the
            folders.
        class_index: File with the names of the classes, as Keras' imagenet_class_index.json, a list or lines. Default:
            that file, next to the weights or in ~/.keras/models.
        views: With labels, `one`, `flip`, `five` or `ten`, or several. Default: all four.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: Fields of `Recipe`: the base, and how images are read. And those of `DataOptions`.

    Returns:
        The check, with a `finding`, the `best` variant if one is right, and the verdict in words.

    Raises:
        UsageError: An option makes no sense, or the output of the base is not a classifier of these labels.
        DataError: A label is not known, or no image can be read.
        BaseUnavailable: The base or its weights cannot be loaded.
        StoreError: The cache cannot be read or written.
    """
    from featstore.base_check.job import check_base as check

    check_names("option", options, {**CheckOptions.__annotations__, **DataKeywords.__annotations__})
    reading, base = split_keywords(options)
    if "model" not in base:
        raise UsageError(f"{param('model')} is missing: name a base, as in {param('model', 'MobileNetV2')}")
    with displayed(progress) as display:
        return check(
            as_images(data, reading, cache),
            Recipe(**base),
            [preprocess] if isinstance(preprocess, str) else preprocess,
            labels=labels,
            class_index=class_index,
            views=[views] if isinstance(views, str) else views,
            cache=cache,
            progress=display,
        )
