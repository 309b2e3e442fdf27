"""`featstore.find_lr`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from featstore.api.common import FeatureKeywords, refuse_head_parameters
from featstore.datasets.options import split_keywords
from featstore.datasets.sources import DataLike, Source
from featstore.extraction.recipe_grid import make_recipes
from featstore.system.progress import Progress, displayed
from featstore.training.head_recipe import HeadRecipe

if TYPE_CHECKING:
    from featstore.extraction.cache import CacheLike
    from featstore.heads.registry import HeadName
    from featstore.training.head_recipe import TrainOn
    from featstore.training.rate_finding import FoundRate


def find_lr(
    data: DataLike,
    head: HeadName = "bn-dropout",
    parameters: Mapping[str, Any] | None = None,
    *,
    concat: bool = False,
    train_on: TrainOn | None = None,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    seed: int = 0,
    cache: CacheLike = None,
    progress: bool | Progress = False,
    **options: Unpack[FeatureKeywords],
) -> FoundRate:
    """Suggest a learning rate for a Keras head; missing features are extracted first.

    The head is trained while its rate grows by the same factor in each step, until the loss diverges (Smith 2017).

    Args:
        data: As for `extract`. Only the training split is used.
        head: Name of a head with a learning rate.
        parameters: Other parameters of the head, as in `{"p": 0.6}`.
        concat: Whether to put the features of several models side by side.
        train_on: With several views, `plain` trains on one of them, `all` on each. Default: `plain`.
        val_fraction: Share of the images for validation where there is no such split, 0 to 1.
        test_fraction: Share of the images for testing where there are no splits, 0 to 1.
        seed: Seed of the head, and of random weights unless `weights_seed` is given.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **options: The fields of `Recipe` and `DataOptions`, as for `extract`; a list of models needs `concat`.

    Returns:
        The suggested rate, and the losses at all rates; `save_plot` draws them.

    Raises:
        UsageError: An option, the head or one of its parameters is not known; the head has no learning rate.
        DataError: There are fewer than two classes, or nothing to train on.
        BaseUnavailable: The base or its weights cannot be loaded.
        StoreError: The cache cannot be read or written.
    """
    from featstore.heads.registry import HEADS
    from featstore.training.job import check_side_by_side
    from featstore.training.rate_finding import check_has_rate, find_rate

    how = HeadRecipe(head=head, parameters=parameters or {}, seed=seed, train_on=train_on)
    refuse_head_parameters(options)
    check_has_rate(how)
    reading, features = split_keywords(options)
    if own_base := HEADS[how.head].base:
        features.setdefault("model", own_base)
    recipes = make_recipes(seed, **features)
    check_side_by_side(recipes, concat)
    with displayed(progress) as display:
        return find_rate(
            Source(data, reading, cache),
            recipes,
            how,
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            cache=cache,
            progress=display,
        )
