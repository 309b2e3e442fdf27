"""Tars by their names: patterns like `train-{0000..0009}.tar`, and the splits that names say."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from featstore.datasets.split_names import splits_named
from featstore.errors import DataError
from featstore.system.member_paths import BRACES

TAR = ".tar"
_COMPRESSED = (".tgz", ".tbz2", ".txz", *(f".tar.{kind}" for kind in ("gz", "bz2", "xz", "zst", "lz4")))
_MOST_TARS = 1_000_000


def is_tar_name(path: str) -> bool:
    """Return whether a path ends like that of a tar, compressed or not: the latter are refused when they are opened."""
    return path.lower().endswith((TAR, *_COMPRESSED))


def expand_pattern(pattern: str) -> list[str]:
    """Return the paths that a pattern stands for, as a shell expands it: `{0..9}`, `{000..120}`, `{train,val}`.

    Raises DataError for a pattern of more than a million.
    """
    paths = [pattern]
    while found := BRACES.search(paths[0]):
        if len(paths) * _number_of_choices(found) > _MOST_TARS:
            raise DataError(f"{pattern}: stands for more than {_MOST_TARS:,} tars: give a part of them")
        paths = [
            path[: at.start()] + choice + path[at.end() :]
            for path in paths
            if (at := BRACES.search(path))
            for choice in _choices(at)
        ]
    return list(dict.fromkeys(paths))


def _number_of_choices(found: re.Match[str]) -> int:
    first, last, names = found.groups()
    return names.count(",") + 1 if names is not None else abs(int(last) - int(first)) + 1


def _choices(found: re.Match[str]) -> Iterator[str]:
    first, last, names = found.groups()
    if names is not None:
        yield from names.split(",")
        return
    is_padded = any(len(number) > 1 and number.startswith("0") for number in (first, last))
    width = max(len(first), len(last)) if is_padded else 0
    step = 1 if int(first) <= int(last) else -1
    for number in range(int(first), int(last) + step, step):
        yield str(number).zfill(width)


def splits_of_tars(source: str, paths: Sequence[str], one_is_enough: bool) -> list[str]:
    """Return the split that the name of each tar says, `val` for `imagenet-val-000012.tar`; empty where none does.

    one_is_enough: whether names say splits also if all say the same one. A folder of training tars is one split, as a
    folder with nothing but `train` in it; tars that a user names one by one are a whole data set. Raises DataError if
    some names say a split and others do not.
    """
    families = [re.sub(r"\d+", "", os.path.splitext(os.path.basename(path))[0]) for path in paths]
    found = splits_named(sorted(set(families)))
    if not found or (len(set(found.values())) == 1 and not one_is_enough):
        return [""] * len(paths)
    for path, family in zip(paths, families, strict=True):
        if family not in found:
            named = next(other for other, of_it in zip(paths, families, strict=True) if of_it in found)
            raise DataError(
                f"{source}: {os.path.basename(named)} names a split, but {os.path.basename(path)} does not: rename it, "
                f"or name the tars that count, as in '{os.path.join(source, 'train-{000..009}.tar')}'"
            )
    return [found[family] for family in families]
