"""Words for numbers."""

from __future__ import annotations


def count(number: int, what: str) -> str:
    """`1 key`, `2 keys`"""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
