"""Audits of drawn data sets, on a base that loads no TensorFlow."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from featstore.auditing.job import audit_data
from featstore.auditing.result import Audit
from featstore.datasets.manifest import Manifest
from featstore.extraction.recipe import Recipe
from helpers.photos import write_photos

PIXELS = Recipe(model="pixels", size=16)


def audit_photos(data: Path | Manifest, folder: Path | None = None, **options: Any) -> Audit:
    """Audit data by their pixels; the cache is beside them, or beside `folder`."""
    beside = folder or Path(str(data))
    return audit_data(data, PIXELS, cache=beside.parent / "cache", **options)


def write_splits(folder: Path, train: int = 12, val: int = 4, test: int = 6) -> Path:
    """Write a clean data set of discs and stripes, so many of each in each split."""
    first = 0
    for split, each in (("train", train), ("val", val), ("test", test)):
        write_photos(folder / split, each, first)
        first += each
    return folder


def copy_file(folder: Path, source: str, target: str) -> None:
    """Copy a file below `folder` byte for byte."""
    shutil.copy(folder / source, folder / target)


def copy_pixels(folder: Path, source: str, target: str) -> None:
    """Save the same pixels in another file."""
    with Image.open(folder / source) as image:
        image.save(folder / target, optimize=True, compress_level=1)
