"""A topic of the diagnosis: what was found, in words and as values, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """Something that is wrong here.

    Attributes:
        text: What it is, and what to do.
        fails: Whether it surely makes a command fail; otherwise it costs time or results.
    """

    text: str
    fails: bool = False


class Topic(NamedTuple):
    """What was found of one kind of thing.

    Attributes:
        name: The kind of thing, in a word or two.
        text: A line for people.
        facts: The same as plain JSON values.
        problems: What is wrong.
    """

    name: str
    text: str
    facts: Mapping[str, Any]
    problems: Sequence[Problem] = ()


def gigabytes(size: float) -> str:
    """Return a size in bytes as `23.5 GB`."""
    return f"{size / 1e9:.1f} GB"
