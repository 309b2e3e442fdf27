"""Labels as people write them: cleaned, put in order, and compared."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

# What stands for a missing label, as pandas has it. `none` in small letters may be a class.
MISSING = {"", "nan", "NaN", "NAN", "None", "NULL", "null", "NA", "N/A", "n/a", "<NA>", "NaT", "#N/A", "-nan"}


def clean_label(text: str) -> str:
    """Return a label without blanks around it, in the one Unicode form NFC: a Mac writes `é` as two characters."""
    return unicodedata.normalize("NFC", text).strip()


def in_natural_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the different labels in order: numbers by their value, and `class2` before `class10`."""
    different = sorted(set(labels))
    numbers = {label: number for label in different if (number := _number(label)) is not None}
    if len(numbers) == len(different):
        return tuple(sorted(different, key=lambda label: numbers[label]))
    return tuple(sorted(different, key=_natural_key))


def alike_labels(labels: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of labels that differ only in case, blanks, Unicode form or the writing of a number."""
    groups: dict[str, list[str]] = defaultdict(list)
    for label in sorted(set(labels)):
        groups[fold_label(label)].append(label)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def fold_label(label: str) -> str:
    """Return what is left of a label without case, blanks, `-`, `_`, Unicode form and the writing of a number."""
    number = _number(label)
    if number is not None:
        return repr(number)
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", label).casefold())


def _number(label: str) -> float | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) else None  # `nan` and `inf` are words here


def _natural_key(label: str) -> list[tuple[int, str]]:
    """Return text and numbers in turn, so that like is compared with like."""
    parts = re.split(r"(\d+)", label)
    return [(int(part) if place % 2 else 0, part) for place, part in enumerate(parts)]
