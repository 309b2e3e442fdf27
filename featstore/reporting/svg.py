"""SVG as escaped text: elements, and the frame of a chart with its axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from featstore.plots.curve import Axis
from featstore.reporting.escaping import legible
from featstore.system.text import Table

WIDTH, HEIGHT = 440, 280  # units of a chart; about as many pixels on a phone, so its text can be read there
LEFT, RIGHT, TOP, BOTTOM = 52, 428, 12, 236  # of the panel
CAP = 3.5  # half the width of the ends of an interval


class Chart(NamedTuple):
    """A chart.

    Attributes:
        title: What it shows.
        svg: The picture.
        table: The same figures for those who do not see it.
        keys: Class of the style sheet, and name, of each kind of line.
    """

    title: str
    svg: Markup
    table: Table
    keys: tuple[tuple[str, str], ...] = ()


def element(name: str, *children: str, **attributes: str | float) -> Markup:
    """Return an element of SVG with escaped text. Attributes are as in `stroke_width=2` and `class_="line"`."""
    pairs = [Markup(' {}="{}"').format(key.strip("_").replace("_", "-"), _text(v)) for key, v in attributes.items()]
    content = Markup("").join(child if isinstance(child, Markup) else legible(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, Markup("").join(pairs), content)


def drawing(key: str, title: str, description: str, parts: Sequence[Markup], height: float = HEIGHT) -> Markup:
    """Return a whole chart. The `key` is unique on the page; a screen reader says the title and the description."""
    names = element("title", title, id=f"{key}-title"), element("desc", description, id=f"{key}-desc")
    return element(
        "svg",
        *names,
        *parts,
        class_="chart",
        viewBox=f"0 0 {WIDTH} {height:g}",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
    )


def frame(
    across: Axis, up: Axis, titles: tuple[str, str], x_ticks: Sequence[float] = (), y_ticks: Sequence[float] = ()
) -> list[Markup]:
    """Return the lines, numbers and titles (across, up) of two axes; by default the axes choose their ticks."""
    parts = []
    for value in y_ticks or up.ticks(6):
        y = up.place(value)
        parts.append(line([(LEFT, y), (RIGHT, y)], "grid"))
        parts.append(label(LEFT - 7, y + 4, f"{value:g}", "tick end"))
    for value in x_ticks or across.ticks(7):
        x = across.place(value)
        parts.append(line([(x, BOTTOM), (x, BOTTOM + 4)], "axis"))
        parts.append(label(x, BOTTOM + 18, f"{value:g}", "tick middle"))
    parts.append(line([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], "axis"))
    parts.append(label((LEFT + RIGHT) / 2, HEIGHT - 6, titles[0], "axis-title middle"))
    middle = (TOP + BOTTOM) / 2
    turned = element("text", titles[1], class_="axis-title middle", transform=f"translate(11 {middle:g}) rotate(-90)")
    return [*parts, turned]


def line(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    """Return a line through `points`; its colour and dashes come from the class `kind`."""
    return element("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), class_=f"line {kind}")


def label(x: float, y: float, text: str, kind: str) -> Markup:
    """Return a text at a place."""
    return element("text", text, x=x, y=y, class_=kind)


def dot(x: float, y: float, kind: str, radius: float = 4) -> Markup:
    """Return a dot."""
    return element("circle", cx=x, cy=y, r=radius, class_=f"dot {kind}")


def whisker(x: float, ends: tuple[float, float], kind: str) -> Markup:
    """Return an upright interval with caps."""
    low, high = ends
    caps = [line([(x - CAP, end), (x + CAP, end)], kind) for end in ends]
    return Markup("").join([line([(x, low), (x, high)], kind), *caps])


def _text(value: str | float) -> str:
    return legible(value) if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
