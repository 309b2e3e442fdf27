"""The plot of a range test: the loss over the learning rate, with the suggested rate marked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from featstore.plots.canvas import Canvas, pale
from featstore.plots.curve import Axis
from featstore.plots.fonts import legible
from featstore.plots.style import GREY, GRID, HEAD, LABEL, LINE, PALE, TICK, TITLE, TUNED, pixels

if TYPE_CHECKING:
    from featstore.heads.rate_range import RateRange

WIDTH, HEIGHT = 1032, 480
LEFT, RIGHT, TOP, BOTTOM = 84, 1000, 56, 390
_ABOVE_FIRST = 1.5  # times the first loss is the top of the plot: beyond it a loss only says that it diverges


def draw_rate_range(found: RateRange, suggested: float | None, title: str) -> bytes:
    """Return a PNG with the losses of the batches, pale, and their mean over `found.rates`, on a logarithmic axis."""
    (title,), fonts = legible([title], "pillow")
    canvas = Canvas(WIDTH, HEIGHT, fonts)
    canvas.write((WIDTH / 2, 26), title, "mm", TITLE, room=WIDTH - 40)
    across = Axis(found.rates[0], found.rates[-1], LEFT + 14, RIGHT - 14, is_log=True)
    highest = _ABOVE_FIRST * max(found.smoothed[: max(1, len(found.smoothed) // 10)])
    up = Axis(0.0, highest or 1.0, BOTTOM, TOP)
    for value in up.ticks():
        canvas.line([(LEFT, up.place(value)), (RIGHT, up.place(value))], GRID)
        canvas.write((LEFT - 8, up.place(value)), f"{value:g}", "rm", TICK)
    for value in across.ticks(10):
        canvas.line([(across.place(value), BOTTOM), (across.place(value), BOTTOM + 5)], GREY)
        canvas.write((across.place(value), BOTTOM + 17), f"{value:g}", "mm", TICK)
    for losses, colour, width in ((found.losses, pale(HEAD, PALE), 0.7), (found.smoothed, HEAD, 2 * LINE)):
        seen = [loss if loss <= highest else math.nan for loss in losses]
        points = [(across.place(x), up.place(y)) for x, y in zip(found.rates, seen, strict=True) if math.isfinite(y)]
        canvas.line(points, colour, pixels(width))
    if suggested is not None:
        x, y = across.place(suggested), up.place(found.smoothed[found.rates.index(suggested)])
        canvas.line([(x, TOP), (x, BOTTOM)], TUNED, pixels(0.7), (7.0, 4.0))
        canvas.dot((x, y), 4.6, TUNED, edge="#FFFFFF")
        canvas.write((x + 10, TOP + 12), f"suggested: {suggested:.2g}", "lm", LABEL, TUNED)
    canvas.line([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], GREY)
    canvas.write((24, (TOP + BOTTOM) / 2), "loss", "mm", LABEL, upright=True)
    canvas.write(((LEFT + RIGHT) / 2, BOTTOM + 40), "learning rate", "mm", LABEL)
    canvas.write(((LEFT + RIGHT) / 2, HEIGHT - 20), "pale: each batch; dark: mean of the last steps", "mm", TICK)
    return canvas.png()
