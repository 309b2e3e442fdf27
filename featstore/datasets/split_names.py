"""The names of splits, as people write them: `train`, `training_set`, `seg_test`, `Val-Data`, `test1`, `dev`."""

from __future__ import annotations

import re
from collections.abc import Collection

# The words of each split. A word of the second kind gives way to a folder whose name is of the first kind.
_WORDS = {
    "train": ("train", "training", "trainval"),
    "val": ("val", "valid", "validate", "validation"),
    "test": ("test", "testing"),
}
_LOOSE_WORDS = {
    "dev": ("val", "test"),
    "eval": ("val", "test"),
    "evaluation": ("val", "test"),
    "holdout": ("test", "val"),
    "heldout": ("test", "val"),
}
_SPLIT_OF = {word: (split,) for split, words in _WORDS.items() for word in words} | _LOOSE_WORDS
_FILLERS = {
    "set",
    "sets",
    "data",
    "dataset",
    "split",
    "image",
    "images",
    "img",
    "imgs",
    "photos",
    "pictures",
    "seg",
    "the",
}


def split_named(name: str) -> str | None:
    """Return the split that a name stands for, if it stands for one: `Test_Data` for `test`."""
    words = _meaningful_words(name)
    return _SPLIT_OF[words[0]][0] if len(words) == 1 and words[0] in _SPLIT_OF else None


def splits_named(names: Collection[str]) -> dict[str, str]:
    """Return the split of each of the names side by side that stand for one.

    What names have in common says nothing: `birds_train` and `birds_test` are splits as well. `eval`, `dev` and
    `holdout` stand for the split that no other name stands for.
    """
    words = {name: _without_common(name, names) for name in names}
    found = {name: _SPLIT_OF[some[0]] for name, some in words.items() if len(some) == 1 and some[0] in _SPLIT_OF}
    splits = {name: choices[0] for name, choices in found.items() if len(choices) == 1}
    for name, choices in found.items():
        free = [split for split in choices if split not in splits.values()]
        if name not in splits and free:
            splits[name] = free[0]
    return {name: splits[name] for name in names if name in splits}


def _without_common(name: str, names: Collection[str]) -> list[str]:
    """Return the words of `name` that say something, without those that another split's name has as well."""
    words = _meaningful_words(name)
    said = [word for word in words if word in _SPLIT_OF]
    if len(said) != 1 or len(words) == 1:
        return words
    rest = [word for word in words if word not in said]
    others = (_meaningful_words(other) for other in names if other != name)
    shared = any(rest == [w for w in other if w not in _SPLIT_OF] and said[0] not in other for other in others)
    return said if shared else words


def _meaningful_words(name: str) -> list[str]:
    """Return the words of a name in lower case, without numbers and fillers: `trainSet-2` is `train`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|\d+", " ", name).lower()
    spaced = re.sub(r"\bhold[\W_]+out\b", "holdout", spaced)
    words: list[str] = []
    for word in re.split(r"[\W_]+", spaced):
        stem = re.sub(r"(set|data|images|imgs)$", "", word)
        words.append(stem if stem in _SPLIT_OF else word)
    return [word for word in words if word and word not in _FILLERS]
