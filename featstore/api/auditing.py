"""`featstore.audit`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from featstore.api.common import FeatureKeywords
from featstore.datasets.options import split_keywords
from featstore.datasets.sources import DataLike, Source
from featstore.extraction.recipe_grid import make_recipes
from featstore.system.paths import OnePath
from featstore.system.progress import Progress, displayed

if TYPE_CHECKING:
    from featstore.auditing.result import Audit
    from featstore.extraction.cache import CacheLike


def audit(
    data: DataLike,
    *,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    val_as_test: bool = False,
    seed: int = 0,
    fix_split: OnePath | None = None,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[FeatureKeywords],
) -> Audit:
    """Say whether figures on a data set may be believed, and which of its images to look at.

    Missing features are extracted first. Nothing is moved, deleted or relabelled.

    Args:
        data: As for `extract`. Splits that it does not bring are made as for `train_head`. Without labels, or with one
            class only, what needs labels is not checked.
        val_fraction: Share of the images for validation where there is no such split, 0 to 1.
        test_fraction: Share of the images for testing where there are no splits, 0 to 1.
        val_as_test: Whether to measure on the validation split, where there is no test split.
        seed: Seed of all that is drawn, and of random weights unless `weights_seed` is given.
        fix_split: File for a table of the images with splits in which copies and groups stay on one side. Default:
            none; `audit.fix` has it in any case.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: The fields of `Recipe` and `DataOptions`, as for `extract`; one value of each.

    Returns:
        The checks, the most serious first: `audit.is_believable`, `audit["leaks"].findings`, `audit.save("audit.csv")`.

    Raises:
        UsageError: An option makes no sense.
        DataError: No image can be read.
        BaseUnavailable: The base or its weights cannot be loaded.
        StoreError: The cache or the table cannot be read or written.
    """
    from featstore.auditing.job import audit_data, one_recipe

    reading, features = split_keywords(options)
    recipe = one_recipe(make_recipes(seed, **features))
    with displayed(progress) as display:
        found = audit_data(
            Source(data, reading, cache),
            recipe,
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            val_as_test=val_as_test,
            seed=seed,
            cache=cache,
            progress=display,
        )
    if fix_split is not None:
        found.save_fixed_split(fix_split)
    return found
