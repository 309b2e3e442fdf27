"""The plot of a reliability curve: the share of answers that are right, over how sure the head was of them."""

from __future__ import annotations

import math

from featstore.evaluation.reliability import Reliability
from featstore.plots.canvas import Canvas
from featstore.plots.curve import Axis
from featstore.plots.fonts import legible
from featstore.plots.style import GREY, GRID, HEAD, LABEL, LINE, TICK, TITLE, pixels
from featstore.system.figures import figures
from featstore.system.text import count

WIDTH, HEIGHT = 660, 700  # pixels
LEFT, RIGHT, TOP, BOTTOM = 84, 624, 86, 626  # of the panel, which is a square
_CAP = 4  # half the width of the ends of an interval
_DASH = (7.0, 4.0)


def draw_reliability(reliability: Reliability, title: str, split: str) -> bytes:
    """Return a PNG with a dot for each bin of the curve and its interval; a good head is on the dashed line.

    Args:
        reliability: What was measured.
        title: Title of the run.
        split: Name of the images that it was measured on.
    """
    (title, split), fonts = legible([title, split], "pillow")
    canvas = Canvas(WIDTH, HEIGHT, fonts)
    canvas.write((WIDTH / 2, 26), title, "mm", TITLE, room=WIDTH - 40)
    canvas.write((WIDTH / 2, 56), _summary(reliability, split), "mm", LABEL, GREY, room=WIDTH - 40)
    across, up = axes_of(reliability)
    _draw_frame(canvas, across, up)
    points = [(across.place(part.probability), up.place(part.accuracy)) for part in reliability.curve]
    if len(points) > 1:
        canvas.line(points, HEAD, pixels(LINE))
    for (x, y), part in zip(points, reliability.curve, strict=True):
        ends = [up.place(end) for end in part.accuracy_ci95]
        canvas.line([(x, end) for end in ends], HEAD)
        for end in ends:
            canvas.line([(x - _CAP, end), (x + _CAP, end)], HEAD)
        canvas.dot((x, y), 4.6, HEAD, edge="#FFFFFF")
    return canvas.png()


def axes_of(reliability: Reliability) -> tuple[Axis, Axis]:
    """Return the axes across and upwards. Both have the same limits: from a tenth below all that is drawn, to 1."""
    least = min(min(part.probability, part.accuracy_ci95[0]) for part in reliability.curve)
    low = min(0.9, max(0.0, math.floor(10 * least) / 10))
    return Axis(low, 1.0, LEFT, RIGHT), Axis(low, 1.0, BOTTOM, TOP)


def _summary(reliability: Reliability, split: str) -> str:
    low, error, high = figures(
        reliability.calibration_error_ci95[0], reliability.calibration_error, reliability.calibration_error_ci95[1]
    )
    images = count(sum(part.n for part in reliability.curve), "image")
    return f"{split}, {images}: calibration error {error} [{low}, {high}]"


def _draw_frame(canvas: Canvas, across: Axis, up: Axis) -> None:
    for value in up.ticks(8):
        x, y = across.place(value), up.place(value)
        canvas.line([(LEFT, y), (RIGHT, y)], GRID)
        canvas.write((LEFT - 8, y), f"{value:g}", "rm", TICK)
        canvas.line([(x, BOTTOM), (x, BOTTOM + 5)], GREY)
        canvas.write((x, BOTTOM + 17), f"{value:g}", "mm", TICK)
    canvas.line([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], GREY)
    canvas.line([(LEFT, BOTTOM), (RIGHT, TOP)], GREY, dash=_DASH)
    canvas.write((LEFT + 16, TOP + 16), "not sure enough", "lm", TICK, GREY)
    canvas.write((RIGHT - 8, BOTTOM - 16), "too sure", "rm", TICK, GREY)
    canvas.write(((LEFT + RIGHT) / 2, BOTTOM + 44), "probability of the answer", "mm", LABEL)
    canvas.write((24, (TOP + BOTTOM) / 2), "share of these answers that are right", "mm", LABEL, upright=True)
