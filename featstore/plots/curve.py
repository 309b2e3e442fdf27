"""The plot of one curve: losses and accuracies over epochs, or over C.

Drawn with Pillow: matplotlib takes 0.8 s to import and draw, half as long as all else that a logistic head needs.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from featstore.plots.text import COLOURS, drawable

if TYPE_CHECKING:
    from featstore.heads.interface import Curve

_WIDTH, _HEIGHT = 840, 480  # pixels
LEFT, TOP, RIGHT, BOTTOM = 70, 56, 770, 394  # the frame
_UP = (BOTTOM - 12, TOP + 12)  # start and end of a vertical axis
_SCALE = 4  # lines are drawn this many times larger and then averaged, so that they are smooth
_FRAME, _GRID = "#666666", "#e4e4e4"
_MAX_TICKS = 8
_MAX_TITLE = 100  # letters

_Point = tuple[float, float]


def draw_curve(curve: Curve, title: str) -> bytes:
    """Return a PNG of 840 x 480 pixels, with the losses on the left axis and the accuracies on the right."""
    across = Axis(*_span(curve.x), LEFT + 15, RIGHT - 15, curve.log_x)
    losses, accuracies = (
        Axis(*_span(v for name in curve.series if ("accuracy" in name) is side for v in curve.series[name]), *_UP)
        for side in (False, True)
    )
    canvas = _Canvas()
    for value in losses.ticks():
        canvas.line([(LEFT, losses.place(value)), (RIGHT, losses.place(value))], _GRID)
        canvas.write((LEFT - 8, losses.place(value)), f"{value:g}", "rm")
    for value in accuracies.ticks():
        canvas.line([(RIGHT, accuracies.place(value)), (RIGHT + 4, accuracies.place(value))], _FRAME)
        canvas.write((RIGHT + 8, accuracies.place(value)), f"{value:g}", "lm")
    for value in across.ticks() if curve.log_x else filter(float.is_integer, across.ticks()):  # no halves of an epoch
        canvas.line([(across.place(value), BOTTOM), (across.place(value), BOTTOM + 4)], _FRAME)
        canvas.write((across.place(value), BOTTOM + 14), f"{value:g}", "mm")
    canvas.line([(LEFT, TOP), (RIGHT, TOP), (RIGHT, BOTTOM), (LEFT, BOTTOM), (LEFT, TOP)], _FRAME)
    canvas.write((LEFT, TOP - 12), "log loss", "lm")
    canvas.write((RIGHT, TOP - 12), "accuracy", "rm")
    canvas.write((_WIDTH / 2, BOTTOM + 36), curve.x_name, "mm")
    canvas.write((_WIDTH / 2, 20), drawable(title)[:_MAX_TITLE], "mm", size=15)
    room = (RIGHT - LEFT) / len(curve.series)
    for number, (name, series) in enumerate(curve.series.items()):
        colour, legend = COLOURS[number % len(COLOURS)], LEFT + (number + 0.3) * room
        side = accuracies if "accuracy" in name else losses
        points = [(across.place(x), side.place(value)) for x, value in zip(curve.x, series, strict=True)]
        canvas.curve(points, colour, with_dots=len(points) < 20)
        canvas.line([(legend, _HEIGHT - 22), (legend + 26, _HEIGHT - 22)], colour, 1.8)
        canvas.write((legend + 34, _HEIGHT - 22), name, "lm")
    return canvas.png()


class Axis(NamedTuple):
    """An axis on which the values from `low` to `high` lie on the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Return the pixel of `value`; NaN for a value that is not finite."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start) if math.isfinite(value) else math.nan

    def ticks(self) -> list[float]:
        """Return powers of ten on a logarithmic axis, else multiples of 1, 2 or 5 times a power of ten."""
        if self.is_log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [float(f"1e{power}") for power in powers]
        power = math.floor(math.log10(self.high - self.low)) - 1
        step = next(
            s * 10.0**p
            for p in range(power, power + 3)
            for s in (1, 2, 5)
            if (self.high - self.low) / (s * 10.0**p) < _MAX_TICKS
        )
        numbers = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
        return [float(f"{number * step:.12g}") for number in numbers]


class _Canvas:
    """Lines and texts. Texts are drawn last, at the final size, where the font is clearest."""

    def __init__(self) -> None:
        from PIL import Image, ImageDraw

        self._image = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), "white")
        self._pen = ImageDraw.Draw(self._image)
        self._texts: list[tuple[_Point, str, str, int]] = []

    def line(self, points: Sequence[_Point], colour: str, width: float = 1.0) -> None:
        """Draw a line through `points`."""
        large = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._pen.line(large, colour, round(width * _SCALE), joint="curve")

    def curve(self, points: Sequence[_Point], colour: str, with_dots: bool) -> None:
        """Draw a line through `points`, with gaps where one is not finite."""
        known: list[_Point] = []  # the finite points since the last gap
        for point in [*points, (math.nan, math.nan)]:
            if math.isfinite(point[1]):
                known.append(point)
                if with_dots:
                    self._pen.circle((point[0] * _SCALE, point[1] * _SCALE), 3.2 * _SCALE, colour)
            elif known:
                self.line(known, colour, 1.8)
                known = []

    def write(self, place: _Point, text: str, anchor: str, size: int = 12) -> None:
        """Write `text` at `place`. Anchors are Pillow's, such as `rm` for the right end at middle height."""
        self._texts.append((place, text, anchor, size))

    def png(self) -> bytes:
        """Return the plot as a PNG file."""
        from PIL import ImageDraw, ImageFont

        image = self._image.reduce(_SCALE)
        pen = ImageDraw.Draw(image)
        for place, text, anchor, size in self._texts:
            pen.text(place, text, "black", ImageFont.load_default(size), anchor)
        content = io.BytesIO()
        image.save(content, "png")
        return content.getvalue()


def _span(values: Iterable[float]) -> tuple[float, float]:
    """Return the range of the finite values, widened where it is empty; 0 and 1 without any finite value."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    least = 1e-3 * max(abs(low), abs(high)) or 1.0
    return (low, high) if high - low >= least else (low - least / 2, high + least / 2)
