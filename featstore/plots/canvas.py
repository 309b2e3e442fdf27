"""A canvas on which Pillow draws: smooth lines, dots, and text in any script.

matplotlib takes 0.8 s to import and draw, half as long as all else that a logistic head needs.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from featstore.plots.fonts import runs
from featstore.plots.style import INK, pixels
from featstore.plots.text import shortened

if TYPE_CHECKING:
    from PIL import Image

Point = tuple[float, float]
_SCALE = 4  # lines are drawn this many times larger and then averaged, so that they are smooth


class Canvas:
    """Lines first, then texts at the final size, where the letters are clearest. Sizes of text are in points.

    fonts: those that the texts need besides the default one, from `legible`. scale: how much larger lines are drawn.
    """

    def __init__(self, width: int, height: int, fonts: Sequence[str] = (), scale: int = _SCALE) -> None:
        from PIL import Image, ImageDraw

        self._fonts, self._scale = fonts, scale
        self._image = Image.new("RGB", (width * scale, height * scale), "white")
        self._pen = ImageDraw.Draw(self._image)
        self._texts: list[tuple[Point, list[tuple[Any, str]], str, str, bool]] = []
        self._images: list[tuple[tuple[int, int], Image.Image]] = []

    def line(self, points: Sequence[Point], colour: str, width: float = 1.0, dash: Sequence[float] = ()) -> None:
        """Draw a line through `points`; `dash` has the pixels of a stroke and of the gap after it."""
        for part in _strokes(points, *dash) if dash else [points]:
            large = [(x * self._scale, y * self._scale) for x, y in part]
            self._pen.line(large, colour, max(1, round(width * self._scale)), joint="curve")

    def dot(self, place: Point, radius: float, colour: str, edge: str = "") -> None:
        """Draw a dot, with an edge of another colour around it."""
        x, y = place[0] * self._scale, place[1] * self._scale
        if edge:
            self._pen.circle((x, y), (radius + 1.2) * self._scale, edge)
        self._pen.circle((x, y), radius * self._scale, colour)

    def box(self, corner: Point, end: Point, fill: str) -> None:
        """Fill the rectangle between two corners."""
        self._pen.rectangle([side * self._scale for side in (*corner, *end)], fill)

    def paste(self, image: Image.Image, place: tuple[int, int]) -> None:
        """Put an image on the canvas, with its upper left corner at `place`."""
        self._images.append((place, image))

    def write(
        self,
        place: Point,
        text: str,
        anchor: str,
        points: float,
        colour: str = INK,
        room: float = math.inf,
        upright: bool = False,
    ) -> None:
        """Write `text` at `place`, shortened in the middle to `room` pixels.

        Anchors are Pillow's, such as `rm` for the right end at middle height. An upright text is read from below.
        """
        kept, parts = len(text), self._parts(text, points)
        while kept > 1 and _width(parts) > room:
            kept = min(kept - 1, int(kept * room / _width(parts)) + 1)
            parts = self._parts(shortened(text, kept), points)
        self._texts.append((place, parts, anchor, colour, upright))

    def png(self) -> bytes:
        """Return the picture as a PNG file."""
        content = io.BytesIO()
        self.image().save(content, "png")
        return content.getvalue()

    def image(self) -> Image.Image:
        """Return the picture."""
        from PIL import Image, ImageDraw

        image = self._image.reduce(self._scale) if self._scale > 1 else self._image.copy()
        for place, picture in self._images:
            image.paste(picture, place)
        pen = ImageDraw.Draw(image)
        for (x, y), parts, anchor, colour, upright in self._texts:
            width = _width(parts)
            left = {"l": 0.0, "m": width / 2, "r": width}[anchor[0]]
            if upright:  # anchored in its middle
                line = Image.new("L", (math.ceil(width) + 2, math.ceil(parts[0][0].size * 1.6)))
                self._write_parts(ImageDraw.Draw(line), 1, line.height / 2, parts, "m", 255)
                line = line.rotate(90, expand=True)
                image.paste(colour, (round(x - line.width / 2), round(y - line.height / 2)), line)
            else:
                self._write_parts(pen, x - left, y, parts, anchor[1], colour)
        return image

    @staticmethod
    def _write_parts(pen: Any, x: float, y: float, parts: Sequence[tuple[Any, str]], height: str, colour: Any) -> None:
        for font, text in parts:
            pen.text((x, y), text, colour, font, f"l{height}")
            x += font.getlength(text)

    def _parts(self, text: str, points: float) -> list[tuple[Any, str]]:
        from PIL import ImageFont

        return [(ImageFont.truetype(font, pixels(points)), part) for font, part in runs(text, self._fonts)]


def pale(colour: str, opacity: float) -> str:
    """Return `colour` on white at this opacity."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(255 - opacity * (255 - part)):02X}" for part in parts)


def _width(parts: Sequence[tuple[Any, str]]) -> float:
    return float(sum(font.getlength(text) for font, text in parts))


def _strokes(points: Sequence[Point], stroke: float, gap: float) -> list[list[Point]]:
    """Return the parts of the line through `points` that are drawn if it is dashed."""
    parts: list[list[Point]] = [[points[0]]]
    drawing, left = True, stroke
    for start, end in pairwise(points):
        length, done = math.dist(start, end), 0.0
        while length - done > left:
            done += left
            place = tuple(a + (b - a) * done / length for a, b in zip(start, end, strict=True))
            assert len(place) == 2
            if drawing:
                parts[-1].append(place)
            else:
                parts.append([place])
            drawing, left = not drawing, gap if drawing else stroke
        left -= length - done
        if drawing:
            parts[-1].append(end)
    return [part for part in parts if len(part) > 1]
