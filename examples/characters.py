"""Drawings of two cartoon characters, for `two_characters.py`.

"teal" has long teal twin tails, "yellow" short yellow hair and a bow. Much that should not matter varies as well: pose,
size, place, turn, light, clothes, hats and backgrounds; some drawings are in greyscale.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

HAIR = {  # ranges of hue, saturation and value
    "teal": ((0.46, 0.53), (0.45, 0.85), (0.6, 0.95)),
    "yellow": ((0.11, 0.155), (0.5, 0.85), (0.75, 1.0)),
}
KINDS = tuple(HAIR)
SIDE, FINE = 128, 4  # px of a drawing, and how many times larger it is drawn before it is averaged down
GREY_SHARE = 0.15
LIGHTS = (1, 1, 1), (1, 0.88, 0.7), (0.72, 0.85, 1), (0.72, 0.62, 0.8)  # by day, lamp, moon and dusk
FIRST = {"train": 0, "val": 100_000, "test": 200_000, "unseen": 300_000}  # number of the first drawing

Colour = tuple[int, ...]
Points = Sequence[Sequence[float]] | np.ndarray
Rng = np.random.Generator


def any_colour(rng: Rng) -> Colour:
    """Of all but hair and skin; teal and yellow are common, so that they give nothing away."""
    return hsv(
        rng, [(0.0, 1.0), (0.46, 0.54), (0.11, 0.16)][rng.choice(3, p=[0.5, 0.25, 0.25])], (0.15, 0.8), (0.55, 1)
    )


def hsv(rng: Rng, *ranges: tuple[float, float]) -> Colour:
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(*(rng.uniform(*r) for r in ranges)))


def shade(colour: Colour, factor: float) -> Colour:
    """Towards black for a factor below 1, towards white up to 2."""
    return tuple(round(c * factor if factor < 1 else 255 - (255 - c) * (2 - factor)) for c in colour)


class Pen:
    """Outlined shapes, measured in heads: a head is 2 wide and has its centre at (0, 0); y points down."""

    def __init__(self, image: Image.Image, rng: Rng) -> None:
        self._draw = ImageDraw.Draw(image)
        self._unit = image.width * rng.uniform(0.15, 0.31)
        tilt, mirror = rng.normal(0, 0.16), rng.choice([-1, 1])
        self._turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]]) * (mirror, 1) * self._unit
        high = 1.5 * self._unit + image.width * rng.uniform(-0.06, 0.1)
        self._origin = np.array([image.width * rng.normal(0.5, 0.07), high])
        self._line = image.width * rng.uniform(0.005, 0.012)

    def shape(self, points: Points, fill: Colour, soft: int = 2, ink: Colour | None = None) -> None:
        """A closed shape whose corners are cut `soft` times (Chaikin 1974), which makes it round."""
        curve = np.asarray(points, float)
        for _ in range(soft):
            after = np.roll(curve, -1, axis=0)
            curve = np.stack([0.75 * curve + 0.25 * after, 0.25 * curve + 0.75 * after], axis=1).reshape(-1, 2)
        path = [tuple(point) for point in curve @ self._turn + self._origin]
        self._draw.polygon(path, fill)
        self._draw.line([*path, *path[:2]], ink or shade(fill, 0.45), round(self._line), joint="curve")

    def oval(self, x: float, y: float, width: float, height: float, fill: Colour, ink: Colour | None = None) -> None:
        t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        self.shape(np.stack([x + width * np.cos(t), y + height * np.sin(t)], 1), fill, 0, ink)

    def stroke(self, points: Points, colour: Colour, width: float = 0.0) -> None:
        """A line with round ends, as wide as outlines are or wider."""
        path = [tuple(point) for point in np.asarray(points, float) @ self._turn + self._origin]
        half = max(width * self._unit, self._line) / 2
        self._draw.line(path, colour, round(2 * half), joint="curve")
        for x, y in (path[0], path[-1]):
            self._draw.ellipse((x - half, y - half, x + half, y + half), colour)

    def limb(self, points: Points, colour: Colour, width: float) -> None:
        self.stroke(points, shade(colour, 0.45), width + 0.08)
        self.stroke(points, colour, width)

    def arc(self, x: float, y: float, width: float, depth: float, colour: Colour, thick: float = 0.0) -> None:
        """A curve that hangs down by `depth`, or arches up where that is negative."""
        t = np.linspace(-1, 1, 12)
        self.stroke(np.stack([x + width * t, y + depth * (1 - t**2)], 1), colour, thick)


def draw_background(image: Image.Image, rng: Rng) -> None:
    draw, side, second = ImageDraw.Draw(image), image.width, any_colour(rng)
    draw.rectangle((0, 0, side, side), shade(any_colour(rng), 1.4))
    step, kind = side * rng.uniform(0.1, 0.3), rng.choice(["plain", "stripes", "rays", "dots", "hills"])
    if kind == "stripes":
        lean = rng.uniform(-side, side)
        for x in np.arange(-side, 2 * side, step):
            draw.polygon([(x, 0), (x + step / 2, 0), (x + step / 2 + lean, side), (x + lean, side)], second)
    elif kind == "rays":
        for angle in range(0, 360, 30):
            draw.pieslice((-side, -side, 2 * side, 2 * side), angle, angle + 15, second)
    elif kind == "dots":
        for x, y in rng.uniform(0, side, (rng.integers(8, 30), 2)):
            draw.circle((x, y), step * rng.uniform(0.1, 0.5), second)
    elif kind == "hills":
        draw.circle(rng.uniform(0, side, 2) * (1, 0.4), step, shade(any_colour(rng), 1.3))
        for x in rng.uniform(-0.3, 1.3, 3) * side:
            draw.ellipse((x - 3 * step, side - 1.5 * step, x + 3 * step, side + 3 * step), second, shade(second, 0.7))


def draw_tail(pen: Pen, rng: Rng, x: float, sweep: float, length: float, hair: Colour, tie: Colour) -> None:
    """A twin tail: a ribbon along a bent line, that swells and ends in a point."""
    t = np.linspace(0, 1, 14)
    half = 0.02 + 0.42 * np.sqrt(t + 0.08) * (1 - t**2.5)
    across = x + sweep * (1.5 * t - 0.9 * t**2) + rng.uniform(0.03, 0.12) * np.sin(rng.uniform(4, 8) * t)
    down = -0.62 - 0.5 * t * (1 - t) + length * t**1.4
    left, right = np.stack([across - half, down], 1), np.stack([across + half, down], 1)
    pen.shape([*left, *right[::-1]], hair, soft=1)
    for part in (0.3, 0.7):
        pen.stroke((left + part * (right - left))[2:-2], shade(hair, 0.75))
    pen.stroke((0.55 * left + 0.45 * right)[3:6], shade(hair, 1.5), 0.07)
    pen.shape([(x - 0.19, -0.84), (x + 0.19, -0.84), (x + 0.19, -0.44), (x - 0.19, -0.44)], tie, soft=1)


def draw_bow(pen: Pen, x: float, y: float, size: float, colour: Colour) -> None:
    loop = np.array([(0, 0), (0.35, -0.55), (0.85, -0.7), (0.95, -0.2), (0.8, 0.25), (0.35, 0.15)]) * size
    for mirror in ((1, 1), (-1, 1)):
        pen.shape(loop * mirror + (x, y), colour)
        pen.stroke(np.array([(0.15, -0.05), (0.55, -0.25)]) * size * mirror + (x, y), shade(colour, 0.7))
    pen.oval(x, y, 0.16 * size, 0.18 * size, shade(colour, 0.9))


def draw_body(pen: Pen, rng: Rng, skin: Colour, back: bool) -> None:
    top, skirt, trim = any_colour(rng), any_colour(rng), any_colour(rng)
    for side in (-1, 1):
        foot = side * rng.uniform(0.2, 0.36), 3.5
        pen.limb([(side * 0.24, 2.2), foot], skin, 0.26)
    pen.shape([(-0.2, 0.7), (0.2, 0.7), (0.22, 1.2), (-0.22, 1.2)], shade(skin, 0.9), soft=1)
    for side in (-1, 1):
        sleeve = [top, skin][rng.choice(2)]
        elbow, hand = rng.uniform(0.75, 1.0), rng.uniform((0.3, 0.75), (1.4, 2.2))
        pen.limb(np.array([(0.42, 1.18), (elbow, 1.55), hand]) * (side, 1), sleeve, 0.28)
        pen.oval(side * hand[0], hand[1], 0.16, 0.16, skin)
    flare = rng.uniform(0.65, 1.05)
    hem = [(x, 2.5 + 0.06 * (-1) ** i) for i, x in enumerate(np.linspace(flare, -flare, 9))]
    pen.shape([(-0.42, 1.75), (0.42, 1.75), *hem], skirt, soft=1)
    pen.shape([(-0.3, 0.98), (0.3, 0.98), (0.55, 1.1), (0.46, 1.9), (-0.46, 1.9), (-0.55, 1.1)], top)
    clothes = "plain" if back else rng.choice(["tie", "collar", "scarf", "plain"])
    if clothes == "tie":
        pen.shape([(-0.08, 1.02), (0.08, 1.02), (0.13, 1.6), (0, 1.75), (-0.13, 1.6)], trim, soft=0)
    elif clothes == "collar":
        pen.shape([(-0.5, 1.0), (0.5, 1.0), (0.42, 1.25), (0, 1.5), (-0.42, 1.25)], trim, soft=0)
        draw_bow(pen, 0, 1.42, 0.3, any_colour(rng))
    elif clothes == "scarf":
        pen.shape([(-0.5, 0.85), (0.5, 0.85), (0.55, 1.15), (-0.55, 1.15)], trim)
        pen.shape([(0.15, 1.05), (0.45, 1.05), (0.5, 1.8), (0.2, 1.8)], trim, soft=1)


def draw_face(pen: Pen, rng: Rng, yaw: float, skin: Colour) -> None:
    face = [(-0.95, -0.5), (-0.97, 0.2), (-0.62, 0.75), (0, 1.02), (0.62, 0.75), (0.97, 0.2), (0.95, -0.5), (0, -1.3)]
    pen.shape(face, skin)
    iris, ink, red, white = any_colour(rng), (60, 45, 50), (190, 70, 80), (255, 255, 255)
    blush = skin[0], round(0.85 * skin[1]), round(0.85 * skin[2])
    mood = rng.choice(["open", "wink", "happy", "closed"], p=[0.6, 0.15, 0.15, 0.1])
    tall, brow = rng.uniform(0.24, 0.34), rng.uniform(-0.1, 0.1)
    for side in (-1, 1):
        x, wide = np.sin(0.45 * side + yaw), np.cos(0.45 * side + yaw)
        pen.oval(x, 0.55, 0.14 * wide, 0.07, blush, blush)
        pen.stroke([(x - 0.2 * wide, -0.3 + side * brow), (x + 0.2 * wide, -0.3 - side * brow)], ink)
        if mood == "open" or (mood == "wink" and side < 0):
            pen.oval(x, 0.2, 0.22 * wide, tall, white, ink)
            pen.oval(x, 0.24, 0.17 * wide, 0.85 * tall, iris, shade(iris, 0.4))
            pen.oval(x, 0.24, 0.08 * wide, 0.45 * tall, shade(iris, 0.25))
            pen.oval(x - 0.06, 0.1, 0.06 * wide, 0.08, white, white)
            pen.arc(x, 0.2 - 0.7 * tall, 0.25 * wide, -0.1, ink, 0.07)
        else:
            pen.arc(x, 0.25, 0.22 * wide, 0.15 if mood == "closed" else -0.18, ink, 0.06)
    x, mouth = 0.9 * np.sin(yaw), rng.choice(["smile", "sad", "open", "small", "cat"])
    if mouth == "open":
        pen.shape([(x - 0.2, 0.58), (x + 0.2, 0.58), (x + 0.12, 0.84), (x - 0.12, 0.84)], red)
    elif mouth == "small":
        pen.oval(x, 0.68, 0.06, 0.08, red)
    else:
        for shift, depth in {"smile": [(0, 0.1)], "sad": [(0, -0.07)], "cat": [(-0.09, 0.08), (0.09, 0.08)]}[mouth]:
            pen.arc(x + shift, 0.64, 0.09 if mouth == "cat" else 0.16, depth, ink)


def draw_fringe(pen: Pen, rng: Rng, yaw: float, hair: Colour) -> None:
    """Hair over the top of the head: jagged over the brow, with a lock on either side."""
    top = [(1.0, 0.1), (1.06, -0.5), (0.75, -1.1), (0, -1.32), (-0.75, -1.1), (-1.06, -0.5), (-1.0, 0.1)]
    teeth, locks = [], rng.uniform(0.3, 0.9)
    for x in np.linspace(-0.6, 0.6, rng.integers(4, 7)) + 0.2 * yaw:
        teeth += [(x - 0.05, rng.uniform(-0.32, 0.02)), (x + 0.1, rng.uniform(-0.62, -0.45))]
    pen.shape([*top, (-0.95, locks), (-0.72, 0.05), *teeth, (0.72, 0.05), (0.95, locks)], hair)
    x = np.linspace(-0.55, 0.55, 10)
    pen.stroke(np.stack([x + 0.15 * yaw, -0.86 - 0.12 * np.cos(2 * x)], 1), shade(hair, 1.55), 0.1)


def draw_bob(pen: Pen, hair: Colour, low: float) -> None:
    """Hair around the head down to `low`, with jagged ends."""
    ends = [(x, low + 0.12 * (-1) ** i) for i, x in enumerate(np.linspace(-1.1, 1.1, 9))]
    pen.shape([(1.15, -0.3), (0.8, -1.1), (0, -1.34), (-0.8, -1.1), (-1.15, -0.3), *ends], hair)


def draw_hat(pen: Pen, rng: Rng) -> None:
    colour, band, high = any_colour(rng), any_colour(rng), rng.uniform(-2.2, -1.6)
    pen.shape([(-0.95, -0.62), (-0.85, high), (0.85, high), (0.95, -0.62)], colour)
    kind = rng.choice(["brim", "cap", "wool"])
    if kind == "brim":
        pen.oval(0, -0.75, 1.6, 0.24, colour)
        pen.shape([(-0.9, -1.05), (0.9, -1.05), (0.92, -0.85), (-0.92, -0.85)], band, soft=0)
    elif kind == "cap":
        pen.shape([(-0.2, -0.85), (1.3, -0.9), (1.75, -0.6), (0.4, -0.55)], band)
    else:
        pen.shape([(-1.08, -0.9), (1.08, -0.9), (1.08, -0.5), (-1.08, -0.5)], band, soft=1)
        pen.oval(0, high + 0.15, 0.28, 0.28, band)


def draw_figure(pen: Pen, rng: Rng, kind: str) -> None:
    """From what is behind to what is in front; the head is turned by `yaw`, or seen from the back."""
    teal, back, yaw = kind == "teal", rng.random() < 0.12, rng.uniform(-0.6, 0.6)
    skin, hair = hsv(rng, (0.04, 0.08), (0.12, 0.4), (0.8, 1)), hsv(rng, *HAIR[kind])
    low, length, tie, bow = rng.uniform(0.75, 1.15), rng.uniform(1.8, 3.4), any_colour(rng), any_colour(rng)
    tails = [(1.1 * np.sin(1.35 * side + yaw), 1.35 * side + yaw, side * rng.uniform(0.4, 1.3)) for side in (-1, 1)]
    near = [tail for tail in tails if teal and (back or abs(tail[1]) < 1.3)]
    far = [tail for tail in tails if teal and tail not in near]
    for x, _, sweep in far:
        draw_tail(pen, rng, x, sweep, length, shade(hair, 0.93), tie)
    if not (teal or back):
        draw_bob(pen, shade(hair, 0.85), low)
    draw_body(pen, rng, skin, back)
    if back:
        draw_bob(pen, hair, 0.7 if teal else low)
        for x in np.linspace(-0.75, 0.75, 5):
            pen.stroke([(0.3 * x, -1.1), (0.85 * x, -0.4), (x, 0.4)], shade(hair, 0.75))
    else:
        draw_face(pen, rng, yaw, skin)
        draw_fringe(pen, rng, yaw, hair)
    for x, _, sweep in near:
        draw_tail(pen, rng, x, sweep, length, hair, tie)
    if rng.random() < 0.2:
        draw_hat(pen, rng)
    elif rng.random() < (0.1 if teal else 0.85):
        draw_bow(pen, 0.3 * yaw, -1.2, rng.uniform(0.6, 0.95), bow)


def draw_character(kind: str, number: int, grey_share: float = GREY_SHARE) -> Image.Image:
    """Drawing `number` of "teal" or "yellow", the same each time; `grey_share` of all numbers are in greyscale."""
    rng = np.random.default_rng([KINDS.index(kind), number])
    image = Image.new("RGB", (SIDE * FINE, SIDE * FINE))
    draw_background(image, rng)
    draw_figure(Pen(image, rng), rng, kind)
    light = LIGHTS[rng.choice(len(LIGHTS), p=[0.7, 0.1, 0.1, 0.1])]
    image = Image.fromarray((np.asarray(image.reduce(FINE)) * light).astype(np.uint8))
    return image.convert("L").convert("RGB") if rng.random() < grey_share else image


def write_drawings(folder: Path, train: int) -> None:
    """`train` training drawings, a third as many for validation and to test, and eight: `folder`/<split>/<kind>/."""
    for split, count in (("train", train), ("val", train // 3), ("test", train // 3), ("unseen", 8)):
        for number in range(count):
            kind, place = KINDS[number % 2], number // 2
            path = folder / split / kind / f"{kind}-{place:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                draw_character(kind, FIRST[split] + place, 0.0 if split == "unseen" else GREY_SHARE).save(path)
