"""Features of a data set as arrays, read from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.errors import StoreError
from featstore.images.manifest import Picture
from featstore.store.rowid import row_id
from featstore.store.rowstore import RowStore


class Features(NamedTuple):
    """Rows in the order of the pictures they belong to.

    X: (n, width) float32, or (n, h, w, channels) where maps were kept. y: (n,) labels as str, '' where there is none.
    ids: (n,) content digests of the image files, SHA-256 in hex.
    """

    X: NDArray[np.float32]
    y: NDArray[np.str_]
    ids: NDArray[np.str_]


def gather(pictures: Sequence[Picture], store: RowStore) -> Features:
    """The rows of `pictures`, which need their digests; raises StoreError if one is not in the cache."""
    absent = [p.path for p in pictures if p.digest is None or row_id(p.digest) not in store]
    if absent:
        raise StoreError(
            f"{len(absent)} of {len(pictures)} images have no features yet ({absent[0]}): extract them first"
        )
    digests = [p.digest or "" for p in pictures]
    rows = store.read([row_id(d) for d in digests])
    return Features(
        rows.astype(np.float32, copy=False), np.array([p.label or "" for p in pictures], str), np.array(digests, str)
    )
