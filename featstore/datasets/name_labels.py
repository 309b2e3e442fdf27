"""Labels in the names of files: patterns such as `{label}.*`, and the pattern that names suggest.

`{label}` stands for the label, `#` for a whole number and `*` for any text. A pattern is compared with a name without
its ending, and one with `/` with the last parts of the path below DATA: `{label}/*/*`. A name that fits in two ways is
refused: `{label}_*` could cut `great_dane_7` in two places, and only the user knows where.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from featstore.datasets.labels import clean_label, in_natural_order
from featstore.errors import DataError, UsageError, param, spelled
from featstore.system.text import listed

_PROPOSED = ("{label}.#", "{label}_#", "{label}-#", "{label} #", "{label} (#)", "{label}#", "#_{label}", "#-{label}")
_PARTS = {"{label}": "(?P<label>[^/]+{lazy})", "*": "[^/]+{lazy}", "#": r"\d+"}


class NamePattern:
    """A pattern of names with the label in it; raises UsageError if it is none."""

    def __init__(self, pattern: str) -> None:
        if pattern.count("{label}") != 1:
            raise UsageError(
                f"{param('label_from', pattern)}: expected a pattern with one {{label}} in it, such as {{label}}.* for "
                "cat.0.jpg"
            )
        self.pattern = pattern
        self._depth = pattern.count("/") + 1
        pieces = re.split(r"(\{label\}|[*#])", re.sub(r"\.(jpe?g|png|bmp|gif|webp|tiff?)$", "", pattern))
        self._greedy, self._lazy = (
            re.compile("".join(_PARTS.get(piece, re.escape(piece)).replace("{lazy}", lazy) for piece in pieces))
            for lazy in ("", "?")
        )

    def label(self, path: str) -> str | None:
        """Return the label in a path relative to DATA; None if it does not fit. Raises DataError for two labels."""
        found = self.labels(path)
        if len(found) > 1:
            raise DataError(
                f"{param('label_from', self.pattern)}: {path} fits in two ways, with the label {found[0]!r} or "
                f"{found[1]!r}; write # for a number, as in {{label}}_#"
            )
        return (clean_label(found[0]) or None) if found else None

    def labels(self, path: str) -> list[str]:
        """Return the shortest and the longest label that a path relative to DATA may have: one, two or none."""
        parts = PurePath(path).parts[-self._depth :]
        name = "/".join([*parts[:-1], PurePath(path).stem])
        matches = (pattern.fullmatch(name) for pattern in (self._lazy, self._greedy))
        return list(dict.fromkeys(match["label"] for match in matches if match))


def propose_pattern(paths: Sequence[str]) -> str:
    """Return what to do about files without labels if their names look like labels with numbers, else nothing."""
    for text in _PROPOSED:
        pattern = NamePattern(text)
        fitting = [label for path in paths for label in pattern.labels(path) if not label.isdigit()]
        found = in_natural_order(fitting)
        if 0.9 * len(paths) < len(fitting) <= len(paths) and 2 <= len(found) <= len(fitting) / 2:
            return spelled(
                f"{param('label_from', text)} would read the labels {listed(found)} from the names of the files"
            )
    return ""
