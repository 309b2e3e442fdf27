"""Text in any script: in a font that has its letters, or numbered, and never boxes in silence."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager
from PIL import Image

from featstore.plots import fonts
from featstore.plots.canvas import Canvas
from featstore.plots.comparison import draw_comparison
from featstore.plots.fonts import default_font, drawable, font_of, legible, runs


def make_font(path: Path, letters: str) -> None:
    """Write a font whose letters are all the same black square."""
    names = [".notdef", *(f"glyph{number}" for number in range(len(letters)))]
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for place in ((900, 0), (900, 800), (100, 800)):
        pen.lineTo(place)
    pen.closePath()
    square = pen.glyph()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({ord(letter): name for letter, name in zip(letters, names[1:], strict=True)})
    font.setupGlyf(dict.fromkeys(names, square))
    font.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    font.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    font.setupPost()
    font.save(path)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine whose only fonts are those in this folder, whatever this one has."""

    def forget() -> None:
        fonts._system_fonts.cache_clear()
        fonts.font_of.cache_clear()

    forget()
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [*map(str, sorted(tmp_path.glob("*.ttf")))])
    yield tmp_path
    forget()


def test_usual_letters_need_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor matplotlib, which the plot of a head does without."""
    monkeypatch.setattr(fonts, "font_of", pytest.fail)
    assert legible(["cats_dogs: é ü ß – 0.5", "naïve"], "pillow") == (("cats_dogs: é ü ß – 0.5", "naïve"), ())


@pytest.mark.parametrize("text", ["кошка", "γάτα", "قطة", "חתול", "con mèo nhà ngổ"])
def test_the_default_font_has_many_scripts(machine: Path, text: str) -> None:
    """Cyrillic, Greek, Arabic, Hebrew, Vietnamese."""
    [drawn], needed = legible([text], "pillow")
    assert (drawn.strip("\u200e"), needed) == (text, ())


def test_a_font_that_has_the_letters_is_found(machine: Path) -> None:
    """Whichever it is; a damaged file among the fonts is passed over."""
    (machine / "Broken.ttf").write_bytes(b"no font")
    make_font(machine / "Latin.ttf", "abc")
    make_font(machine / "Cats.ttf", "猫犬")
    assert legible(["猫, keras", "犬"], "matplotlib") == (("猫, keras", "犬"), (str(machine / "Cats.ttf"),))
    assert font_of("猫") == str(machine / "Cats.ttf")


def test_fonts_may_have_the_letters_together(machine: Path) -> None:
    """A word in two scripts, of which each has a font."""
    for name, letters in (("Cats.ttf", "猫"), ("Dogs.ttf", "犬")):
        make_font(machine / name, letters)
    assert legible(["猫犬a"], "pillow") == (("猫犬a",), (str(machine / "Cats.ttf"), str(machine / "Dogs.ttf")))


def test_a_word_without_a_font_is_numbered_and_told(machine: Path) -> None:
    """One number for one word, wherever it stands; what can be read stays as it is."""
    with pytest.warns(UserWarning, match="has #1 for 猫, #2 for 犬; install Noto Sans CJK and draw") as caught:
        labels = legible(["猫: accuracy", "VGG16 犬, keras", "猫", "dogs"], "pillow")
    assert labels == (("#1: accuracy", "VGG16 #2, keras", "#1", "dogs"), ())
    assert len(caught) == 1


def test_letters_that_must_be_joined_are_not_drawn_by_an_engine_that_cannot(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arabic letters side by side, from left to right, are not Arabic: releases of matplotlib before 3.11."""
    monkeypatch.setattr("matplotlib.__version_info__", (3, 10, 8))
    fonts._joins_letters.cache_clear()
    with pytest.warns(UserWarning, match="#1 for قطة; install matplotlib 3.11 or newer and draw"):
        assert legible(["قطة", "кошка"], "matplotlib").texts == ("#1", "кошка")
    fonts._joins_letters.cache_clear()


@pytest.mark.parametrize(
    ("word", "font"),
    [
        ("日本", "Noto Sans CJK"),
        ("ねこ", "Noto Sans CJK"),
        ("고양이", "Noto Sans CJK"),
        ("बिल्ली", "Noto Sans Devanagari"),
        ("แมว", "Noto Sans Thai"),
        ("🦕", "Noto Emoji .the one without colours."),
        ("猫แมว", "Noto Sans CJK and Noto Sans Thai"),
    ],
)
def test_the_font_to_install_is_named(machine: Path, word: str, font: str) -> None:
    """By its script: a Chinese font does not help with Hindi."""
    with pytest.warns(UserWarning, match=f"#1 for {word}; install {font} and draw it again"):
        legible([word], "pillow")


def test_words_from_right_to_left_do_not_turn_what_is_around_them(machine: Path) -> None:
    """A mark around them keeps `name, 40 images` from being drawn as `images 40 ,name`."""
    mark = "\u200e"
    assert legible(["قطة صغيرة, 40 images"], "pillow").texts == (f"{mark}قطة صغيرة{mark}, 40 images",)
    alone, followed = (ink_columns(legible([text], "pillow").texts[0]) for text in ("قطة", "قطة 40"))
    assert alone.any()
    np.testing.assert_array_equal(followed[: len(alone)], alone)  # the number is on the right of it


def test_what_no_font_draws_is_a_question_mark() -> None:
    """All else is kept, on one line; marks without a shape of their own are left out."""
    assert drawable("a\udce9 b\n 花\x07$") == "a? b 花?$"
    assert drawable("\u2764\ufe0f a\u200db") == "\u2764 ab"


def test_a_line_in_two_scripts_is_drawn_in_two_fonts(machine: Path) -> None:
    """Blanks belong to the letters before them."""
    make_font(machine / "Cats.ttf", "猫犬")
    cats = str(machine / "Cats.ttf")
    assert runs("a 猫犬 b", (cats,)) == [(default_font(), "a "), (cats, "猫犬 "), (default_font(), "b")]


def ink(image: Image.Image) -> int:
    return int((np.asarray(image.convert("L")) < 128).sum())


def ink_columns(text: str) -> np.ndarray:
    """Which columns of pixels of `text` are dark, up to the last one."""
    canvas = Canvas(200, 60)
    canvas.write((10, 30), text, "lm", 12)
    dark = (np.asarray(canvas.image().convert("L")) < 128).any(axis=0)
    return dark[: np.flatnonzero(dark).max() + 1]


def test_both_ways_of_drawing_use_the_font(machine: Path) -> None:
    """Pillow and matplotlib draw the squares of the font that was made here."""
    make_font(machine / "Cats.ttf", "猫犬")
    labels = legible(["猫犬"], "pillow")
    canvas = Canvas(200, 60, labels.fonts)
    canvas.write((100, 30), labels.texts[0], "mm", 12)
    assert ink(canvas.image()) == pytest.approx(2 * (0.8 * 20) ** 2, rel=0.25)
    known = list(fontManager.ttflist)
    plots = [
        Image.open(io.BytesIO(draw_comparison([label, "cat"], [0.9, 0.8], [(0.8, 0.95)] * 2, [None, None], "t")))
        for label in ("猫犬猫犬", "catt")
    ]
    assert ink(plots[0]) > ink(plots[1]) + 300  # four full squares
    assert fontManager.ttflist == known


def test_nothing_is_told_where_all_can_be_drawn(machine: Path) -> None:
    """The warning is for boxes only."""
    with warnings.catch_warnings(action="error"):
        draw_comparison(["γάτα"], [0.9], [(0.8, 0.95)], [None], "кошки")
