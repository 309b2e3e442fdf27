"""The plot of the training of a head: losses above, accuracies below, over epochs or over C, with the best marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from featstore.plots.canvas import Canvas, Point, pale
from featstore.plots.fonts import legible
from featstore.plots.panels import PANELS, Limits, best_epoch, epoch_ticks, limits_of, number
from featstore.plots.style import FEW, GREY, GRID, HEAD, LABEL, LINE, PALE, TICK, TITLE, pixels

if TYPE_CHECKING:
    from featstore.heads.interface import Curve

WIDTH, HEIGHT = 1032, 660  # pixels, those of the plot of a fine-tuning
LEFT, RIGHT = 84, 890  # of the panels; the figures of the best epoch are right of them
TOPS = {"loss": 56, "accuracy": 322}
PANEL = 236  # height of a panel
_INSET = 14  # from the panel's left and right ends to the first and last point
_MAX_TICKS = 6
_DASH = (7.0, 4.0)


class Axis(NamedTuple):
    """An axis on which the values from `low` to `high` lie on the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Return the pixel of `value`; NaN for a value that is not finite, or not above 0 on a logarithmic axis."""
        low, high = self.low, self.high
        if self.is_log:
            if value <= 0:
                return self.start if value == 0 else math.nan
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start) if math.isfinite(value) else math.nan

    def ticks(self, most: int = _MAX_TICKS) -> list[float]:
        """Return at most `most` multiples of 1, 2 or 5 times a power of ten; on a logarithmic axis such numbers."""
        return self._log_ticks(most) if self.is_log else self._linear_ticks(most)

    def _linear_ticks(self, most: int) -> list[float]:
        power = math.floor(math.log10(self.high - self.low)) - 1
        steps = (s * 10.0**p for p in range(power, power + 3) for s in (1, 2, 5))
        step = next(step for step in steps if (self.high - self.low) / step < most)
        numbers = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
        return [float(f"{count * step:.12g}") for count in numbers]

    def _log_ticks(self, most: int) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        inside = (1 - 1e-9) * self.low, (1 + 1e-9) * self.high
        for digits, every in (((1, 2, 5), 1), *(((1,), every) for every in range(1, last - first + 1))):
            values = [float(f"{d}e{p}") for p in range(first, last + 1, every) for d in digits]
            found = [value for value in values if inside[0] <= value <= inside[1]]
            if len(found) <= most:
                return found
        return []


class _Panel(NamedTuple):
    """A panel: what it measures, its axes, and its series with the styles that their names ask for."""

    name: str
    across: Axis
    up: Axis
    series: dict[str, list[float]]

    @property
    def top(self) -> int:
        return TOPS[self.name]


def draw_curve(curve: Curve, title: str) -> bytes:
    """Return a PNG with the losses above and the accuracies below, in the style of the plot of a fine-tuning."""
    (title,), fonts = legible([title], "pillow")
    canvas = Canvas(WIDTH, HEIGHT, fonts)
    canvas.write((WIDTH / 2, 26), title, "mm", TITLE, room=WIDTH - 40)
    best = best_epoch(curve)
    for panel in _panels(curve):
        _draw_frame(canvas, panel, curve)
        for name, values in panel.series.items():
            _draw_line(canvas, panel, curve, name, values, best)
        _mark_best(canvas, panel, curve, best)
    canvas.write(((LEFT + RIGHT) / 2, TOPS["accuracy"] + PANEL + 40), curve.x_name, "mm", LABEL)
    _draw_legend(canvas, curve, best)
    return canvas.png()


def _panels(curve: Curve) -> Iterator[_Panel]:
    low, high = min(curve.x), max(curve.x)
    if low == high:
        low, high = (low / 10, high * 10) if curve.log_x else (low - 1, high + 1)
    across = Axis(low, high, LEFT + _INSET, RIGHT - _INSET, curve.log_x)
    for name, top in TOPS.items():
        series = {key: values for key, values in curve.series.items() if key.endswith(name)}
        limits = limits_of(name, [value for values in series.values() for value in values])
        yield _Panel(name, across, _upwards(limits, top), series)


def _upwards(limits: Limits, top: int) -> Axis:
    low, high, is_log = limits
    if not is_log and (high - low) < 1e-9 * max(abs(low), abs(high)):  # equal values that are very large
        low, high = low - abs(low) / 10, high + abs(high) / 10
    return Axis(low, high, top + PANEL, top, is_log)


def _draw_frame(canvas: Canvas, panel: _Panel, curve: Curve) -> None:
    bottom = panel.top + PANEL
    for value in panel.up.ticks():
        y = panel.up.place(value)
        canvas.line([(LEFT, y), (RIGHT, y)], GRID)
        canvas.write((LEFT - 8, y), f"{value:g}", "rm", TICK)
    for value in panel.across.ticks(8) if curve.log_x else epoch_ticks(curve.x, 8):
        x = panel.across.place(value)
        canvas.line([(x, bottom), (x, bottom + 5)], GREY)
        if panel.name == "accuracy":
            canvas.write((x, bottom + 17), f"{value:g}", "mm", TICK)
    canvas.line([(LEFT, panel.top), (LEFT, bottom), (RIGHT, bottom)], GREY)
    canvas.write((24, panel.top + PANEL / 2), PANELS[panel.name], "mm", LABEL, upright=True)


def _draw_line(canvas: Canvas, panel: _Panel, curve: Curve, name: str, values: Sequence[float], best: int) -> None:
    """Draw a series, paler after the best epoch, with gaps where a value is not finite."""
    places = [(panel.across.place(x), panel.up.place(value)) for x, value in zip(curve.x, values, strict=True)]
    dash = () if _is_held_out(name) else _DASH
    kept = best + 1 if _has_epochs(curve) else len(places)
    for part, colour in ((places[kept - 1 :], pale(HEAD, PALE)), (places[:kept], HEAD)):
        for line in _finite_parts(part):
            if len(line) > 1:
                canvas.line(line, colour, pixels(LINE), dash)
            for point in line if len(values) < FEW else ():
                canvas.dot(point, 2.6, colour)


def _finite_parts(points: Sequence[Point]) -> list[list[Point]]:
    """Return the parts of a line between its gaps."""
    parts: list[list[Point]] = [[]]
    for point in points:
        if math.isfinite(point[1]):
            parts[-1].append(point)
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def _mark_best(canvas: Canvas, panel: _Panel, curve: Curve, best: int) -> None:
    """Mark what was kept with a dot and a line to its figure at the right."""
    name = next((name for name in panel.series if _is_held_out(name)), panel.name)
    value = panel.series.get(name, [math.nan] * len(curve.x))[best]
    x, y = panel.across.place(curve.x[best]), panel.up.place(value)
    if not math.isfinite(y):
        return
    canvas.line([(x, y), (RIGHT, y)], HEAD, pixels(0.7))
    canvas.dot((x, y), 4.6, HEAD, edge="#FFFFFF")
    words = f"{number(value)} {_where(curve, best)}"
    canvas.write((RIGHT + 8, y), words, "lm", TICK, HEAD, room=WIDTH - RIGHT - 12)


def _where(curve: Curve, best: int) -> str:
    """Return where the best is, as in `epoch 13` or `at C 0.1`. Long names are below the axis alone."""
    if _has_epochs(curve):
        return f"{curve.x_name} {curve.x[best]:g}"
    name = f"{curve.x_name} " if len(curve.x_name) == 1 else ""
    return f"at {name}{curve.x[best]:.3g}"


def _draw_legend(canvas: Canvas, curve: Curve, best: int) -> None:
    over_epochs = _has_epochs(curve)
    held_out = any(map(_is_held_out, curve.series))
    kept = ("best epoch" if held_out else "last epoch") if over_epochs else f"best {curve.x_name}"
    entries = {
        "training": any(not _is_held_out(name) for name in curve.series),
        "validation" if over_epochs else "cross-validation": held_out,
        kept: True,
        f"after the {kept}": over_epochs and best < len(curve.x) - 1,
    }
    shown = [text for text, is_shown in entries.items() if is_shown]
    step, y = 180, HEIGHT - 24
    start = (LEFT + RIGHT) / 2 - step * len(shown) / 2 + 20
    for place, text in enumerate(shown):
        x = start + place * step
        canvas.write((x + 40, y), text, "lm", TICK)
        if text == kept:
            canvas.dot((x + 15, y), 4.6, GREY)
        else:
            colour = pale(GREY, PALE) if text.startswith("after") else GREY
            canvas.line([(x, y), (x + 30, y)], colour, pixels(LINE), _DASH if text == "training" else ())


def _has_epochs(curve: Curve) -> bool:
    return curve.x_name == "epoch"


def _is_held_out(name: str) -> bool:
    return name.startswith(("val_", "cv_"))
