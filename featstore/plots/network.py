"""The diagram of a network: its frozen and trained parts, and between them the place where features are cached."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

from featstore.plots.files import Kind, render
from featstore.plots.fonts import legible
from featstore.plots.style import DPI, GREY, INK
from featstore.plots.text import in_our_style, shorten_to
from featstore.system.text import count

_BOX = (1.76, 0.92)  # inches, as all lengths here: the drawing's coordinates are inches from its lower left corner
_GAP = (0.8, 0.5)  # between boxes, for arrows and shapes
_TOP, _BOTTOM, _SIDE = 0.95, 0.85, 0.55
_STRIP = 0.13
_COLUMNS, _MAX_ROWS = 4, 9  # four columns are readable on a page of text; more parts need more columns
_LINE = 0.125
_ARROWHEAD = "-|>,head_length=4.5,head_width=2"
_IMAGE, _CACHED, _CLASSES = "image", "cached here", "class probabilities"
_NOTE = "BN keeps statistics: the BatchNormalization layer keeps the mean and variance of its earlier training"
_WIDTHS = {_IMAGE: 0.8, _CACHED: 1.0, _CLASSES: 1.05}
# Kinds differ without colour too: in the hatching, the width of the edge, and the strip.
_STYLES: dict[str, dict[str, Any]] = {
    "frozen": {"edge": "#5B7C99", "fill": "#E4ECF2", "width": 0.8, "hatch": ""},
    "trained": {"edge": "#D55E00", "fill": "#FDEBD8", "width": 1.6, "hatch": "/////"},
    "no parameters": {"edge": "#8A8A8A", "fill": "#FFFFFF", "width": 0.8, "hatch": ""},
}


class Part(NamedTuple):
    """A part of the network between two tensors that separate it.

    Attributes:
        name: Name of its layer, or `first ... last`.
        layers: Number of layers.
        shape: Shape of its output for one image, e.g. (7, 7, 512).
        parameters: Number of parameters.
        trained: Number of parameters that training changes; 0 in a frozen part.
        kept: Number of BatchNormalization layers that keep their statistics.
        detail: What its one layer does, as in `relu`; empty for a part of several layers.
    """

    name: str
    layers: int
    shape: tuple[int, ...]
    parameters: int
    trained: int
    kept: int
    detail: str = ""


class _Place(NamedTuple):
    """The centre and the width of a box, in inches."""

    x: float
    y: float
    width: float


def draw_network(
    parts: Sequence[Part],
    title: str,
    kind: Kind = "png",
    *,
    image: tuple[int, ...] = (),
    cached: int | None = None,
) -> bytes:
    """Return a diagram of the parts as boxes in rows, from the image to the class probabilities.

    The same parts give the same bytes.

    Args:
        parts: Parts in the order of the network.
        title: Title of the diagram.
        kind: Kind of file.
        image: Shape of an image, written at the first arrow.
        cached: Number of parts before the cache. Default: those before the first trained part; there is no cache
            if that is the first part.

    Raises:
        ValueError: For no parts.
    """
    if not parts:
        raise ValueError("parts: expected at least one, found none")
    (title, *names), fonts = legible([title, *(part.name for part in parts)], "matplotlib")
    named = [part._replace(name=name) for part, name in zip(parts, names, strict=True)]
    with in_our_style(fonts):
        return render(_figure(named, title, image, cached), kind)


def _figure(parts: Sequence[Part], title: str, image: tuple[int, ...] = (), cached: int | None = None) -> Any:
    """Return the matplotlib figure. The gids of its boxes are `image`, `part-0`, `part-1`, ..., `cached here`, ..."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    items = _make_chain(parts, cached)
    places, size = _layout(items)
    figure = Figure(size, dpi=DPI)
    FigureCanvasAgg(figure)  # needed to measure text
    axes: Any = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, size[0]), ylim=(0, size[1]))
    axes.set_axis_off()
    _write(axes, size[0] / 2, size[1] - 0.3, title, size[0] - 0.4, fontsize=12)
    _write(axes, size[0] / 2, size[1] - 0.56, _summary(parts), size[0] - 0.4, fontsize=8.5, color=GREY)
    for number, (item, place) in enumerate(zip(items, places, strict=True)):
        if number:
            before = items[number - 1]
            shape = before.shape if isinstance(before, Part) else image if before == _IMAGE else ()
            _draw_arrow(axes, places[number - 1], place, shape)
        _draw_item(axes, item, place)
    for number, box in enumerate(box for box in axes.patches if box.get_gid() == "part"):
        box.set_gid(f"part-{number}")
    _draw_legend(axes, parts)
    return figure


