"""Features of a data set as arrays, read from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import Picture
from featstore.datasets.units import unit_names
from featstore.errors import StoreError
from featstore.evaluation.units import Units
from featstore.features.stored_array import StoredArray
from featstore.store.reader import RowReader
from featstore.store.rowid import PLAIN_VIEW, SIZE, RowId, row_id


class Features(NamedTuple):
    """The features of n images in memory, in the order of the manifest.

    Attributes:
        X: Features, (n, width) float32, or (n, h, w, channels) for unpooled maps.
        y: Labels, (n,) str; '' for an image without a label.
        ids: Digests of the image files, (n,) str: SHA-256 in hex.
    """

    X: NDArray[np.float32]
    y: NDArray[np.str_]
    ids: NDArray[np.str_]


class OpenFeatures(NamedTuple):
    """The features of n images on disk, in the order of the manifest.

    Attributes:
        X: Features, (n, width) or (n, h, w, channels) in their stored dtype, float16 or float32. Rows are read when
            they are used; see StoredArray.
        y: Labels, (n,) str; '' for an image without a label.
        ids: Digests of the image files, (n,) str: SHA-256 in hex.
    """

    X: StoredArray
    y: NDArray[np.str_]
    ids: NDArray[np.str_]


def units_of(pictures: Sequence[Picture]) -> Units:
    """Return which of `pictures` count as one: see `unit_names`."""
    return Units(unit_names(pictures))


def open_rows(pictures: Sequence[Picture], store: RowReader, view: int = PLAIN_VIEW) -> OpenFeatures:
    """Return the rows of one view of `pictures` without reading them; raises StoreError if one is not in the cache."""
    return OpenFeatures(stored_rows(pictures, store, view), labels_of(pictures), digests_of(pictures))


def stored_rows(pictures: Sequence[Picture], store: RowReader, view: int = PLAIN_VIEW) -> StoredArray:
    """Return what `open_rows` does without labels and digests, whose text takes more memory than the ids."""
    rows = b"".join(row for (row,) in _row_ids(pictures, store, (view,)))
    return StoredArray(store, np.frombuffer(rows, f"V{SIZE}"))


def gather(pictures: Sequence[Picture], store: RowReader, view: int = PLAIN_VIEW) -> Features:
    """Return the rows of one view of `pictures`; raises StoreError if one is not in the cache."""
    rows = gather_views(pictures, store, (view,))[:, 0]
    return Features(rows, labels_of(pictures), digests_of(pictures))


def gather_views(pictures: Sequence[Picture], store: RowReader, views: Sequence[int]) -> NDArray[np.float32]:
    """Return the rows of `pictures`, (n, views, ...) float32; raises StoreError if one is not in the cache."""
    ids = _row_ids(pictures, store, views)
    rows = store.read([row for image in ids for row in image])
    return rows.astype(np.float32, copy=False).reshape(len(pictures), len(views), *rows.shape[1:])


def labels_of(pictures: Sequence[Picture]) -> NDArray[np.str_]:
    """Return (n,) labels as str; '' for an image without a label."""
    return np.array(["" if p.label is None else p.label for p in pictures], str)


def classes_of(pictures: Sequence[Picture], classes: Sequence[str]) -> NDArray[np.intp]:
    """Return the class (n,) of each labelled picture, as its place in `classes`."""
    place = {name: number for number, name in enumerate(classes)}
    return np.array([place[p.class_name] for p in pictures], np.intp)


def digests_of(pictures: Sequence[Picture]) -> NDArray[np.str_]:
    """Return (n,) SHA-256 of the image files in hex."""
    return np.array([p.digest for p in pictures], str)


def _row_ids(pictures: Sequence[Picture], store: RowReader, views: Sequence[int]) -> list[list[RowId]]:
    """Return the row ids by picture and view; raises StoreError if a row is not in the cache."""
    ids = [[row_id(p.digest, view) for view in views] if p.known_digest else [] for p in pictures]
    absent = [p.path for p, rows in zip(pictures, ids, strict=True) if not rows or any(r not in store for r in rows)]
    if absent:
        raise StoreError(
            f"{len(absent)} of {len(pictures)} images have no features yet ({absent[0]}): extract them first"
        )
    return ids
