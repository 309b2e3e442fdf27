"""Features of a data set as arrays, read from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.errors import StoreError
from featstore.images.manifest import Picture
from featstore.store.rowid import PLAIN_VIEW, row_id
from featstore.store.rowstore import RowStore


class Features(NamedTuple):
    """Rows in the order of the pictures they belong to.

    X: (n, width) float32, or (n, h, w, channels) where maps were kept. y: (n,) labels as str, '' where there is none.
    ids: (n,) content digests of the image files, SHA-256 in hex.
    """

    X: NDArray[np.float32]
    y: NDArray[np.str_]
    ids: NDArray[np.str_]


def gather(pictures: Sequence[Picture], store: RowStore, view: int = PLAIN_VIEW) -> Features:
    """The rows of one view of `pictures`, which need their digests; raises StoreError if one is not in the cache."""
    rows = gather_views(pictures, store, (view,))[:, 0]
    return Features(rows, labels_of(pictures), np.array([p.digest or "" for p in pictures], str))


def gather_views(pictures: Sequence[Picture], store: RowStore, views: Sequence[int]) -> NDArray[np.float32]:
    """The rows of `pictures` by view: (n, views, ...); raises StoreError if one is not in the cache."""
    ids = [[row_id(p.digest, view) for view in views] if p.digest else [] for p in pictures]
    absent = [p.path for p, rows in zip(pictures, ids, strict=True) if not rows or any(r not in store for r in rows)]
    if absent:
        raise StoreError(
            f"{len(absent)} of {len(pictures)} images have no features yet ({absent[0]}): extract them first"
        )
    rows = store.read([row for image in ids for row in image])
    return rows.astype(np.float32, copy=False).reshape(len(pictures), len(views), *rows.shape[1:])


def labels_of(pictures: Sequence[Picture]) -> NDArray[np.str_]:
    """(n,) labels as str, '' where there is none."""
    return np.array([p.label or "" for p in pictures], str)