def _make_chain(parts: Sequence[Part], cached: int | None = None) -> list[Part | str]:
    """Return the boxes in order: image, parts, class probabilities, and the cache where the features are stored."""
    cut = cached
    if cut is None:  # 0: no frozen part comes first, or no part is trained
        cut = next((number for number, part in enumerate(parts) if part.trained), 0) or None
    cache = [] if cut is None else [_CACHED]
    return [_IMAGE, *parts[:cut], *cache, *parts[len(parts) if cut is None else cut :], _CLASSES]


def _layout(items: Sequence[Part | str]) -> tuple[list[_Place], tuple[float, float]]:
    """Return places in rows of equal length, in reading order, and the size (width, height) of the drawing."""
    columns = _column_count(len(items))
    rows = ceil(len(items) / columns)
    steps = _BOX[0] + _GAP[0], _BOX[1] + _GAP[1]
    height = _TOP + rows * steps[1] - _GAP[1] + _BOTTOM
    places = []
    for number, item in enumerate(items):
        row, column = divmod(number, columns)
        x = _SIDE + _BOX[0] / 2 + column * steps[0]
        width = _WIDTHS[item] if isinstance(item, str) else _BOX[0]
        places.append(_Place(x, height - _TOP - _BOX[1] / 2 - row * steps[1], width))
    return places, (2 * _SIDE + columns * steps[0] - _GAP[0], height)


def _column_count(boxes: int) -> int:
    """Return the least number of columns, from four on, for which the last row is at least half full."""
    for limit in range(max(_COLUMNS, ceil(boxes / _MAX_ROWS)), boxes):
        columns = ceil(boxes / ceil(boxes / limit))
        if 2 * (boxes % columns or columns) >= columns:
            return columns
    return boxes


def _draw_item(axes: Any, item: Part | str, place: _Place) -> None:
    if isinstance(item, Part):
        _draw_part(axes, item, place)
    elif item == _CACHED:
        _draw_cache(axes, place)
    else:
        axes.add_patch(_rounded(place, 0.5, 0.25, facecolor="white", edgecolor=INK, linewidth=0.8, gid=item))
        _draw_lines(axes, place.x, place, [(line, {"fontsize": 7.5}) for line in item.split()])


def _draw_part(axes: Any, part: Part, place: _Place) -> None:
    from matplotlib.patches import Rectangle

    style = _STYLES[_kind(part)]
    edge = {"edgecolor": style["edge"], "linewidth": style["width"]}
    box = axes.add_patch(_rounded(place, _BOX[1], 0.06, facecolor=style["fill"], gid="part", **edge))
    if part.parameters:
        corner = place.x - place.width / 2, place.y - _BOX[1] / 2
        strip = Rectangle(corner, _STRIP, _BOX[1], facecolor="white" if style["hatch"] else style["edge"], linewidth=0)
        strip.set(hatch=style["hatch"], edgecolor=style["edge"])
        axes.add_patch(strip)
        strip.set_clip_path(box)
    bold = {"fontsize": 7.5, "fontweight": "bold"}
    lines = [(line, bold) for line in _name_lines(part.name)] + [(line, {"fontsize": 7}) for line in _facts(part)]
    _draw_lines(axes, place.x + (_STRIP / 2 if part.parameters else 0), place, lines)


def _rounded(place: _Place, height: float, radius: float, **style: Any) -> Any:
    from matplotlib.patches import FancyBboxPatch

    corner = place.x - place.width / 2, place.y - height / 2
    return FancyBboxPatch(corner, place.width, height, f"round,pad=0,rounding_size={radius}", **style)


def _draw_cache(axes: Any, place: _Place) -> None:
    """Draw a drum, the usual sign for data on disk."""
    from matplotlib.patches import Ellipse, Rectangle

    left, low, height = place.x - place.width / 2, place.y - 0.33, 0.66
    style: dict[str, Any] = {"facecolor": "#FFF9DB", "edgecolor": INK, "linewidth": 1.4}
    axes.add_patch(Ellipse((place.x, low), place.width, 0.24, **style))
    axes.add_patch(Rectangle((left, low), place.width, height, facecolor=style["facecolor"], gid=_CACHED))
    axes.vlines([left, left + place.width], low, low + height, color=INK, linewidth=1.4)
    axes.add_patch(Ellipse((place.x, low + height), place.width, 0.24, **style))
    bold = {"fontsize": 8.5, "fontweight": "bold"}
    _draw_lines(axes, place.x, place._replace(y=place.y - 0.06), [(word, bold) for word in _CACHED.split()])


