"""Names on the page are untrusted: none can end a script, hide what follows it or turn it round."""

from __future__ import annotations

import json
import unicodedata
from base64 import b64encode
from hashlib import sha256
from typing import Any

from markupsafe import Markup, escape

_HIDDEN = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of pairs, separators of lines
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # marks of direction


def legible(text: str) -> str:
    """Return `text` with what cannot be seen, or turns the text round, written as its code, such as `\\u202e`.

    The joiners that Persian, Hindi and emoji are written with stay as they are. Half a pair, which a file name of other
    bytes than UTF-8 has, could not be written to a file at all.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if c in _TURNING or unicodedata.category(c) in _HIDDEN else c for c in text)


def script_json(value: Any) -> str:
    """Return `value` as JSON for a script element: nothing in it can end the element or begin a comment.

    All but ASCII is escaped, so no separator of lines is left either.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def source_hash(text: str) -> str:
    """Return the source expression of the Content-Security-Policy that allows a style or a script with this text."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def prose(text: str) -> Markup:
    """Return a sentence of a result as HTML: names and commands between backquotes are set apart from its words.

    A name is isolated too, so that an Arabic one does not turn round what stands next to it.
    """
    words, *quoted = text.split("`")
    if len(quoted) % 2:  # a backquote of a name: nothing says what is quoted
        return escape(legible(text))
    parts = [escape(legible(words))]
    for name, following in zip(quoted[::2], quoted[1::2], strict=True):
        parts.append(Markup("<code><bdi>{}</bdi></code>{}").format(legible(name), legible(following)))
    return Markup("").join(parts)


def capital(text: str) -> str:
    """Return a title with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
