"""Saving the features of a data set as a table, for tools that know nothing of the cache."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featstore.datasets.manifest import Manifest
from featstore.errors import UsageError, param
from featstore.extraction.cache import CacheLike
from featstore.features.load import open_features, pictures_of
from featstore.features.table_files import FeatureTable, table_kind, write_table
from featstore.spec import FeatureSpec
from featstore.system.environment import versions
from featstore.system.files import written_in_parts
from featstore.system.paths import OnePath, one_path
from featstore.system.progress import OnStep, Progress, displayed

if TYPE_CHECKING:
    from featstore.features.stored_array import StoredArray

BLOCK_BYTES = 2**23  # also the size of a row group of Parquet, of which its writer keeps several copies


def save_features(
    manifest: Manifest,
    spec: FeatureSpec,
    path: OnePath,
    *,
    split: str | None = None,
    cache: CacheLike = None,
    progress: bool | Progress = False,
) -> Path:
    """Save the features of the plain view of each image as a table: a row for each image.

    Its columns are `path`, `label`, `split`, `group` where there are groups, `digest`, and the features as `vector`: a
    list of float32 in Parquet, a column f0, f1, ... for each number in CSV, an array in .npz. The key, the spec, the
    shape of a row and the versions are the metadata of the Parquet file, and arrays in .npz. The file is written block
    by block, and gets its name when it is complete.

    Args:
        manifest: The images, from `extract(...).manifest`, so that their digests are known.
        spec: The features, from `extract(...).features`.
        path: The file: .parquet, .csv or .npz.
        split: Only images of this split: train, val or test. Default: all images.
        cache: Folder or URL of the features, or a Cache. Default: $FEATSTORE_CACHE, or `cache` in the working folder.
        progress: Whether to show a display on standard error, or a `Progress` of your own.

    Returns:
        The path of the file.

    Raises:
        UsageError: If `path` has another ending or no folder, if pyarrow is missing, or if there is no such split.
        DataError: If no image of the manifest is in the split.
        StoreError: If an image has no features in the cache, or if the file cannot be written.
    """
    target = Path(one_path(path, "path"))
    kind = table_kind(target, "path")
    if not target.parent.is_dir():
        raise UsageError(f"{param('path', str(target))}: there is no folder {target.parent}; make it first")
    pictures = pictures_of(manifest, split)
    rows = open_features(manifest, spec, split=split, cache=cache).X
    columns: dict[str, list[str | None]] = {
        "path": [p.path for p in pictures],
        "label": [p.label for p in pictures],
        "split": [p.split for p in pictures],
        "group": [p.group for p in pictures],
        "digest": [p.digest for p in pictures],
    }
    if not any(columns["group"]):
        del columns["group"]
    facts = {
        "key": spec.key,
        "spec": spec.to_json(),
        "shape": json.dumps(rows.shape[1:]),
        "versions": json.dumps(versions(), sort_keys=True),
    }
    with displayed(progress) as display, written_in_parts(target.resolve()) as file:
        blocks = _blocks(rows, display.steps("writing", "rows"))
        write_table(file, FeatureTable(columns, rows.shape[1:], blocks, facts), kind)
    return target


def _blocks(rows: StoredArray, on_step: OnStep) -> Iterator[NDArray[np.float32]]:
    """Yield all rows in float32, read and not mapped: maps of a large file would fill the memory all the same."""
    at_once = max(1, BLOCK_BYTES // (4 * max(1, math.prod(rows.shape[1:]))))
    for start in range(0, len(rows), at_once):
        block = rows.read(slice(start, start + at_once)).astype(np.float32, copy=False)
        on_step(start, len(rows))
        yield block
    on_step(len(rows), len(rows))