def _draw_lines(axes: Any, x: float, place: _Place, lines: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Write lines of text, centred at `x` and at the middle of the place."""
    room = place.width - 2 * abs(x - place.x) - 0.1
    for number, (line, style) in enumerate(lines):
        _write(axes, x, place.y + ((len(lines) - 1) / 2 - number) * _LINE, line, room, **style)


def _write(axes: Any, x: float, y: float, line: str, room: float, **style: Any) -> None:
    style = {"ha": "center", "va": "center_baseline", "color": INK, "parse_math": False} | style
    shorten_to(axes.text(x, y, line, **style), room)


def _draw_arrow(axes: Any, start: _Place, end: _Place, shape: tuple[int, ...]) -> None:
    """Draw an arrow with the shape of what flows along it; at the end of a row it leads down to the next row."""
    from matplotlib.patches import FancyArrowPatch

    source, target = (start.x + start.width / 2, start.y), (end.x - end.width / 2, end.y)
    middle = (source[0] + target[0]) / 2 - 0.03, start.y  # left of the arrow's head
    if end.y < start.y:
        right, left, lane = source[0] + 0.3, target[0] - 0.3, start.y - (_BOX[1] + _GAP[1]) / 2
        way = [source, (right, source[1]), (right, lane), (left, lane), (left, end.y), (target[0] - 0.1, end.y)]
        axes.plot(*zip(*way, strict=True), color=GREY, linewidth=1)
        source, middle = way[-1], (right - 0.45, lane)
    axes.add_patch(FancyArrowPatch(source, target, arrowstyle=_ARROWHEAD, color=GREY, shrinkA=0, shrinkB=0))
    if shape:
        words = "×".join(map(str, shape))
        text = axes.text(middle[0], middle[1] + 0.04, words, ha="center", fontsize=6.5, color=INK)
        text.set_fontsize(6.5 * min(1.0, (_GAP[0] - 0.16) * DPI / text.get_window_extent().width))


def _draw_legend(axes: Any, parts: Sequence[Part]) -> None:
    from matplotlib.patches import Patch

    present = {_kind(part) for part in parts}
    handles = []
    for kind, style in _STYLES.items():
        fill = "white" if style["hatch"] or kind == "no parameters" else style["edge"]
        edge = {"edgecolor": style["edge"], "linewidth": style["width"], "hatch": style["hatch"]}
        handles += [Patch(facecolor=fill, label=kind, **edge)] if kind in present else []
    middle, has_note = axes.get_xlim()[1] / 2, any(part.trained and part.kept for part in parts)
    shape = {"loc": "center", "borderpad": 0, "frameon": False, "fontsize": 8, "handleheight": 1.1}
    place = {"bbox_to_anchor": (middle, 0.45 if has_note else 0.3), "bbox_transform": axes.transData}
    axes.legend(handles=handles, ncols=len(handles), **shape, **place)
    if has_note:
        _write(axes, middle, 0.2, _NOTE, 2 * middle - 0.4, fontsize=7.5, color=GREY)


def _kind(part: Part) -> str:
    if not part.parameters:
        return "no parameters"
    return "trained" if part.trained else "frozen"


def _name_lines(name: str) -> list[str]:
    """Return the lines of the name: two for a name of the form `first ... last`."""
    first, between, last = name.partition(" ... ")
    return [f"{first} …", last] if between else [name]


def _facts(part: Part) -> list[str]:
    """Return the lines below the name."""
    facts = [part.detail or count(part.layers, "layer")]
    facts += [f"{_short(part.parameters)} parameters"] if part.parameters else []
    if part.trained:
        facts.append("all trained" if part.trained == part.parameters else f"{_short(part.trained)} trained")
        facts += [f"{part.kept} BN keep{'s' if part.kept == 1 else ''} statistics"] if part.kept else []
    return facts


def _summary(parts: Sequence[Part]) -> str:
    parameters, trained = sum(part.parameters for part in parts), sum(part.trained for part in parts)
    layers = count(sum(part.layers for part in parts), "layer")
    return f"{layers}, {_short(parameters)} parameters, {_short(trained)} of them trained"


def _short(number: int) -> str:
    """Return a number such as 12, 3.4 k or 2.4 M, rounded to one digit after the point."""
    for unit, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number / unit >= 0.99995:  # else 999,950 would be 1000.0 k
            return f"{number / unit:.1f}{letter}"
    return str(number)
