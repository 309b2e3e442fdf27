"""A scikit-learn transformer from images to bottleneck features, with the cache behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from featstore.errors import UnreadableImage, UsageError, param
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.encoder import check_layer
from featstore.extraction.pipeline import extract_features
from featstore.extraction.plan import Plan, make_plan
from featstore.extraction.recipe import Recipe
from featstore.features.inputs import ImagesLike, list_images, settle_images
from featstore.features.views import load_views
from featstore.images.reading import ALL_BITS, Fit, Interpolation, ReadingName, Size
from featstore.images.views import parse_views
from featstore.spec import LAST_ACTIVATION, Dtype, Pool, Precision
from featstore.system.pinned import pinned
from featstore.system.progress import Progress, displayed

if TYPE_CHECKING:  # scikit-learn has no types: with its classes as bases a type checker would take any argument

    class _Transformer:
        def fit_transform(self, X: ImagesLike, y: Any = None) -> NDArray[np.float32]: ...

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...

        def set_params(self, **params: Any) -> Self: ...

        def set_output(self, *, transform: str | None = None) -> Self: ...

else:

    class _Transformer(TransformerMixin, BaseEstimator):
        """What scikit-learn adds to a transformer."""


@dataclass(eq=False, repr=False)  # scikit-learn reads the parameters off the signature and has its own repr
class Bottleneck(_Transformer):
    """A scikit-learn transformer from n images, or their paths, to features (n, width) float32.

    It learns nothing, so it works in a `Pipeline`, a `ColumnTransformer` and a `GridSearchCV`. The base runs once for
    each setting; later calls read the cache. Images in memory are known by their pixels, and kept as files below the
    cache.

    Args:
        model: As every parameter not listed here, the field of `Recipe` with this name.
        fit_mode: The field `fit` of `Recipe`; `fit` is a method here.
        views: one, flip, five or ten. With several views a row is their mean.
        cache: Folder or URL of the features, or a Cache. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
    """

    model: str = "tiny"
    weights: str | None = None
    alpha: float | None = None
    preprocess: str = "keras"
    size: Size | None = None
    fit_mode: Fit | None = None
    interpolation: Interpolation = "bilinear"
    reading: ReadingName = "pillow"
    bits: int = ALL_BITS
    layer: str = LAST_ACTIVATION
    pool: Pool | None = None
    dtype: Dtype = "float16"
    precision: Precision = "float32"
    views: str = "one"
    resize: Size | None = None
    scales: str | None = None
    weights_seed: int = 0
    cache: CacheLike = None
    progress: bool | Progress = False

    @pinned()
    def fit(self, X: ImagesLike, y: Any = None) -> Bottleneck:
        """Check the parameters; nothing is learned.

        Args:
            X: As for `transform`. Nothing is read.
            y: Labels; not used.

        Returns:
            The transformer itself.

        Raises:
            UsageError: If the parameters do not fit each other or the base, or if `views` are augmented; if `X` has
                neither images nor paths, it is a ValueError too.
            BaseUnavailable: If the base or its weights are not available.
        """
        if not isinstance(X, Iterator):  # which would be used up
            settle_images(X)
        cache = Cache.at(self.cache)
        plan = self._plan(cache)
        if parse_views(self.views)[1]:
            raise UsageError(f"{param('views', self.views)}: a transformer does not know which images are for training")
        if cache.store(plan.spec).row_shape is None:  # else the layer was found before
            check_layer(plan.recipe.source(), plan.spec)
        return self

    @pinned()
    def transform(self, X: ImagesLike) -> NDArray[np.float32]:
        """Return the features of images, from the cache or computed now.

        Args:
            X: Paths of n image files, or n images, which are arrays (height, width) or (height, width, 3) or objects
                of Pillow: a list, a Series, an array, a table of one column, or the column `path` of a table. Or an
                array (n, height, width) or (n, height, width, 3).

        Returns:
            Features, (n, width) float32 in the order of `X`, or (n, h, w, channels) with pool="none".

        Raises:
            UsageError: If `X` has neither images nor paths, or images whose numbers may mean one thing or another; it
                is a ValueError too.
            UnreadableImage: If a path is a folder, or if a file cannot be read: a transformer cannot drop rows.
            StoreError: If the cache cannot be read or written.
        """
        cache = Cache.at(self.cache)
        images = list_images(X, cache.local)
        with displayed(self.progress) as display:
            extraction = extract_features(images, [self._recipe()], cache, display)
        if extraction.manifest.skipped:
            path, reason = extraction.manifest.skipped[0]
            raise UnreadableImage(f"{path}: {reason}; leave it out, a transformer needs a row for every path")
        views = load_views(extraction.manifest.pictures, extraction.plans, cache)
        return views[:, 0] if views.shape[1] == 1 else views.mean(axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return a name for each column: the base with a number, as in `MobileNetV2_0`.

        scikit-learn calls this after `transform`, for tables of pandas or polars.

        Args:
            input_features: Not used.

        Returns:
            (width,) texts.

        Raises:
            UsageError: If no features have been extracted yet, or if a row is a map.
        """
        cache = Cache.at(self.cache)
        plan = self._plan(cache)
        shape = cache.store(plan.spec).row_shape
        if shape is None:
            raise UsageError("the width of the features is not known yet: call `transform` first")
        if len(shape) > 1:
            raise UsageError(f"a row is a map of {'x'.join(map(str, shape))}, not columns: use {param('pool', 'avg')}")
        return np.array([f"{plan.spec.model}_{number}" for number in range(shape[0])], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn may know: X has paths or images, no matrix of numbers, and nothing is learned."""
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.string = tags.input_tags.one_d_array = tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        tags.requires_fit = False
        return tags

    def _plan(self, cache: Cache) -> Plan:
        return make_plan(self._recipe(), cache.digests)

    def _recipe(self) -> Recipe:
        options = self.get_params(deep=False)
        del options["cache"], options["progress"]
        options["fit"] = options.pop("fit_mode")
        return Recipe(**options)
