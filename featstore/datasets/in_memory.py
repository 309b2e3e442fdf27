"""Data sets in memory: tables, mappings of columns, arrays, lists of paths or of images, and these with labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from featstore.datasets.array_files import scan_arrays, scan_pairs, scan_pixels
from featstore.datasets.arrays import is_image
from featstore.datasets.file_lists import list_images
from featstore.datasets.manifest import Manifest
from featstore.datasets.options import DataOptions
from featstore.datasets.table_files import TextTable, table_of_columns
from featstore.datasets.tables import scan_table
from featstore.errors import UsageError, param
from featstore.system.paths import is_path


class Frame(Protocol):
    """A table in memory, as pandas and polars have it."""

    @property
    def columns(self) -> Any: ...

    def __getitem__(self, name: Any, /) -> Any: ...


def from_memory(data: Any, options: DataOptions, cache: Path) -> Manifest:
    """Return the manifest of a data set in memory; arrays are written as images below the folder `cache`."""
    if isinstance(data, Mapping):
        columns = _columns_of(data)
        if any(_are_images(values) for values in columns.values()):
            return scan_arrays(columns, "arrays", options, cache)
        return scan_text_table(table_of_columns(columns, "table"), options, cache)
    if hasattr(data, "columns"):
        return scan_text_table(
            table_of_columns({str(name): list(data[name]) for name in data.columns}, "table"), options, cache
        )
    if isinstance(data, tuple) and len(data) == 2 and _has_labels(*data):
        return _from_pairs(data[0], data[1], options, cache)
    if is_image(data) and (len(getattr(data, "shape", ())) != 3 or data.shape[2] in (1, 3)):
        return scan_pairs([data], None, "image", options, cache)
    if _are_images(data):
        return scan_pairs(data, None, "images", options, cache)
    if not isinstance(data, Iterable):
        raise UsageError(
            f"{param('data')}: expected a path, a table, images or arrays, or a list of paths, found a "
            f"{type(data).__name__}"
        )
    items = list(data)
    if items and all(isinstance(item, tuple | list) and len(item) == 2 for item in items):
        return _from_pairs([first for first, _ in items], [second for _, second in items], options, cache)
    return list_images(items, options)


def _columns_of(data: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the columns by name; raises UsageError for a mapping of something else."""
    for name, values in data.items():
        if is_path(values) or not isinstance(values, Iterable):
            raise UsageError(
                f"{param('data')}: expected columns with a value for each image, found {values!r} as {name!r}"
            )
    return {str(name): values for name, values in data.items()}


def _from_pairs(first: Any, labels: Any, options: DataOptions, cache: Path) -> Manifest:
    if _are_images(first):
        return scan_pairs(first, labels, "images", options, cache)
    return scan_table(table_of_columns({"path": list(first), "label": list(labels)}, "list"), options)


def _has_labels(first: Any, second: Any) -> bool:
    """Return whether a tuple is (images or paths, labels), rather than two images or two paths."""
    are_several = _are_images(first) or (isinstance(first, Sequence) and not is_path(first))
    is_array = hasattr(first, "shape") and len(first.shape) > 0
    return (are_several or is_array) and hasattr(second, "__len__") and len(first) == len(second)


def _are_images(values: Any) -> bool:
    """Return whether `values` is an array of images, or a sequence whose first item is an image."""
    if hasattr(values, "dtype") and hasattr(values, "shape"):
        return len(values.shape) > 2
    return isinstance(values, Sequence) and len(values) > 0 and is_image(values[0])


def scan_text_table(table: TextTable, options: DataOptions, cache: Path) -> Manifest:
    """Return the manifest of a table of paths, or of one of pixels."""
    return scan_pixels(table, options, cache) if table.pixels else scan_table(table, options)
