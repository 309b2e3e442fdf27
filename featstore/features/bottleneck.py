"""A scikit-learn transformer from paths of images to bottleneck features, with the cache behind it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from featstore.datasets.sources import list_files
from featstore.errors import UnreadableImage, UsageError, param
from featstore.extraction.cache import Cache, CacheLike
from featstore.extraction.pipeline import extract_features
from featstore.extraction.recipe import Recipe
from featstore.features.views import load_views
from featstore.images.reading import ALL_BITS, Fit, Interpolation, ReadingName, Size
from featstore.images.views import parse_views
from featstore.spec import LAST_ACTIVATION, Dtype, Pool
from featstore.system.pinned import pinned

ImagePath = str | os.PathLike[str]


if TYPE_CHECKING:  # scikit-learn has no types: with its classes as bases a type checker would take any argument

    class _Transformer:
        def fit_transform(self, X: Sequence[ImagePath], y: Any = None) -> NDArray[np.float32]: ...

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...

        def set_params(self, **params: Any) -> Self: ...

else:

    class _Transformer(TransformerMixin, BaseEstimator):
        """What scikit-learn adds to a transformer."""


@dataclass(eq=False, repr=False)  # scikit-learn reads the parameters off the signature and has its own repr
class Bottleneck(_Transformer):
    """A scikit-learn transformer from paths of image files (n,) to features (n, width) float32.

    It learns nothing, so it works in a `Pipeline` and in a `GridSearchCV`. The base runs once for each setting; later
    calls read the cache.

    Args:
        model: As every parameter not listed here, the field of `Recipe` with this name.
        fit_mode: The field `fit` of `Recipe`; `fit` is a method here.
        views: one, flip, five or ten. With several views a row is their mean.
        cache: Folder of the features, or a Cache. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
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
    views: str = "one"
    resize: Size | None = None
    scales: str | None = None
    weights_seed: int = 0
    cache: CacheLike = None

    def fit(self, X: Sequence[ImagePath], y: Any = None) -> Bottleneck:
        """Check the parameters; nothing is learned.

        Args:
            X: Paths of images; not used.
            y: Labels; not used.

        Returns:
            The transformer itself.

        Raises:
            UsageError: If the parameters do not fit each other, or if `views` are augmented.
            BaseUnavailable: If the base or its weights are not available.
        """
        self._recipe().source()
        if parse_views(self.views)[1]:
            raise UsageError(f"{param('views', self.views)}: a transformer does not know which images are for training")
        return self

    @pinned()
    def transform(self, X: Sequence[ImagePath]) -> NDArray[np.float32]:
        """Return the features of images, from the cache or computed now.

        Args:
            X: Paths of n image files.

        Returns:
            Features, (n, width) float32 in the order of `X`, or (n, h, w, channels) with pool="none".

        Raises:
            UnreadableImage: If a path is a folder, or if a file cannot be read: a transformer cannot drop rows.
            StoreError: If the cache cannot be read or written.
        """
        folders = [path for path in X if os.path.isdir(path)]
        if folders:
            raise UnreadableImage(f"{folders[0]}: is a folder: name its images one by one")
        cache = Cache.at(self.cache)
        extraction = extract_features(list_files(list(X)), [self._recipe()], cache)
        if extraction.manifest.skipped:
            path, reason = extraction.manifest.skipped[0]
            raise UnreadableImage(f"{path}: {reason}; leave it out, a transformer needs a row for every path")
        views = load_views(extraction.manifest.pictures, extraction.plans, cache)
        return views[:, 0] if views.shape[1] == 1 else views.mean(axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _recipe(self) -> Recipe:
        options = self.get_params(deep=False)
        del options["cache"]
        options["fit"] = options.pop("fit_mode")
        return Recipe(**options)
