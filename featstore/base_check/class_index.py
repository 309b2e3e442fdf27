"""The index of classes: which number of a classifier's output is which class, by WordNet id and by name.

Keras downloads the index of ImageNet, `imagenet_class_index.json`, when it first decodes predictions. Nothing is
downloaded here.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featstore.bases.weights_file import IMAGENET_CLASSES
from featstore.bases.whereabouts import keras_models
from featstore.errors import DataError, UsageError, param

IMAGENET_FILE = "imagenet_class_index.json"
_WNID = re.compile("n[0-9]{8}")


@dataclass(frozen=True)
class ClassIndex:
    """The classes of a classifier, in the order of its outputs.

    Attributes:
        names: Name of each class.
        ids: WordNet id of each class; empty where there are none.
        source: File that they were read from.
        is_given: Whether the user named that file, so that it may not be left unused.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...] = ()
    source: str = ""
    is_given: bool = False

    def number(self, text: str) -> int | None:
        """Return the number of the class that `text` names by id or by name; None if it names none, or two.

        ImageNet has two classes `crane` and two `maillot`.
        """
        if text in self.ids:
            return self.ids.index(text)
        wanted = _plain(text)
        found = [number for number, name in enumerate(self.names) if _plain(name) == wanted]
        return found[0] if len(found) == 1 else None

    def for_classes(self, classes: int | None) -> ClassIndex:
        """Return the index if it is one of so many classes, None for a base without a classifier; else one of no names.

        Raises UsageError if the user gave it.
        """
        if len(self.names) == classes:
            return self
        if self.is_given:
            found = "a base without a classifier" if classes is None else f"a classifier of {classes}"
            raise UsageError(
                f"{param('class_index', self.source)}: has {len(self.names)} classes, expected those of the base: "
                f"found {found}"
            )
        return ClassIndex(())

    def describe(self, number: int) -> str:
        """Return the name of a class as text, `class 5` where there is none."""
        return self.names[number] if number < len(self.names) else f"class {number}"


def is_wnid(text: str) -> bool:
    """Return whether `text` has the form of a WordNet id, such as n01440764."""
    return _WNID.fullmatch(text) is not None


def read_class_index(path: str | os.PathLike[str]) -> ClassIndex:
    """Read the classes from a file in any of the usual forms.

    JSON may be `{"0": ["n01440764", "tench"]}` as Keras has it, `{"0": "cat"}`, `{"cat": 0}` as the attribute
    `class_indices` of Keras' generators, or a list of names. Other text has a class on each line, a name or
    `n01440764 tench`. Raises DataError for anything else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: class index cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        content = json.loads(text)
    except ValueError:
        content = [_parse_line(line) for line in text.splitlines() if line.strip()]
    try:
        entries = [_parse_entry(entry) for entry in _in_order(content)]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(
            f'{path}: expected the classes as {{"0": ["n01440764", "tench"], ...}}, {{"0": "cat", ...}}, '
            '{"cat": 0, ...}, a list, or a line for each'
        ) from error
    ids, names = tuple(wnid for wnid, _ in entries if wnid), tuple(name for _, name in entries)
    if not names:
        raise DataError(f"{path}: has no classes")
    if len(ids) not in (0, len(names)):
        raise DataError(f"{path}: expected a WordNet id for each class or for none, found {len(ids)} of {len(names)}")
    if twice := [key for key, number in Counter(ids or names).items() if number > 1]:
        raise DataError(f"{path}: expected each class once, found {twice[0]!r} twice")
    return ClassIndex(names, ids, os.fspath(path))


def find_class_index(weights: Path | None) -> ClassIndex | None:
    """Return ImageNet's index from the folder of the weights or from Keras' own; None where there is no whole one."""
    for folder in (*([weights.parent] if weights else []), keras_models()):
        try:
            found = read_class_index(folder / IMAGENET_FILE)
        except DataError:
            continue
        if len(found.names) == len(found.ids) == IMAGENET_CLASSES:
            return found
    return None


def _in_order(content: Any) -> list[Any]:
    """Return the entries of the classes 0, 1, ...; raises an error of the content's kind where one is missing."""
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        raise TypeError
    if all(isinstance(number, int) for number in content.values()):
        content = {str(number): name for name, number in content.items()}
    return [content[str(number)] for number in range(len(content))]


def _parse_line(line: str) -> list[str] | str:
    wnid, _, name = line.strip().partition(" ")
    return [wnid, name.split(",")[0].strip() or wnid] if is_wnid(wnid) else line.strip()


def _parse_entry(entry: Any) -> tuple[str, str]:
    """Return (WordNet id, name) of an entry; the id may be empty."""
    if isinstance(entry, list):
        wnid, name = entry[:2]
        return str(wnid), str(name)
    if not isinstance(entry, str):
        raise TypeError
    return (entry, entry) if is_wnid(entry) else ("", entry)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()
