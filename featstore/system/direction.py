"""Words that are read from right to left, such as Arabic and Hebrew ones, within text that is read from left to right.

Where they begin a line or stand before a number, they turn what is around them: `name: 16` is shown as `16 :name`.
"""

from __future__ import annotations

import re

_LETTERS = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+"
_PHRASE = re.compile(f"{_LETTERS}(?: +{_LETTERS})*")


def set_apart(text: str, before: str, after: str) -> str:
    """Return `text` with marks before and after each phrase that is read from right to left."""
    return _PHRASE.sub(lambda phrase: f"{before}{phrase[0]}{after}", text)
