"""Features of a data set as arrays, read from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import Picture
from featstore.errors import StoreError
from featstore.features.stored_array import StoredArray
from featstore.store.reader import RowReader
from featstore.store.rowid import PLAIN_VIEW, SIZE, RowId, row_id


class Features(NamedTuple):
    """Rows in the order of the pictures they belong to.

    X: (n, width) float32, or (n, h, w, channels) where maps were kept. y: (n,) labels as str, '' where there is none.
    ids: (n,) content digests of the image files, SHA-256 in hex.
    """

    X: NDArray[np.float32]
    y: NDArray[np.str_]
    ids: NDArray[np.str_]


class OpenFeatures(NamedTuple):
    """As Features, but the rows are read when they are asked for.

    X: (n, width) or (n, h, w, channels), float16 or float32 as they are stored; see StoredArray for what it can do.
    """

    X: StoredArray
    y: NDArray[np.str_]
    ids: NDArray[np.str_]


def open_rows(pictures: Sequence[Picture], store: RowReader, view: int = PLAIN_VIEW) -> OpenFeatures:
    """As `gather`, for more rows than memory holds."""
    rows = b"".join(row for (row,) in _row_ids(pictures, store, (view,)))
    X = StoredArray(store, np.frombuffer(rows, f"V{SIZE}"))
    return OpenFeatures(X, labels_of(pictures), digests_of(pictures))


def gather(pictures: Sequence[Picture], store: RowReader, view: int = PLAIN_VIEW) -> Features:
    """The rows of one view of `pictures`, which need their digests; raises StoreError if one is not in the cache."""
    rows = gather_views(pictures, store, (view,))[:, 0]
    return Features(rows, labels_of(pictures), digests_of(pictures))


def gather_views(pictures: Sequence[Picture], store: RowReader, views: Sequence[int]) -> NDArray[np.float32]:
    """The rows of `pictures` by view: (n, views, ...); raises StoreError if one is not in the cache."""
    ids = _row_ids(pictures, store, views)
    rows = store.read([row for image in ids for row in image])
    return rows.astype(np.float32, copy=False).reshape(len(pictures), len(views), *rows.shape[1:])


def labels_of(pictures: Sequence[Picture]) -> NDArray[np.str_]:
    """(n,) labels as str, '' where there is none."""
    return np.array(["" if p.label is None else p.label for p in pictures], str)


def digests_of(pictures: Sequence[Picture]) -> NDArray[np.str_]:
    """(n,) SHA-256 of the image files in hex."""
    return np.array([p.digest for p in pictures], str)


def _row_ids(pictures: Sequence[Picture], store: RowReader, views: Sequence[int]) -> list[list[RowId]]:
    """By picture and view; raises StoreError if one is not in the cache."""
    ids = [[row_id(p.digest, view) for view in views] if p.known_digest else [] for p in pictures]
    absent = [p.path for p, rows in zip(pictures, ids, strict=True) if not rows or any(r not in store for r in rows)]
    if absent:
        raise StoreError(
            f"{len(absent)} of {len(pictures)} images have no features yet ({absent[0]}): extract them first"
        )
    return ids
