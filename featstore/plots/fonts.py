"""Text in any script: drawn in a font of this machine that has its letters, or numbered, but never as empty boxes.

Pictures are written in DejaVu Sans, which comes with matplotlib: Latin, Greek, Cyrillic, Arabic, Hebrew and more. For
anything else the fonts of the machine are looked through, once for each set of letters.
"""

from __future__ import annotations

import os
import re
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from typing import Any, Literal, NamedTuple

from featstore.system.direction import set_apart

Engine = Literal["matplotlib", "pillow"]

_INVISIBLE = re.compile("[\ufe00-\ufe0f\u200b-\u200f\u2060\ufeff]")  # variants, joiners and marks of direction
_WORD = re.compile(r"[^\s,.;:()/=+]+")
_LATIN = 0x180  # the first code point that the default font is asked for
# Left to the engine that draws, these need their letters joined, moved or turned around.
_SHAPED = re.compile("[\u0590-\u08ff\u0900-\u0dff\u0e80-\u109f\u1780-\u17ff]")
_LEFT_TO_RIGHT = "\u200e"  # an invisible letter of this direction
_JOINS: dict[Engine, str] = {"pillow": "libraqm, which joins letters,", "matplotlib": "matplotlib 3.11 or newer"}
_CJK = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH", "IDEOGRAPHIC")
_PREFERRED = ("notosanscjk", "notosans", "sourcehansans", "ipaexg", "dejavusans", "arialunicode", "droidsansfallback")


class Labels(NamedTuple):
    """Texts as they can be drawn, in the order given, and the fonts that they need besides the default one."""

    texts: tuple[str, ...]
    fonts: tuple[str, ...]


def default_font() -> str:
    """Return the path of DejaVu Sans; matplotlib is not imported for it."""
    spec = find_spec("matplotlib")
    assert spec is not None and spec.submodule_search_locations
    return os.path.join(spec.submodule_search_locations[0], "mpl-data", "fonts", "ttf", "DejaVuSans.ttf")


def drawable(text: str) -> str:
    """Return `text` on one line, with ? for control characters and for surrogates of undecodable bytes in a path."""
    return "".join(c if c.isprintable() else "?" for c in _INVISIBLE.sub("", " ".join(text.split())))


def legible(texts: Iterable[str], engine: Engine) -> Labels:
    """Return `texts` with a number for each word that cannot be drawn here, as in `#1, keras`.

    A warning says which number stands for which word. engine: what draws them, which may not be able to join and turn
    letters, as Arabic and Indic scripts need it.
    """
    lines = [drawable(text) for text in texts]
    fonts: dict[str, None] = {}
    numbers: dict[str, int] = {}

    def replace(found: re.Match[str]) -> str:
        word = found[0]
        if _is_plain(word):
            return word
        needed = () if _SHAPED.search(word) and not _joins_letters(engine) else fonts_of(word)
        if not needed:
            return f"#{numbers.setdefault(word, len(numbers) + 1)}"
        fonts.update(dict.fromkeys(needed))
        return word

    drawn = tuple(line if _is_plain(line) else _in_order(_WORD.sub(replace, line)) for line in lines)
    fonts.pop(default_font(), None)
    if numbers:
        words = ", ".join(f"#{number} for {word}" for word, number in numbers.items())
        needed = _remedy(numbers, engine)
        warnings.warn(
            f"no font on this machine draws these words, so the picture has {words}; install {needed} and draw it "
            "again",
            stacklevel=2,
        )
    return Labels(drawn, tuple(fonts))


def _in_order(line: str) -> str:
    """Return a line with marks around what is read from right to left, which keep it from turning the rest."""
    return set_apart(line, _LEFT_TO_RIGHT, _LEFT_TO_RIGHT)


def _remedy(words: Iterable[str], engine: Engine) -> str:
    """Return what draws `words`: free fonts that have their letters, and an engine that joins these."""
    missing = [letter for letter in "".join(words) if not _has(default_font(), frozenset(letter))]
    joins = _joins_letters(engine) or not any(map(_SHAPED.search, words))
    needed = [*map(_free_font, missing), *([] if joins else [_JOINS[engine]])]
    return " and ".join(dict.fromkeys(needed))


def _free_font(letter: str) -> str:
    """Return the name of the font with the script of `letter`, which is the first word of its name in Unicode."""
    script = unicodedata.name(letter, "").split(" ")[0].split("-")[0]
    if script in _CJK:
        return "Noto Sans CJK"
    if unicodedata.category(letter).startswith("S") or not script:
        return "Noto Emoji (the one without colours)"
    return f"Noto Sans {script.capitalize()}"


def runs(text: str, fonts: Sequence[str]) -> list[tuple[str, str]]:
    """Return (font, part) of `text` from left to right: the default font or the first of `fonts` with its letters."""
    if not fonts or _is_plain(text):
        return [(default_font(), text)]
    last = default_font()

    def font(character: str) -> str:
        nonlocal last
        if not character.isspace():
            last = next((f for f in (default_font(), *fonts) if _has(f, frozenset(character))), last)
        return last

    return [(name, "".join(part)) for name, part in groupby(text, font)]


def fonts_of(word: str) -> tuple[str, ...]:
    """Return the font that has all letters of `word`, else fonts that have them together; none without these."""
    if (whole := font_of(word)) is not None:
        return (whole,)
    found = [font_of(letter) for letter in word]
    return () if None in found else tuple(dict.fromkeys(filter(None, found)))


@cache
def font_of(word: str) -> str | None:
    """Return the default font, or the first font of this machine, that has all letters of `word`; None without one."""
    letters = frozenset(word)
    return next((font for font in (default_font(), *_system_fonts()) if _has(font, letters)), None)


@cache
def _system_fonts() -> tuple[str, ...]:
    """Return the fonts of this machine, those for many scripts first and upright ones before others."""
    from matplotlib.font_manager import findSystemFonts

    def rank(path: str) -> tuple[int, bool, str]:
        name = re.sub(r"[\W_]", "", os.path.basename(path)).lower()
        place = next((place for place, start in enumerate(_PREFERRED) if name.startswith(start)), len(_PREFERRED))
        return place, any(style in name for style in ("bold", "italic", "oblique", "black", "thin", "light")), path

    return tuple(sorted(findSystemFonts(), key=rank))


@cache
def _has(font: str, letters: frozenset[str]) -> bool:
    """Return whether a font that can be drawn at any size has all of `letters`."""
    face = _face(font)
    return face is not None and all(face.get_char_index(ord(letter)) for letter in letters)


@cache
def _face(font: str) -> Any:
    from matplotlib.ft2font import FT2Font

    try:
        face = FT2Font(font)
    except (OSError, RuntimeError):  # a damaged file, or a font of pictures, such as one of coloured emoji
        return None
    return face if face.scalable else None


@cache
def _joins_letters(engine: Engine) -> bool:
    """Return whether `engine` lays out scripts whose letters are joined, moved or turned around."""
    if engine == "pillow":
        from PIL import features

        return bool(features.check("raqm"))
    import matplotlib as mpl

    return mpl.__version_info__ >= (3, 11)


def _is_plain(text: str) -> bool:
    return all(ord(c) < _LATIN or unicodedata.category(c) == "Pd" for c in text)
